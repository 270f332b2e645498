"""Resolving host names. A slow or malicious name server costs only the URLs that need it."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from moderation.errors import ImageError
from moderation.events import Status
from stream.fetch.guard import Guard

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) → addresses as text. Raises OSError where the name has none."""

_MAX_LOOKUPS: Final = 128


class CheckedResolver(AbstractResolver):
    """Resolves once per connection and answers only with addresses that passed the guard.

    One forbidden address among several refuses the name: an attacker may choose the order.
    """

    def __init__(self, guard: Guard, resolve: Resolve) -> None:
        self._guard = guard
        self._resolve = resolve

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002
    ) -> list[ResolveResult]:
        addresses = [self._guard.check_address(address) for address in await self._resolve(host, port)]
        if not addresses:
            raise OSError("the host name has no address")
        return [_result(host, port, address) for address in addresses]

    async def close(self) -> None: ...


class SystemNames:
    """`getaddrinfo` on daemon threads, at most 128: a hanging look-up delays neither others nor the exit."""

    def __init__(self) -> None:
        self._room = threading.BoundedSemaphore(_MAX_LOOKUPS)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        if not self._room.acquire(blocking=False):
            raise ImageError(Status.FETCH_TIMEOUT, "too many name look-ups are hanging")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[str]] = loop.create_future()
        threading.Thread(target=self._look_up, args=(host, port, loop, answer), daemon=True).start()
        return await answer

    def _look_up(
        self, host: str, port: int, loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[Sequence[str]]"
    ) -> None:
        try:
            outcome: Sequence[str] | OSError = _addresses(host, port)
        except (OSError, UnicodeError) as error:
            outcome = OSError(f"the host name cannot be resolved: {error}")
        finally:
            self._room.release()
        try:
            loop.call_soon_threadsafe(_deliver, answer, outcome)
        except RuntimeError:  # The loop was closed meanwhile, and no caller waits.
            return


def _addresses(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _deliver(answer: "asyncio.Future[Sequence[str]]", outcome: Sequence[str] | OSError) -> None:
    if answer.done():
        return
    if isinstance(outcome, OSError):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)


def _result(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=family,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
