"""Against a real server on the loopback interface; only the system's resolver is scripted."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from workflows_app.protocol.exchange import Answer, Outgoing, SendFailed
from workflows_app.worker import http as http_module
from workflows_app.worker.http import HttpSender, default_sender

CERTIFICATE = Path(__file__).with_name("named.example.pem")

Reply = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Received:
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: Any

    def header(self, name: str) -> list[str]:
        return [value for given, value in self.headers if given.lower() == name.lower()]


@dataclass
class Endpoint:
    """A server that keeps what it receives and replies as it is told to."""

    server: ThreadingHTTPServer
    received: list[Received] = field(default_factory=list)
    reply: Reply = lambda handler: answer(handler, 200, b"fine")

    @property
    def port(self) -> int:
        return self.server.server_port

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


def answer(
    handler: BaseHTTPRequestHandler, status: int, body: bytes, *headers: tuple[str, str]
) -> None:
    handler.send_response(status)
    for name, value in headers:
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65_537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            told.received.append(
                Received(
                    self.command,
                    self.requestline.split()[1],
                    self.headers.items(),
                    body,
                    self.client_address,
                )
            )
            told.reply(self)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: object) -> None:
            """Clients that give up are part of the story."""

    server = Server(("127.0.0.1", 0), Handler)
    told = Endpoint(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sender() -> HttpSender:
    return HttpSender(allow_private=True, max_response_bytes=1_000_000)


@pytest.fixture
def guarded() -> HttpSender:
    return HttpSender(allow_private=False, max_response_bytes=1_000_000)


def outgoing(url: str, **changes: Any) -> Outgoing:
    usual = {"method": "POST", "headers": {}, "body": b"", "timeout": timedelta(seconds=5)}
    return Outgoing(url=url, **{**usual, **changes})


def failure(sender: HttpSender, url: str, **changes: Any) -> SendFailed:
    with pytest.raises(SendFailed) as failed:
        sender.send(outgoing(url, **changes))
    return failed.value


def resolve(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every host name have these addresses; gives the names that were looked up."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def lookup(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        if host in addresses:
            return real(host, port, *args, **kwargs)
        asked.append(host)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [found for address in addresses for found in real(address, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return asked


# What is sent, and what comes back


def test_a_request_arrives_as_it_was_given(endpoint: Endpoint, sender: HttpSender) -> None:
    request = outgoing(
        endpoint.url("/serve/order?x=1&x=%2F"),
        method="PUT",
        headers={"Content-Type": "text/plain", "X-Custom": "ünï"},
        body=b"\x00\xffbytes",
    )
    sender.send(request)
    (received,) = endpoint.received
    assert (received.method, received.target, received.body) == (
        "PUT",
        "/serve/order?x=1&x=%2F",
        b"\x00\xffbytes",
    )
    assert received.header("Host") == [f"127.0.0.1:{endpoint.port}"]
    assert received.header("Content-Type") == ["text/plain"]
    assert received.header("Content-Length") == ["7"]
    assert received.header("X-Custom") == ["ünï"]


def test_every_status_is_an_answer(endpoint: Endpoint, sender: HttpSender) -> None:
    cookies = [("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("x-LOWER", "kept")]
    endpoint.reply = lambda handler: answer(handler, 503, b'{"error":"later"}', *cookies)
    received = sender.send(outgoing(endpoint.url()))
    unpredictable = {"Date", "Server"}
    headers = {n: v for n, v in received.headers.items() if n not in unpredictable}
    assert Answer(status=received.status, headers=headers, body=received.body) == Answer(
        status=503,
        headers={"Set-Cookie": ["a=1", "b=2"], "X-Lower": ["kept"], "Content-Length": ["17"]},
        body=b'{"error":"later"}',
    )


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("", "/"),
        ("?x=1", "/?x=1"),
        ("//first", "//first"),
        ("//a:b@c/../d/.", "//a:b@c/../d/."),
        ("/a%2Fb;c=1", "/a%2Fb;c=1"),
        ("/ü?ü", "/%C3%BC?%C3%BC"),
        ("/path?https://other.example/#fragment", "/path?https://other.example/"),
    ],
)
def test_the_path_is_left_as_it_was_written(
    endpoint: Endpoint, sender: HttpSender, path: str, target: str
) -> None:
    sender.send(outgoing(endpoint.url(path)))
    assert [received.target for received in endpoint.received] == [target]


@pytest.mark.parametrize(
    ("given", "sent"),
    [({}, "Upstash-QStash"), ({"user-agent": "mine/1"}, "mine/1")],
    ids=["usual", "given"],
)
def test_requests_say_who_sends_them(
    endpoint: Endpoint, sender: HttpSender, given: dict[str, str], sent: str
) -> None:
    sender.send(outgoing(endpoint.url(), headers=given))
    assert endpoint.received[0].header("User-Agent") == [sent]


def test_the_connections_own_headers_are_not_the_callers(
    endpoint: Endpoint, sender: HttpSender
) -> None:
    headers = {
        "Host": "other.example",
        "content-length": "3",
        "Transfer-Encoding": "chunked",
        "Accept-Encoding": "gzip",
        "X-Kept": "1",
    }
    sender.send(outgoing(endpoint.url(), headers=headers, body=b"all of it"))
    (received,) = endpoint.received
    assert received.body == b"all of it"
    assert received.header("Host") == [f"127.0.0.1:{endpoint.port}"]
    assert received.header("Transfer-Encoding") == []
    assert received.header("Accept-Encoding") == ["identity"]
    assert received.header("X-Kept") == ["1"]


def test_headers_beyond_latin_1_go_out_as_utf_8(endpoint: Endpoint, sender: HttpSender) -> None:
    sender.send(outgoing(endpoint.url(), headers={"X-Name": "日本"}))
    assert endpoint.received[0].header("X-Name")[0].encode("latin-1").decode() == "日本"


@pytest.mark.parametrize(
    "headers",
    [{"X": "a\r\nInjected: 1"}, {"X\r\nInjected": "1"}, {"X": "\ud800"}, {"X\r\n": "1"}],
    ids=repr,
)
def test_headers_that_http_does_not_allow_send_nothing(
    endpoint: Endpoint, sender: HttpSender, headers: dict[str, str]
) -> None:
    failed = failure(sender, endpoint.url(), headers=headers)
    assert (failed.kind, failed.message.partition(":")[0]) == (
        "forbidden",
        "HTTP does not allow this request",
    )
    assert endpoint.received == []
    assert sender.send(outgoing(endpoint.url())).status == 200


def test_a_get_has_no_body(endpoint: Endpoint, sender: HttpSender) -> None:
    sender.send(outgoing(endpoint.url(), method="GET", body=None))
    (received,) = endpoint.received
    assert (received.method, received.header("Content-Length")) == ("GET", [])


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("POST", 204), ("POST", 304)])
def test_an_answer_may_have_no_body(
    endpoint: Endpoint, sender: HttpSender, method: str, status: int
) -> None:
    def bare(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        if method == "HEAD":
            handler.send_header("Content-Length", "99")
        handler.end_headers()

    endpoint.reply = bare
    for _ in range(2):
        received = sender.send(outgoing(endpoint.url(), method=method))
        assert (received.status, received.body) == (status, b"")
    assert len({received.connection for received in endpoint.received}) == 1


def test_an_answer_may_end_with_its_connection(endpoint: Endpoint, sender: HttpSender) -> None:
    def until_closed(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\nfine")
        handler.close_connection = True

    endpoint.reply = until_closed
    for _ in range(2):
        received = sender.send(outgoing(endpoint.url()))
        assert received == Answer(status=200, headers={}, body=b"fine")


def test_redirects_are_not_followed(endpoint: Endpoint, sender: HttpSender) -> None:
    endpoint.reply = lambda handler: answer(handler, 302, b"", ("Location", endpoint.url("/next")))
    received = sender.send(outgoing(endpoint.url("/first")))
    assert (received.status, received.headers["Location"]) == (302, [endpoint.url("/next")])
    assert [request.target for request in endpoint.received] == ["/first"]


def test_compressed_bodies_come_back_as_they_are(endpoint: Endpoint, sender: HttpSender) -> None:
    endpoint.reply = lambda handler: answer(handler, 200, b"\x1f\x8b", ("Content-Encoding", "gzip"))
    assert sender.send(outgoing(endpoint.url())).body == b"\x1f\x8b"


# Connections


def test_a_connection_is_used_again(endpoint: Endpoint, sender: HttpSender) -> None:
    for _ in range(3):
        sender.send(outgoing(endpoint.url()))
    assert len({received.connection for received in endpoint.received}) == 1


def test_a_connection_that_the_other_side_closed_is_replaced(
    endpoint: Endpoint, sender: HttpSender
) -> None:
    def last(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, 200, b"bye")
        handler.close_connection = True  # without saying so

    endpoint.reply = last
    for _ in range(3):
        assert sender.send(outgoing(endpoint.url())).body == b"bye"
        time.sleep(0.05)
    assert len({received.connection for received in endpoint.received}) == 3


def test_many_threads_share_a_sender(endpoint: Endpoint, sender: HttpSender) -> None:
    endpoint.reply = lambda handler: answer(handler, 200, handler.path.encode())
    paths = [f"/{n}" for n in range(200)]
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda path: sender.send(outgoing(endpoint.url(path))), paths)
    assert [received.body.decode() for received in answers] == paths
    assert len({received.connection for received in endpoint.received}) <= 8


# Time and size


def drip(handler: BaseHTTPRequestHandler, pieces: list[bytes]) -> None:
    for piece in pieces:
        handler.wfile.write(piece)
        handler.wfile.flush()
        time.sleep(0.05)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = [b"x"] * 200


@pytest.mark.parametrize(
    "pieces",
    [
        [b""] * 200,
        [b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 200],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n", *ENDLESS],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 200],
        [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", *ENDLESS],
        [*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 200],
    ],
    ids=["silence", "headers", "body", "chunks", "until closed", "continue"],
)
def test_the_timeout_bounds_the_whole_answer(
    endpoint: Endpoint, sender: HttpSender, pieces: list[bytes]
) -> None:
    endpoint.reply = lambda handler: drip(handler, pieces)
    began = time.monotonic()
    failed = failure(sender, endpoint.url(), timeout=timedelta(milliseconds=300))
    assert (failed.kind, failed.message) == (
        "timeout",
        "127.0.0.1 did not answer in full within 0.3s.",
    )
    assert 0.25 < time.monotonic() - began < 2
    endpoint.reply = lambda handler: answer(handler, 200, b"fine")
    assert sender.send(outgoing(endpoint.url())).body == b"fine"


def test_no_flood_of_promises_outlasts_the_timeout(endpoint: Endpoint, sender: HttpSender) -> None:
    def promise(handler: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)

    endpoint.reply = promise
    assert failure(sender, endpoint.url(), timeout=timedelta(milliseconds=300)).kind == "timeout"


def test_an_endpoint_that_does_not_read_is_given_up(sender: HttpSender) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        body = bytes(50_000_000)
        assert failure(sender, url, body=body, timeout=timedelta(milliseconds=300)).kind == (
            "timeout"
        )


def test_without_time_nothing_is_sent(endpoint: Endpoint, sender: HttpSender) -> None:
    failed = failure(sender, endpoint.url(), timeout=timedelta())
    assert (failed.kind, failed.message) == (
        "timeout",
        "There was no time left to send to 127.0.0.1.",
    )
    assert endpoint.received == []


def test_an_endless_timeout_is_as_good_as_a_day(endpoint: Endpoint, sender: HttpSender) -> None:
    assert sender.send(outgoing(endpoint.url(), timeout=timedelta.max)).status == 200


@pytest.mark.parametrize(
    "reply",
    [
        lambda handler: answer(handler, 200, bytes(1001)),
        lambda handler: handler.wfile.write(CHUNKED + b"3e9\r\n" + bytes(1001) + b"\r\n0\r\n\r\n"),
    ],
    ids=["declared", "chunked"],
)
def test_an_answer_beyond_the_limit_is_not_taken(endpoint: Endpoint, reply: Reply) -> None:
    sender = HttpSender(allow_private=True, max_response_bytes=1000)
    endpoint.reply = reply
    failed = failure(sender, endpoint.url())
    assert (failed.kind, failed.message) == (
        "forbidden",
        "The answer of 127.0.0.1 is larger than the 1000 bytes that MAX_PAYLOAD_BYTES allows.",
    )
    endpoint.reply = lambda handler: answer(handler, 200, bytes(1000))
    assert sender.send(outgoing(endpoint.url())).body == bytes(1000)


# No answer


@pytest.mark.parametrize(
    "pieces",
    [
        [b""],
        [b"HTTP/1.1 200 OK\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"],
        [CHUNKED + b"5\r\nsh"],
        [b"this is not HTTP\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\n" + b"X" * 100_000 + b"\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n"],
    ],
    ids=["nothing", "no end", "short", "short chunk", "not http", "long line", "many headers"],
)
def test_a_broken_answer_is_none(
    endpoint: Endpoint, sender: HttpSender, pieces: list[bytes]
) -> None:
    def broken(handler: BaseHTTPRequestHandler) -> None:
        drip(handler, pieces)
        handler.close_connection = True

    endpoint.reply = broken
    failed = failure(sender, endpoint.url())
    assert failed.kind == "unreachable"
    assert failed.message.startswith("127.0.0.1: ")


def test_a_port_where_nobody_listens_is_unreachable(sender: HttpSender) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        failed = failure(sender, f"http://127.0.0.1:{reserved.getsockname()[1]}/")
    assert failed.kind == "unreachable"
    assert "refused" in failed.message


def test_a_name_without_an_address_is_unreachable(
    sender: HttpSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch)
    failed = failure(sender, "https://nowhere.example/")
    assert (failed.kind, failed.message) == (
        "unreachable",
        "nowhere.example: there is no such host.",
    )


def test_the_next_address_is_tried_when_one_refuses(
    endpoint: Endpoint, sender: HttpSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch, "127.0.0.9", "127.0.0.1")
    assert sender.send(outgoing(endpoint.url(host="two.example"))).status == 200


def test_further_addresses_are_not_tried_when_the_time_is_up(
    sender: HttpSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []

    def hang(address: object, timeout: float, **kwargs: object) -> None:
        tried.append(address)
        time.sleep(timeout)
        raise TimeoutError("timed out")

    resolve(monkeypatch, "127.0.0.1", "127.0.0.2")
    monkeypatch.setattr(http_module, "create_connection", hang)
    failed = failure(sender, "http://slow.example/", timeout=timedelta(milliseconds=50))
    assert (failed.kind, failed.message) == ("timeout", "slow.example: timed out.")
    assert tried == [("127.0.0.1", 80)]


# Where requests may go


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "10.0.0.1",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "224.0.0.1",
        "255.255.255.255",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_private_addresses_are_refused_however_they_are_written(
    endpoint: Endpoint, guarded: HttpSender, scheme: str, host: str
) -> None:
    failed = failure(guarded, f"{scheme}://{host}:{endpoint.port}/")
    assert (failed.kind, failed.message) == (
        "forbidden",
        f"{host.strip('[]')} has no public address; to send there all the same, switch on "
        "ALLOW_PRIVATE_ADDRESSES in the setting WORKFLOWS.",
    )
    assert endpoint.received == []


def test_a_public_name_with_a_private_address_is_refused(
    endpoint: Endpoint, guarded: HttpSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch, "127.0.0.1", "::1")
    assert failure(guarded, endpoint.url(host="rebind.example")).kind == "forbidden"
    assert endpoint.received == []


def test_of_several_addresses_only_the_public_ones_are_tried(
    guarded: HttpSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []

    def refuse(address: object, *args: object, **kwargs: object) -> None:
        tried.append(address)
        raise ConnectionRefusedError("refused")

    resolve(monkeypatch, "10.0.0.1", "203.0.114.1", "127.0.0.1")
    monkeypatch.setattr(http_module, "create_connection", refuse)
    assert failure(guarded, "http://mixed.example/").kind == "unreachable"
    assert tried == [("203.0.114.1", 80)]


def test_a_connection_goes_to_the_address_that_was_checked(
    endpoint: Endpoint, sender: HttpSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolve(monkeypatch, "127.0.0.1")
    sender.send(outgoing(endpoint.url(host="once.example")))
    assert asked == ["once.example"]
    assert endpoint.received[0].header("Host") == [f"once.example:{endpoint.port}"]


@pytest.fixture
def encrypted(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Encrypts the endpoint as named.example; gives the names that clients ask it for."""
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    endpoint.server.socket = context.wrap_socket(endpoint.server.socket, server_side=True)
    resolve(monkeypatch, "127.0.0.1")
    return asked


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpSender]:
    """A sender on a system that trusts the certificate of named.example."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    http_module.tls_context.cache_clear()
    yield HttpSender(allow_private=True, max_response_bytes=1_000_000)
    http_module.tls_context.cache_clear()


def test_tls_goes_by_the_host_name(
    endpoint: Endpoint, encrypted: list[str | None], trusting: HttpSender
) -> None:
    for _ in range(2):
        assert trusting.send(outgoing(endpoint.url("/x", "named.example", "https"))).body == b"fine"
    assert encrypted == ["named.example"]  # once: the connection was kept
    assert endpoint.received[1].header("Host") == [f"named.example:{endpoint.port}"]


def test_the_timeout_bounds_an_encrypted_answer_too(
    endpoint: Endpoint, encrypted: list[str | None], trusting: HttpSender
) -> None:
    endpoint.reply = lambda handler: drip(handler, [CHUNKED, *[b"1\r\nx\r\n"] * 200])
    url = endpoint.url("/", "named.example", "https")
    assert failure(trusting, url, timeout=timedelta(milliseconds=300)).kind == "timeout"


def test_a_certificate_of_another_host_is_refused(
    endpoint: Endpoint, encrypted: list[str | None], trusting: HttpSender
) -> None:
    failed = failure(trusting, endpoint.url("/", "other.example", "https"))
    assert (failed.kind, encrypted) == ("unreachable", ["other.example"])
    assert "certificate" in failed.message
    assert endpoint.received == []


def test_a_certificate_of_an_unknown_authority_is_refused(
    endpoint: Endpoint, encrypted: list[str | None], sender: HttpSender
) -> None:
    failed = failure(sender, endpoint.url("/", "named.example", "https"))
    assert failed.kind == "unreachable"
    assert "certificate" in failed.message
    assert endpoint.received == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "https://user:secret@example.com/",
        "http://example.com\\@127.0.0.1/",
        "http://[::1/",
        "http://-ü-.example/",
        "http:///",
        "/relative",
        "",
    ],
)
def test_other_urls_are_refused_unsent(sender: HttpSender, url: str) -> None:
    failed = failure(sender, url)
    assert failed.kind == "forbidden"
    assert "secret" not in failed.message


# The sender of this process


def test_the_default_sender_follows_the_settings(endpoint: Endpoint, settings: Any) -> None:
    settings.WORKFLOWS = {"ALLOW_PRIVATE_ADDRESSES": False}
    assert failure(default_sender(), endpoint.url()).kind == "forbidden"
    settings.WORKFLOWS = {"ALLOW_PRIVATE_ADDRESSES": True, "MAX_PAYLOAD_BYTES": 4}
    assert default_sender().send(outgoing(endpoint.url())).body == b"fine"
    settings.WORKFLOWS = {"ALLOW_PRIVATE_ADDRESSES": True, "MAX_PAYLOAD_BYTES": 3}
    assert "MAX_PAYLOAD_BYTES" in failure(default_sender(), endpoint.url()).message


def test_the_default_sender_is_shared_but_not_with_other_processes(settings: Any) -> None:
    settings.WORKFLOWS = {"ALLOW_PRIVATE_ADDRESSES": True}
    ours = default_sender()
    assert default_sender() is ours
    child = os.fork()
    if child == 0:
        os._exit(0 if default_sender() is not ours else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
