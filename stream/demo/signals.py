"""Stopping on request: Ctrl-C and SIGTERM unwind the same way, so that whatever was started is stopped."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from stream.cli.terminal import print_notice


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGINT and SIGTERM end the process with code 130 or 143, after every open context has been left."""

    def interrupt(number: int, _: FrameType | None) -> None:
        print_notice("\nadjudicate: stopping")
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
