#!/usr/bin/env python
"""Django's command line for the demo site."""

from __future__ import annotations

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

DEVELOPMENT_VERBS = ("dev", "demo")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    # Settings are read before any command runs, so a verb cannot switch on DEBUG for itself.
    if sys.argv[1:2] == ["workflows"] and set(DEVELOPMENT_VERBS).intersection(sys.argv[2:3]):
        os.environ.setdefault("DEBUG", "1")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"manage.py: {error}")


if __name__ == "__main__":
    main()
