"""A small Django project whose processes the fault tests start, stop and kill."""
