"""ASGI entry point: `uvicorn project.asgi:application`."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
# Under ASGI each request has a thread of its own: a connection kept there is never used again.
os.environ.setdefault("CONN_MAX_AGE", "0")

application = get_asgi_application()
