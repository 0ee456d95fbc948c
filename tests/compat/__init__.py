"""The published clients, unmodified, against this server."""
