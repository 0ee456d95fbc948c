"""Where callers are."""

from __future__ import annotations

from ipaddress import ip_address

from rest_framework.request import Request

from workflows_app.conf import get_settings


def caller_ip(request: Request) -> str:
    """As the outermost proxy that is trusted sees it; before that, a caller may write anything."""
    seen: str = request.META.get("REMOTE_ADDR") or ""
    proxies = get_settings().TRUSTED_PROXIES
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if proxies > 0 else []
    if not forwarded:
        return seen
    try:
        return str(ip_address(forwarded[-proxies:][0].strip()))
    except ValueError:
        return seen
