"""The guarded fetcher: the only aiohttp client.

An address is checked three times: as a literal in the URL, in every answer of the resolver, and once more
when the socket for it is made. What connects is the checked address itself, so a name that changes its
answer in between (rebinding) changes nothing; `Host` and TLS keep the name.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from yarl import URL

from moderation.errors import ImageError
from moderation.events import Status, one_line
from stream.fetch.guard import Guard
from stream.fetch.names import CheckedResolver, Resolve, SystemNames
from stream.networks import Network

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OK: Final = 200
_ACCEPT: Final = "image/avif,image/webp,image/png,image/jpeg,image/gif"


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What a fetch may do.

    schemes, ports: everything else is refused.
    timeout_s:      for one image as a whole, redirects included; waiting for a turn is not counted.
    max_bytes:      of the body, counted as it arrives; a stated length is believed only when it is too big.
    max_concurrent, max_per_host: fetches under way at a time.
    """

    schemes: tuple[str, ...] = ("http", "https")
    ports: tuple[int, ...] = (80, 443)
    timeout_s: float = 2.0
    max_redirects: int = 3
    max_bytes: int = 10 * 1024 * 1024
    max_concurrent: int = 64
    max_per_host: int = 16
    user_agent: str = "Adjudicate/0.1"


class Fetcher:
    """Fetches images on an event loop in a separate thread.

    resolve:          (host, port) → addresses; the system's resolver unless a test gives another.
    tls:              context for https; the system's authorities unless given.
    allowed_networks: exempt from the rules for addresses: a CDN inside the operator's network.
    """

    def __init__(
        self,
        limits: FetchLimits = FetchLimits(),
        *,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
        allowed_networks: Sequence[Network] = (),
    ) -> None:
        self._limits = limits
        self._guard = Guard(limits.schemes, limits.ports, allowed_networks)
        self._turns = _Turns(limits.max_concurrent, limits.max_per_host)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fetch", daemon=True)
        self._thread.start()
        opening = self._open(resolve or SystemNames(), tls or ssl.create_default_context())
        self._session = asyncio.run_coroutine_threadsafe(opening, self._loop).result()

    def submit(self, url: str) -> "Future[bytes]":
        """Fetch one URL.

        The future raises ImageError: FETCH_FORBIDDEN (the URL, a redirect or an address breaks a rule),
        FETCH_FAILED (no connection, an HTTP status other than 200, an encoded or broken body), FETCH_TIMEOUT,
        TOO_LARGE. Raises RuntimeError after `close`.
        """
        if self._loop.is_closed():
            raise RuntimeError("the fetcher is closed")
        return asyncio.run_coroutine_threadsafe(self._fetch(url), self._loop)

    def close(self) -> None:
        """Cancel what is under way and end the thread. May be called twice."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._shut_down(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self, resolve: Resolve, tls: ssl.SSLContext) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=CheckedResolver(self._guard, resolve),
            socket_factory=self._checked_socket,
            use_dns_cache=False,
            limit=0,
            ssl=tls,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "Accept": _ACCEPT,
                "Accept-Encoding": "identity",
                "User-Agent": self._limits.user_agent,
            },
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            auto_decompress=False,
            trust_env=False,
        )

    async def _shut_down(self) -> None:
        pending = asyncio.all_tasks() - {asyncio.current_task()}
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await self._session.close()

    async def _fetch(self, text: str) -> bytes:
        url = self._guard.check_url(text)
        async with self._turns.turn(url.raw_host or ""):
            try:
                async with asyncio.timeout(self._limits.timeout_s):
                    return await self._follow(url)
            except TimeoutError as error:
                detail = f"no image within {self._limits.timeout_s:g} s"
                raise ImageError(Status.FETCH_TIMEOUT, detail) from error
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise _as_image_error(error) from error

    async def _follow(self, url: URL) -> bytes:
        for _ in range(self._limits.max_redirects + 1):
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await self._read(response)
                location = response.headers.get("Location", "")
            if not location:
                raise _failed(f"HTTP {response.status} without a Location")
            url = self._guard.check_redirect(url, location)
        raise _failed(f"more than {self._limits.max_redirects} redirects")

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, by its real length. Encoded bodies were not requested and could be bombs."""
        if response.status != _OK:
            raise _failed(f"HTTP {response.status}")
        encodings = response.headers.getall("Content-Encoding", ["identity"])
        if any(encoding.strip().lower() != "identity" for encoding in encodings):
            raise _failed(f"the body is encoded ({one_line(', '.join(encodings), 60)})")
        self._refuse_above_limit(response.content_length or 0)
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            self._refuse_above_limit(len(body))
        return bytes(body)

    def _refuse_above_limit(self, size: int) -> None:
        if size > self._limits.max_bytes:
            raise ImageError(Status.TOO_LARGE, f"more than {self._limits.max_bytes} bytes")

    def _checked_socket(self, info: tuple[Any, ...]) -> socket.socket:
        """The last check: no socket is made for a forbidden address."""
        family, kind, protocol, _name, address = info
        try:
            self._guard.check_address(str(address[0]))
        except ImageError as error:
            raise _ForbiddenSocket(error.detail) from error
        return socket.socket(family, kind, protocol)


class _ForbiddenSocket(PermissionError):
    """An OSError, because connectors expect nothing else from a socket."""


class _Turns:
    """Limits on fetches at a time: in all, and from one host."""

    def __init__(self, total: int, per_host: int) -> None:
        self._all = asyncio.Semaphore(total)
        self._per_host = per_host
        self._hosts: dict[str, _HostTurns] = {}

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        turns = self._hosts.setdefault(host, _HostTurns(asyncio.Semaphore(self._per_host)))
        turns.users += 1
        try:
            async with turns.free, self._all:
                yield
        finally:
            turns.users -= 1
            if not turns.users:
                del self._hosts[host]


@dataclass(slots=True)
class _HostTurns:
    free: asyncio.Semaphore
    users: int = field(default=0)


def _failed(detail: str) -> ImageError:
    return ImageError(Status.FETCH_FAILED, detail)


def _as_image_error(error: Exception) -> ImageError:
    """Never the text of an aiohttp error: it can hold the URL, and that a user's data."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, _ForbiddenSocket):
        return ImageError(Status.FETCH_FORBIDDEN, str(cause))
    words = cause.strerror if isinstance(cause, OSError) else None
    name = type(cause).__name__.lstrip("_")
    return _failed(one_line(f"{name}: {words}" if words else name, 160))
