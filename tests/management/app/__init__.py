"""A small Django project, which the tests start as a site."""
