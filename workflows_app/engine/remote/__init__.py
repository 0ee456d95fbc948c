"""Runs whose function lives elsewhere, driven by deliveries to its endpoint."""
