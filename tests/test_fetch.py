"""The fetcher against a server on loopback. No test lets a packet out: `sock_connect` is watched, and a
connection to anything but loopback fails the test before it is tried."""

import asyncio
import gzip
import socket
import ssl
import threading
import time
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Awaitable, Callable, Iterator, Sequence
from ipaddress import ip_network
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from moderation.errors import ImageError
from moderation.events import Status
from stream.fetch import Fetcher, FetchLimits
from stream.fetch.names import CheckedResolver
from stream.settings import Settings
from stream.start_score import make_fetcher

LOOPBACK = (ip_network("127.0.0.1/32"),)
IMAGE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20


class Connections(list[str]):
    """Addresses that a connection was tried to."""


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> Connections:
    tried = Connections()
    real = BaseSelectorEventLoop.sock_connect

    async def watched(loop: BaseSelectorEventLoop, sock: socket.socket, address: Any) -> None:
        tried.append(address[0])
        if address[0] != "127.0.0.1":
            raise ConnectionRefusedError(f"the test stopped a connection to {address[0]}")
        await real(loop, sock, address)

    monkeypatch.setattr(BaseSelectorEventLoop, "sock_connect", watched)
    return tried


Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Raw HTTP/1.1 on loopback: `pages` maps a path to a handler, `requests` keeps the heads."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.pages: dict[str, Handler] = {}
        self.requests: list[bytes] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self._server = asyncio.run_coroutine_threadsafe(_as_coroutine(starting), self._loop).result()
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(head)
            await self.pages[head.split(b" ")[1].decode().partition("?")[0]](head, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def _as_coroutine(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def answer(body: bytes = IMAGE, status: str = "200 OK", **headers: str) -> Handler:
    async def handler(head: bytes, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()

    return handler


def names(table: dict[str, Sequence[str]]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    async def resolve(host: str, port: int) -> Sequence[str]:
        if host not in table:
            raise OSError("no such name")
        return table[host]

    return resolve


def fetcher(server: Server, table: dict[str, Sequence[str]] | None = None, **limits: Any) -> Fetcher:
    allowed = FetchLimits(**{"ports": (80, 443, server.port), "timeout_s": 5.0, **limits})
    table = {"cdn.test": ["127.0.0.1"], **(table or {})}
    return Fetcher(allowed, resolve=names(table), allowed_networks=LOOPBACK)


def status_of(fetch: Fetcher, url: str) -> Status:
    try:
        fetch.submit(url).result(30)
    except ImageError as error:
        return error.status
    return Status.OK


def test_an_image_comes_back_byte_for_byte(server: Server) -> None:
    server.pages["/a.png"] = answer()
    fetch = fetcher(server)
    assert fetch.submit(f"http://cdn.test:{server.port}/a.png?w=1#top").result(30) == IMAGE
    fetch.close()
    head = server.requests[0].decode()
    assert head.startswith("GET /a.png?w=1 HTTP/1.1\r\n")
    assert f"Host: cdn.test:{server.port}\r\n" in head
    assert "Accept-Encoding: identity\r\n" in head
    assert "Cookie" not in head


def test_the_name_is_kept_for_tls(tmp_path: Any) -> None:
    authority = trustme.CA()
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("cdn.test").configure_cert(served)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    server = Server(served)
    server.pages["/a.png"] = answer()
    fetch = Fetcher(
        FetchLimits(ports=(server.port,), timeout_s=5),
        resolve=names({"cdn.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]}),
        tls=trusting,
        allowed_networks=LOOPBACK,
    )
    assert fetch.submit(f"https://cdn.test:{server.port}/a.png").result(30) == IMAGE
    assert status_of(fetch, f"https://other.test:{server.port}/a.png") is Status.FETCH_FAILED
    fetch.close()
    server.close()


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["127.0.0.2"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
        ["fe80::1%eth0"],
        ["100.64.0.1"],
        ["224.0.0.1"],
        ["127.0.0.1", "10.0.0.1"],
        ["8.8.8.8", "::1"],
        ["nonsense"],
    ],
)
def test_a_name_that_leads_inside_is_refused_before_any_connection(
    server: Server, connections: Connections, addresses: list[str]
) -> None:
    fetch = fetcher(server, {"trap.test": addresses})
    assert status_of(fetch, f"http://trap.test:{server.port}/") is Status.FETCH_FORBIDDEN
    fetch.close()
    assert connections == []


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[64:ff9b::a00:1]/",
        "http://user:pw@cdn.test/",
        "http://cdn.test:6379/",
        "file:///etc/passwd",
        "ftp://cdn.test/",
    ],
)
def test_a_forbidden_url_causes_no_connection(server: Server, connections: Connections, url: str) -> None:
    fetch = fetcher(server)
    assert status_of(fetch, url) is Status.FETCH_FORBIDDEN
    fetch.close()
    assert connections == []


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "//10.0.0.1/",
        "http://trap.test/",
        "file:///etc/passwd",
        "http://user:pw@cdn.test/",
        "http://cdn.test:22/",
        "http://2130706433/",
    ],
)
def test_a_redirect_is_checked_like_the_first_url(server: Server, connections: Connections, location: str) -> None:
    server.pages["/go"] = answer(b"", "302 Found", Location=location)
    fetch = fetcher(server, {"trap.test": ["192.168.0.1"]})
    assert status_of(fetch, f"http://cdn.test:{server.port}/go") is Status.FETCH_FORBIDDEN
    fetch.close()
    assert connections == ["127.0.0.1"]


@pytest.mark.parametrize(("hops", "expected"), [(3, Status.OK), (4, Status.FETCH_FAILED)])
def test_three_redirects_are_followed(server: Server, hops: int, expected: Status) -> None:
    for hop in range(hops):
        server.pages[f"/{hop}"] = answer(b"", "301 Moved", Location=f"/{hop + 1}")
    server.pages[f"/{hops}"] = answer()
    fetch = fetcher(server)
    assert status_of(fetch, f"http://cdn.test:{server.port}/0") is expected
    fetch.close()


def test_a_name_that_changes_its_answer_is_met_with_the_check_each_time(
    server: Server, connections: Connections
) -> None:
    """Rebinding: public at the check, private at the connection. Here there is one look-up for both."""
    answers = iter([["127.0.0.1"], ["10.0.0.1"], ["10.0.0.1"]])
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return next(answers)

    server.pages["/a.png"] = answer()
    limits = FetchLimits(ports=(server.port,), timeout_s=5)
    fetch = Fetcher(limits, resolve=rebinding, allowed_networks=LOOPBACK)
    url = f"http://rebind.test:{server.port}/a.png"
    assert fetch.submit(url).result(30) == IMAGE
    assert (asked, connections) == (["rebind.test"], ["127.0.0.1"])
    assert status_of(fetch, url) is Status.FETCH_FORBIDDEN
    fetch.close()
    assert connections == ["127.0.0.1"]


def test_no_socket_is_made_for_an_address_that_slipped_through(
    server: Server, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last door, with the resolver's check taken away."""

    async def unchecked(resolver: CheckedResolver, host: str, port: int = 0, family: Any = 0) -> Any:
        return [{"hostname": host, "host": "10.0.0.1", "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    monkeypatch.setattr(CheckedResolver, "resolve", unchecked)
    fetch = fetcher(server)
    assert status_of(fetch, f"http://trap.test:{server.port}/") is Status.FETCH_FORBIDDEN
    fetch.close()
    assert connections == []


def test_an_endless_body_is_cut_at_the_limit(server: Server) -> None:
    sent = 0

    async def endless(head: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            writer.write(bytes(65536))
            await writer.drain()
            sent += 65536

    server.pages["/endless"] = endless
    fetch = fetcher(server, max_bytes=1_000_000, timeout_s=30.0)
    assert status_of(fetch, f"http://cdn.test:{server.port}/endless") is Status.TOO_LARGE
    fetch.close()
    assert sent < 30_000_000


def test_a_stated_length_above_the_limit_is_enough(server: Server) -> None:
    async def boasting(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(60)

    server.pages["/big"] = boasting
    fetch = fetcher(server, timeout_s=30.0)
    assert status_of(fetch, f"http://cdn.test:{server.port}/big") is Status.TOO_LARGE
    fetch.close()


def test_a_lying_length_does_not_help(server: Server) -> None:
    async def short(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 100)

    server.pages["/short"] = short
    fetch = fetcher(server)
    assert status_of(fetch, f"http://cdn.test:{server.port}/short") is Status.FETCH_FAILED
    fetch.close()


@pytest.mark.parametrize("slow_part", ["head", "body"])
def test_a_slow_drip_ends_at_the_total_time(server: Server, slow_part: str) -> None:
    async def drip(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + (b"" if slow_part == "head" else b"\r\n"))
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.05)

    server.pages["/drip"] = drip
    fetch = fetcher(server, timeout_s=0.5)
    began = time.monotonic()
    assert status_of(fetch, f"http://cdn.test:{server.port}/drip") is Status.FETCH_TIMEOUT
    assert time.monotonic() - began < 20
    fetch.close()


def test_redirects_share_one_time_limit(server: Server) -> None:
    async def slow(head: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.4)
        await answer(b"", "302 Found", Location="/slow")(head, writer)

    server.pages["/slow"] = slow
    fetch = fetcher(server, timeout_s=0.9)
    assert status_of(fetch, f"http://cdn.test:{server.port}/slow") is Status.FETCH_TIMEOUT
    fetch.close()


def test_a_name_server_that_never_answers_is_a_timeout(server: Server) -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return []

    fetch = Fetcher(FetchLimits(ports=(80,), timeout_s=0.3), resolve=never)
    assert status_of(fetch, "http://cdn.test/") is Status.FETCH_TIMEOUT
    fetch.close()


def test_an_encoded_body_is_refused_unread(server: Server) -> None:
    server.pages["/bomb"] = answer(gzip.compress(bytes(50_000_000)), Content_Encoding="gzip")
    fetch = fetcher(server)
    with pytest.raises(ImageError, match="encoded") as refused:
        fetch.submit(f"http://cdn.test:{server.port}/bomb").result(30)
    fetch.close()
    assert refused.value.status is Status.FETCH_FAILED


@pytest.mark.parametrize("status", ["404 Not Found", "500 Broken", "204 No Content", "206 Partial Content"])
def test_only_a_whole_answer_counts(server: Server, status: str) -> None:
    server.pages["/x"] = answer(b"", status)
    fetch = fetcher(server)
    assert status_of(fetch, f"http://cdn.test:{server.port}/x") is Status.FETCH_FAILED
    fetch.close()


def test_garbage_and_huge_heads_are_failures(server: Server) -> None:
    async def garbage(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xff not http\r\n\r\n")

    async def huge(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n")
        await writer.drain()

    server.pages.update({"/garbage": garbage, "/huge": huge})
    fetch = fetcher(server)
    for path in ("/garbage", "/huge"):
        assert status_of(fetch, f"http://cdn.test:{server.port}{path}") is Status.FETCH_FAILED
    fetch.close()


def test_unknown_names_and_closed_ports_are_failures(server: Server) -> None:
    fetch = fetcher(server)
    assert status_of(fetch, "http://unknown.test/") is Status.FETCH_FAILED
    server.close = lambda: None  # type: ignore[method-assign]
    Server.close(server)
    assert status_of(fetch, f"http://cdn.test:{server.port}/") is Status.FETCH_FAILED
    fetch.close()


def test_proxies_of_the_environment_are_not_used(
    server: Server, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://10.9.9.9:3128")
    server.pages["/a.png"] = answer()
    fetch = fetcher(server)
    assert fetch.submit(f"http://cdn.test:{server.port}/a.png").result(30) == IMAGE
    fetch.close()
    assert set(connections) == {"127.0.0.1"}


def test_one_host_gets_only_its_share_of_connections(server: Server) -> None:
    under_way, most = 0, 0

    async def counted(head: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.05)
        under_way -= 1
        await answer()(head, writer)

    server.pages["/a.png"] = counted
    fetch = fetcher(server, max_per_host=3, timeout_s=20.0)
    waiting = [fetch.submit(f"http://cdn.test:{server.port}/a.png") for _ in range(20)]
    assert [future.result(30) for future in waiting] == [IMAGE] * 20
    fetch.close()
    assert most == 3


def test_closing_cancels_what_is_under_way(server: Server) -> None:
    async def hang(head: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    server.pages["/hang"] = hang
    fetch = fetcher(server, timeout_s=60.0)
    waiting = fetch.submit(f"http://cdn.test:{server.port}/hang")
    fetch.close()
    fetch.close()
    assert waiting.cancelled()
    with pytest.raises(RuntimeError, match="closed"):
        fetch.submit("http://cdn.test/")


def test_errors_never_show_the_query(server: Server) -> None:
    server.pages["/x"] = answer(b"", "302 Found", Location="http://[/?user=alice")
    fetch = fetcher(server)
    for url in (f"http://cdn.test:{server.port}/x?user=alice", "http://unknown.test/?user=alice"):
        with pytest.raises(ImageError) as failed:
            fetch.submit(url).result(30)
        assert "alice" not in str(failed.value)
    fetch.close()


def test_the_system_resolver_is_checked_too(connections: Connections) -> None:
    fetch = Fetcher(FetchLimits(ports=(80,)))
    assert status_of(fetch, "http://localhost/") is Status.FETCH_FORBIDDEN
    fetch.close()
    assert connections == []


# -- fetch.allow_networks ---------------------------------------------------------------------


def by_setting(server: Server, *networks: str, **table: Sequence[str]) -> Fetcher:
    """The fetcher that a worker makes from its settings, with names from a table."""
    settings = Settings.model_validate(
        {"fetch": {"enabled": True, "schemes": ["http"], "ports": [server.port], "allow_networks": networks}}
    )
    made = make_fetcher(settings, resolve=names({f"{name}.test": found for name, found in table.items()}))
    assert made is not None
    return made


def test_no_network_is_allowed_by_default(server: Server, connections: Connections) -> None:
    fetch = by_setting(server, cdn=["127.0.0.1"])
    assert Settings().fetch.allow_networks == ()
    assert status_of(fetch, f"http://cdn.test:{server.port}/") is Status.FETCH_FORBIDDEN
    assert status_of(fetch, f"http://127.0.0.1:{server.port}/") is Status.FETCH_FORBIDDEN
    fetch.close()
    assert connections == []


def test_an_internal_cdn_is_allowed_by_its_network(server: Server, connections: Connections) -> None:
    server.pages["/a.png"] = answer()
    server.pages["/go"] = answer(b"", "302 Found", Location=f"http://127.0.0.1:{server.port}/a.png")
    fetch = by_setting(server, "127.0.0.0/8", cdn=["127.0.0.1"])
    for url in ("http://cdn.test:{}/a.png", "http://127.0.0.1:{}/a.png", "http://cdn.test:{}/go"):
        assert fetch.submit(url.format(server.port)).result(30) == IMAGE
    fetch.close()
    assert set(connections) == {"127.0.0.1"}


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["fd00:ec2::254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["::127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
        ["127.0.0.1", "10.0.0.1"],
        ["127.0.0.1", "::ffff:127.0.0.1"],
    ],
)
def test_an_allowed_network_opens_no_other_address(
    server: Server, connections: Connections, addresses: list[str]
) -> None:
    fetch = by_setting(server, "127.0.0.0/8", "169.254.0.0/16", "fd00::/8", trap=addresses)
    assert status_of(fetch, f"http://trap.test:{server.port}/") is Status.FETCH_FORBIDDEN
    fetch.close()
    assert connections == []


@pytest.mark.parametrize(
    "location",
    [
        "http://10.0.0.1:{}/",
        "http://169.254.169.254:{}/latest/meta-data/",
        "http://[::ffff:127.0.0.1]:{}/a.png",
        "http://trap.test:{}/a.png",
        "http://127.0.0.1:22/a.png",
        "http://user@127.0.0.1:{}/a.png",
        "http://2130706433:{}/a.png",
        "https://127.0.0.1:{}/a.png",
    ],
)
def test_a_redirect_from_an_allowed_network_goes_nowhere_else(
    server: Server, connections: Connections, location: str
) -> None:
    server.pages["/go"] = answer(b"", "302 Found", Location=location.format(server.port))
    fetch = by_setting(server, "127.0.0.0/8", cdn=["127.0.0.1"], trap=["192.168.0.1"])
    assert status_of(fetch, f"http://cdn.test:{server.port}/go") is Status.FETCH_FORBIDDEN
    fetch.close()
    assert connections == ["127.0.0.1"]


def test_rebinding_out_of_an_allowed_network_is_met(server: Server, connections: Connections) -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return next(answers)

    server.pages["/a.png"] = answer()
    limits = FetchLimits(ports=(server.port,), timeout_s=5)
    fetch = Fetcher(limits, resolve=rebinding, allowed_networks=(ip_network("127.0.0.0/8"),))
    url = f"http://rebind.test:{server.port}/a.png"
    assert fetch.submit(url).result(30) == IMAGE
    assert status_of(fetch, url) is Status.FETCH_FORBIDDEN
    fetch.close()
    assert connections == ["127.0.0.1"]


@pytest.mark.parametrize(
    "network", ["0.0.0.0/0", "::/0", "64:ff9b::/96", "::ffff:10.0.0.0/104", "10.0.0.1/8", "cdn.test"]
)
def test_settings_refuse_networks_that_could_not_be_meant(network: str) -> None:
    with pytest.raises(ValidationError, match=r"allow_networks"):
        Settings.model_validate({"fetch": {"allow_networks": [network]}})
