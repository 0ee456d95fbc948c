"""This project as a site under development: prepared, running, and ended as a whole."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http import HTTPStatus
from typing import Any

from django.core.management import CommandError, CommandParser
from django.db import connections

from workflows_app.conf import get_settings
from workflows_app.engine.development import Credentials
from workflows_app.management import arguments
from workflows_app.management.address import Address, free_address
from workflows_app.management.console import Console
from workflows_app.management.preparing import ensure_admin, prepare_database
from workflows_app.management.processes import Program, manage
from workflows_app.management.supervisor import Supervisor
from workflows_app.management.workers import Workers, choose_workers

PATIENCE = 60.0
"""Seconds in which a site has to begin to work."""
PROBE = "/readyz"


class Site:
    """A running site; see `running_site`."""

    def __init__(
        self, supervisor: Supervisor, address: Address, workers: Workers, credentials: Credentials
    ) -> None:
        self.supervisor = supervisor
        self.address = address
        self.credentials = credentials
        self._workers = workers
        self._programs: list[Program] = []
        self._answer = "did not answer"
        self._accepted = False

    def start(self) -> None:
        web = Program(
            name="web server",
            command=manage("runserver", "--noreload", "--skip-checks", str(self.address)),
            # It has a thread for each request: a connection kept there is never used again.
            environment={"CONN_MAX_AGE": "0", **os.environ},
        )
        self._programs = [web, *self._workers.programs()]
        self.supervisor.start(self._programs)

    def wait_until_ready(self) -> bool:
        """Whether a trigger would be accepted and worked on; False when asked to stop before."""
        try:
            return self.supervisor.keep(self._is_ready, PATIENCE)
        except TimeoutError:
            raise CommandError(
                f"the site did not begin to work within {PATIENCE:g} s: {PROBE} {self._answer}; "
                "what its processes said stands above"
            ) from None

    def serve(self) -> None:
        """Until asked to stop."""
        connections.close_all()
        self.supervisor.keep_until_stopped()

    def _is_ready(self) -> bool:
        groups = self.supervisor.running()
        return (
            len(groups) == len(self._programs)
            and (self._accepted or self._accepts())
            and self._workers.are_up(groups[1:])
        )

    def _accepts(self) -> bool:
        """A project that serves the app's URLs elsewhere answers "not found"; that it answers, will
        do.
        """
        try:
            connection = http.client.HTTPConnection(
                self.address.reached_at, self.address.port, timeout=2
            )
            with closing(connection):
                connection.request("GET", PROBE)
                status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return False
        self._answer = f"answered {status}"
        self._accepted = status in (HTTPStatus.OK, HTTPStatus.NOT_FOUND)
        return self._accepted


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (127.0.0.1)")
    parser.add_argument(
        "--port", type=arguments.port, default=8080, help="8080; 0 takes any that is free"
    )
    parser.add_argument(
        "--workers",
        type=arguments.count,
        help="worker processes; for settings that read WORKFLOWS_WORKERS",
    )


@contextmanager
def running_site(console: Console, options: Mapping[str, Any]) -> Iterator[Site]:
    """A site that is starting. When the block ends, so do all its processes, within ten seconds.

    Raises CommandError when it cannot be started.
    """
    _require_posix()
    address = free_address(options["host"], options["port"])
    _announce(address)
    credentials = prepare_database()
    _warn(console, address, credentials)
    workers = choose_workers(console, options["workers"])
    with Supervisor(console) as supervisor:
        site = Site(supervisor, address, workers, credentials)
        site.start()
        if credentials.are_known_to_everyone:
            ensure_admin()
        yield site


def _require_posix() -> None:
    if os.name != "posix":
        raise CommandError(
            "this verb looks after its processes by means that only POSIX systems have; here, run "
            '"manage.py runserver" and "manage.py workflows worker" in two terminals'
        )


def _warn(console: Console, address: Address, credentials: Credentials) -> None:
    if not credentials.are_known_to_everyone:
        console.say(
            "the default account has tokens of its own: it stays as it is, and got another token"
        )
    elif not address.is_private:
        console.say(f"warning: everyone who reaches {address} knows its token and its login")


def _announce(address: Address) -> None:
    """Let this process and its children know where the site is reached."""
    os.environ.setdefault("WORKFLOWS_BASE_URL", address.url)
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    os.environ.setdefault("DJANGO_RUNSERVER_HIDE_WARNING", "true")
    get_settings.cache_clear()
