"""The request to stop, which a signal handler makes and the loop obeys."""

import math
import time


class StopRequested(Exception):
    """A stop was requested while the worker waited for the brokers."""


class Stop:
    """Whether to stop, and by when."""

    def __init__(self, within_s: float) -> None:
        """within_s: how long what is in flight may take after the request."""
        self.within_s = within_s
        self.is_requested = False
        self.must_leave = False
        self.by = math.inf

    def request(self, *, leave: bool = False) -> None:
        """Safe in a signal handler. leave: this worker does not come back soon; a later request does not undo it."""
        self.must_leave = self.must_leave or leave
        self.by = min(self.by, time.monotonic() + self.within_s)
        self.is_requested = True

    def deadline(self) -> float:
        """By when work that begins to end now must have ended."""
        return min(self.by, time.monotonic() + self.within_s)

    def nap(self, seconds: float) -> None:
        """Sleep, unless it is time to stop."""
        if not self.is_requested:
            time.sleep(seconds)
