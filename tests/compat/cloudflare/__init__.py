"""The clients of Cloudflare, and a Django app with the workflows that they are shown."""
