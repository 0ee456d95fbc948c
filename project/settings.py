"""Settings of the demo site. What differs from place to place is read from the environment.

docs/settings.md lists the variables.
"""

from __future__ import annotations

import os
from pathlib import Path

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from project.databases import read_database_url


def _words(variable: str) -> list[str]:
    return [word.strip() for word in os.environ.get(variable, "").split(",") if word.strip()]


def _secret_key() -> str:
    if key := os.environ.get("SECRET_KEY"):
        return key
    if DEBUG:
        return "a-development-key-that-everyone-knows"
    raise ImproperlyConfigured(
        "Set SECRET_KEY in the environment to a long random text, or DEBUG=1 for development."
    )


BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = os.environ.get("DEBUG", "").lower() in ("1", "true", "yes", "on")
SECRET_KEY = _secret_key()
ALLOWED_HOSTS = _words("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = _words("CSRF_TRUSTED_ORIGINS")

# The admin has no script or style within its pages, and asks no other host for anything.
CONTENT_SECURITY_POLICY = {
    # The page at /docs/ is drf-spectacular's: it has a script within it, and others of another
    # host. The answers of the two APIs are no pages.
    "EXCLUDE_URL_PREFIXES": ["/docs/", "/v2/", "/client/v4/"],
    "DIRECTIVES": {
        "default-src": [SELF],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    },
}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "django_q",
    "workflows_app",
    "project.shop",
    "examples",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
ASGI_APPLICATION = "project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": read_database_url(
        os.environ.get("DATABASE_URL", "sqlite:///db.sqlite3"),
        root=BASE_DIR,
        synchronous=os.environ.get("SQLITE_SYNCHRONOUS", "FULL").upper(),
        connection_age=int(os.environ["CONN_MAX_AGE"]) if "CONN_MAX_AGE" in os.environ else None,
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"

# Above the API's own limit, MAX_PAYLOAD_BYTES: a body that is too large hears it from the API.
DATA_UPLOAD_MAX_MEMORY_SIZE = 128 * 1024 * 1024

REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
SPECTACULAR_SETTINGS = {"TITLE": "Workflows", "SERVE_INCLUDE_SCHEMA": False}

# The lane of django-q2 that drains due messages. State is in the app's own tables alone: django-q2
# keeps processes alive and rings. The system checks of workflows_app say what a harmful value does.
WORKERS = int(os.environ.get("WORKFLOWS_WORKERS", "2"))
Q_CLUSTER = {
    "name": "workflows",
    "label": "Worker cluster",
    "broker_class": "workflows_app.worker.broker.DoorbellBroker",
    "workers": WORKERS,
    "queue_limit": WORKERS,
    "bulk": 1,
    "timeout": 60,
    "retry": 300,
    "max_attempts": 1,
    "ack_failures": True,
    "save_limit": -1,
    "scheduler": False,
    "catch_up": False,
    "recycle": 100_000,
    "guard_cycle": 1,
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        # Without a list of its own, "django" would print each line a second time under DEBUG.
        "django": {"handlers": [], "level": "INFO"},
        # Two lines for each ring of the doorbell say nothing, and cost time.
        "django-q": {"level": "WARNING"},
    },
}
