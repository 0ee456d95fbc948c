"""URL groups: endpoints that each get a copy of what is published to the group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q

from workflows_app.engine import clock
from workflows_app.engine.database import joining
from workflows_app.errors import NotFound
from workflows_app.models import Account, UrlGroup, UrlGroupEndpoint
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.headers import MessageOptions, parse_headers
from workflows_app.protocol.names import check_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Known by its URL, or by its name where it has one."""

    url: str = ""
    name: str = ""

    def is_meant(self) -> Q:
        """Whatever has this URL or this name."""
        return (Q(url=self.url) if self.url else Q()) | (Q(name=self.name) if self.name else Q())


def find_url_group(account: Account, name: str) -> UrlGroup:
    """Raises NotFound."""
    group = UrlGroup.objects.filter(account=account, name=name).first()
    if group is None:
        raise NotFound(f'there is no URL group "{name[:100]}" in this account')
    return group


def defaults_of(group: UrlGroup) -> MessageOptions:
    """Options of each publication that does not say otherwise."""
    headers: dict[str, str] = decode_json(group.headers)
    return parse_headers(headers.items())


def add_endpoints(account: Account, name: str, endpoints: Sequence[Endpoint]) -> UrlGroup:
    """Make the group if there is none. An endpoint of the same URL or name is replaced."""
    with joining():
        group = _locked(account, name)
        for endpoint in endpoints:
            group.endpoints.filter(endpoint.is_meant()).delete()
            UrlGroupEndpoint.objects.create(group=group, url=endpoint.url, name=endpoint.name)
        return group


def remove_endpoints(account: Account, name: str, endpoints: Sequence[Endpoint]) -> None:
    """With its last endpoint, the group is gone. Raises NotFound for an unknown group."""
    with joining():
        find_url_group(account, name)
        group = _locked(account, name)
        for endpoint in endpoints:
            group.endpoints.filter(endpoint.is_meant()).delete()
        if not group.endpoints.exists():
            group.delete()


def set_default_headers(account: Account, name: str, headers: Mapping[str, str]) -> UrlGroup:
    """Headers of every publication to the group that does not set them itself. Raises NotFound,
    and InvalidInput for what no message can have.
    """
    parse_headers(headers.items())
    with joining():
        find_url_group(account, name)
        group = _locked(account, name)
        group.headers = encode_json(dict(headers))
        group.save(update_fields=["headers", "updated_at"])
        return group


def delete(account: Account, name: str) -> None:
    """A group that is not there is gone already."""
    with joining():
        UrlGroup.objects.filter(account=account, name=name).delete()


def _locked(account: Account, name: str) -> UrlGroup:
    """The group of that name, which is changed now."""
    check_name("the name of a URL group", name)
    now = clock.now()
    while True:
        made = {"created_at": now, "updated_at": now}
        group, _ = UrlGroup.objects.get_or_create(account=account, name=name, defaults=made)
        changed = UrlGroup.objects.filter(pk=group.pk).update(updated_at=now)
        if changed:
            group.updated_at = now
            return group
        # It was deleted between the two statements.
