"""A Django project with nothing but django-q2 on its ORM broker."""

from __future__ import annotations

import os

from bench.databases import django_database

SECRET_KEY = os.environ["SECRET_KEY"]
INSTALLED_APPS = ["django_q"]
DATABASES = {"default": django_database(os.environ["DATABASE_URL"])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

# Its fastest settings of those tried: nothing saved, workers not recycled every 500 tasks, twenty
# tasks a look at the queue, and the shortest poll that is still cheap.
Q_CLUSTER = {
    "name": "bench",
    "orm": "default",
    "workers": 2,
    "bulk": 20,
    "poll": 0.05,
    "recycle": 100_000,
    "save_limit": -1,
    "timeout": 60,
    "retry": 120,
    "log_level": "ERROR",
}
