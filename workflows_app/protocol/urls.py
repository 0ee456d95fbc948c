"""Where requests may be sent."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from workflows_app.errors import InvalidUrl

_UNUSABLE = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")
_LONGEST_SHOWN = 200
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


def check_url(text: str) -> str:
    """Return the URL unchanged, or raise InvalidUrl.

    It is absolute, http or https, and carries no credentials, which would end up in logs and
    signatures. Whether its host may be reached is for the sender to decide.
    """
    try:
        parts = urlsplit(text)
        if parts.username is not None or parts.password is not None:
            raise InvalidUrl(
                "A URL must not contain a user name or password; send them as a header instead."
            )
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or _UNUSABLE.search(text):
        raise InvalidUrl(
            f"{text[:_LONGEST_SHOWN]!r} is not a URL to send requests to; "
            "it must be absolute and begin with http:// or https://."
        )
    return text


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, as does the one it may stand for."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        if embedded := _embedded(ip):
            return is_public(str(embedded))
        return ip in _GLOBAL_UNICAST and ip.is_global
    return ip.is_global and not ip.is_multicast


def _embedded(ip: IPv6Address) -> IPv4Address | None:
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour
