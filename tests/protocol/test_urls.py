from __future__ import annotations

import pytest

from workflows_app.errors import InvalidUrl
from workflows_app.protocol.urls import check_url, is_public


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://localhost:3000/api/workflow?x=1#part",
        "https://example.com//first",
        "HTTPS://EXAMPLE.COM/",
        "http://[::1]:8080/",
        "http://127.0.0.1/",
        "https://bücher.example/ü",
    ],
)
def test_an_absolute_http_url_is_left_as_it_is(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "/serve/order",
        "//example.com/",
        "ftp://example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "https://:443/",
        "https://example.com:0/",
        "https://example.com:70000/",
        "https://example.com:port/",
        "http://[::1/",
        "https://exa mple.com/",
        " https://example.com/",
        "https://example.com/\r\nHost: x",
        "https://example.com/a\\b",
        "https://example.com/\ud800",
        "https://example.com/\x00",
    ],
    ids=repr,
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(InvalidUrl) as refusal:
        check_url(url)
    assert refusal.value.message == (
        f"{url!r} is not a URL to send requests to; "
        "it must be absolute and begin with http:// or https://."
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://user:secret@example.com/",
        "https://secret@example.com/",
        "http://:secret@x/",
        "https://example.com\\@evil.example/",
    ],
)
def test_credentials_are_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(InvalidUrl) as refusal:
        check_url(url)
    assert refusal.value.message == (
        "A URL must not contain a user name or password; send them as a header instead."
    )


def test_a_long_url_is_cut_in_the_refusal() -> None:
    with pytest.raises(InvalidUrl) as refusal:
        check_url("x" * 5000)
    assert len(refusal.value.message) < 400


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "172.32.0.1",
        "2606:4700::1111",
        "2a00:1450:4001::200e%2",
        "::ffff:8.8.8.8",
        "2002:808:808::1",
        "64:ff9b::808:808",
    ],
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:a9fe:a9fe",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::8.8.8.8",
        "2001::8.8.8.8",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:c0a8:101::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "4000::1",
    ],
)
def test_any_other_address_is_not_public(address: str) -> None:
    assert not is_public(address)
