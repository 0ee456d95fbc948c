"""What a development site needs in its database before it starts."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from workflows_app.conf import get_settings, is_debug
from workflows_app.engine.development import Credentials, development_credentials

ADMIN = "admin"
"""Name and password of the development site's administrator."""


def prepare_database() -> Credentials:
    """Migrate, and see to credentials. Raises CommandError where this is no development."""
    if not is_debug():
        raise CommandError(
            "this verb lets in everyone who knows the development token, so it needs DEBUG; in "
            'production run the site under gunicorn or uvicorn, "qcluster" (or "workflows worker") '
            'beside it, and make a token with "workflows token create" (docs/deploy.md)'
        )
    for alias in dict.fromkeys(["default", get_settings().DATABASE]):
        call_command("migrate", database=alias, interactive=False, verbosity=0, skip_checks=True)
    return development_credentials()


def ensure_admin() -> None:
    """Make an administrator where there is none, and where one needs no more than a password."""
    model = _administrators()
    if model is None or model._default_manager.filter(is_superuser=True).exists():
        return
    email = {"email": "admin@example.org"} if "email" in model.REQUIRED_FIELDS else {}
    model._default_manager.create_superuser(
        **{model.USERNAME_FIELD: ADMIN, "password": ADMIN, **email}
    )


def admin_login() -> str | None:
    """How to log in to the admin, for people; None when that is for them to know."""
    model = _administrators()
    user = model and model._default_manager.filter(**{model.USERNAME_FIELD: ADMIN}).first()
    return f"{ADMIN} / {ADMIN}" if user and user.check_password(ADMIN) else None


def _administrators() -> Any:
    """The project's model of users, if its administrators can be told and made; else None."""
    if not apps.is_installed("django.contrib.admin"):
        return None
    from django.contrib.auth.models import PermissionsMixin  # has tables, which may be missing

    model: Any = get_user_model()
    is_known = issubclass(model, PermissionsMixin) and set(model.REQUIRED_FIELDS) <= {"email"}
    return model if is_known else None
