from __future__ import annotations

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "tests.management.app"
    label = "management_tests"
