"""Which server is asked, and with which token."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from urllib.parse import quote

from workflows_app.client.errors import NotConfigured
from workflows_app.errors import InvalidUrl
from workflows_app.protocol.urls import check_url

URL_VARIABLE = "QSTASH_URL"
TOKEN_VARIABLE = "QSTASH_TOKEN"  # noqa: S105 - the name of a variable
_TOKEN = re.compile(r"[\x21-\x7e]+")
_HIDDEN = "[token]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    base_url: str
    token: str = field(repr=False)
    token_source: str
    """What whoever has to replace the token looks for."""
    serve_url: str
    """Below which workflows are that are known by their names."""

    @classmethod
    def of(cls, base_url: str | None, token: str | None, serve_url: str | None) -> Connection:
        """What is None is read from the environment. Raises NotConfigured."""
        base = _address("base_url", base_url or _from_environment(URL_VARIABLE, "base_url"))
        return cls(
            base_url=base,
            token=_checked_token(token or _from_environment(TOKEN_VARIABLE, "token")),
            token_source="the argument token" if token else TOKEN_VARIABLE,
            serve_url=_address("serve_url", serve_url) if serve_url else f"{base}/serve",
        )

    def workflow_url(self, workflow: str) -> str:
        """The URL itself, or that of the workflow of this name."""
        if re.match("https?://", workflow, re.IGNORECASE):
            return check_url(workflow)
        return f"{self.serve_url}/{quote(workflow, safe='')}"

    def without_token(self, text: str) -> str:
        """A proxy may answer with the request that it was sent."""
        return text.replace(self.token, _HIDDEN)


def _from_environment(variable: str, argument: str) -> str:
    value = os.environ.get(variable, "").strip()
    if not value:
        raise NotConfigured(f"set {variable} in the environment, or pass {argument}=")
    return value


def _address(argument: str, url: str) -> str:
    try:
        check_url(url)
    except InvalidUrl as error:
        raise NotConfigured(f"{argument} or {URL_VARIABLE}: {error.message}") from None
    if "?" in url or "#" in url:
        raise NotConfigured(f"{argument} or {URL_VARIABLE}: it must have no query and no fragment")
    return url.rstrip("/")


def _checked_token(token: str) -> str:
    """HTTP libraries print a header that they refuse."""
    if not _TOKEN.fullmatch(token.strip()):
        raise NotConfigured(
            f"the token (token= or {TOKEN_VARIABLE}) holds characters that no token has; "
            "was it copied whole, and alone?"
        )
    return token.strip()
