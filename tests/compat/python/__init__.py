"""Programs that hold the published Python packages: endpoints and a driver of their clients."""
