"""`workflows dev`: the whole site in the foreground, for development."""

from __future__ import annotations

from workflows_app.management.console import Console
from workflows_app.management.site import Site, add_arguments, running_site
from workflows_app.management.verbs import Options

__all__ = ["HELP", "add_arguments", "run"]

HELP = "migrate, then serve and work in the foreground; prints where, and with which credentials"


def run(console: Console, options: Options) -> None:
    with running_site(console, options) as site:
        for name, value in environment(site).items():
            console.show(f"{name}={value}")
        if site.wait_until_ready():
            console.show("ready")
            site.serve()


def environment(site: Site) -> dict[str, str]:
    """What the published clients read from their environment."""
    account, token = site.credentials.account, site.credentials.token
    current_key, next_key = account.signing_keys
    url = site.address.url
    return {
        "QSTASH_URL": url,
        "QSTASH_TOKEN": token,
        "QSTASH_CURRENT_SIGNING_KEY": current_key,
        "QSTASH_NEXT_SIGNING_KEY": next_key,
        "CLOUDFLARE_BASE_URL": f"{url}/client/v4",
        "CLOUDFLARE_ACCOUNT_ID": account.public_id.hex,
        "CLOUDFLARE_API_TOKEN": token,
    }
