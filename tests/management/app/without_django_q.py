"""The settings of a project that does not use django-q2."""

from __future__ import annotations

from tests.management.app.settings import *  # noqa: F403
from tests.management.app.settings import INSTALLED_APPS as ALL_APPS

INSTALLED_APPS = [app for app in ALL_APPS if app != "django_q"]
del Q_CLUSTER  # noqa: F821 - one of the settings above
