"""Where `workflows dev` listens."""

from __future__ import annotations

import socket

import pytest
from django.core.management import CommandError

from workflows_app.management import address as module
from workflows_app.management.address import Address, free_address


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)


def test_port_0_is_replaced_by_one_that_is_free() -> None:
    address = free_address("127.0.0.1", 0)

    assert address.port > 0
    assert free_address("127.0.0.1", address.port) == address


def test_a_port_in_use_is_refused_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(CommandError) as refused:
            free_address("127.0.0.1", port)

    assert str(refused.value) == (
        f"port {port} of 127.0.0.1 is in use; end what listens there, or choose another with "
        "--port (0 takes any that is free)"
    )


def test_a_port_of_which_the_server_is_just_ending_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 10.0)
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    monkeypatch.setattr("time.sleep", lambda seconds: server.close())

    assert free_address("127.0.0.1", port).port == port


@pytest.mark.parametrize(
    ("host", "refusal"),
    [
        ("no-such-host.invalid", "no-such-host.invalid is not the name or address of a host"),
        ("192.0.2.1", "nothing can listen on port 0 of 192.0.2.1: cannot assign requested address"),
    ],
)
def test_a_host_that_is_not_this_one_is_refused(host: str, refusal: str) -> None:
    with pytest.raises(CommandError) as refused:
        free_address(host, 0)

    assert str(refused.value) == refusal


@pytest.mark.parametrize(
    ("host", "shown", "url"),
    [
        ("127.0.0.1", "127.0.0.1:80", "http://127.0.0.1:80"),
        ("localhost", "localhost:80", "http://localhost:80"),
        ("::1", "[::1]:80", "http://[::1]:80"),
        ("0.0.0.0", "0.0.0.0:80", "http://127.0.0.1:80"),
        ("::", "[::]:80", "http://[::1]:80"),
        ("10.0.0.7", "10.0.0.7:80", "http://10.0.0.7:80"),
    ],
)
def test_an_address_as_people_and_clients_write_it(host: str, shown: str, url: str) -> None:
    address = Address(host=host, port=80)

    assert (str(address), address.url) == (shown, url)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_only_this_machine_reaches_a_loopback_address(host: str) -> None:
    assert Address(host=host, port=80).is_private


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7"])
def test_others_reach_the_other_addresses(host: str) -> None:
    assert not Address(host=host, port=80).is_private
