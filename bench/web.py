"""The web server of the measures over HTTP."""

from __future__ import annotations


def web_server(address: str) -> list[str]:
    """What to give to Python for two processes of 16 threads."""
    host, _, port = address.partition(":")
    options = [
        "--interface",
        "wsgi",
        "--workers",
        "2",
        "--blocking-threads",
        "16",
        "--log-level",
        "error",
    ]
    return ["-m", "granian", "--host", host, "--port", port, *options, "project.wsgi:application"]
