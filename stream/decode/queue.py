"""Images waiting for a decode worker."""

import threading
from collections import deque
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Final

from moderation.images import Views

_MAX_CHUNK: Final = 8
_MAX_CHUNK_BYTES: Final = 4 * 1024 * 1024


@dataclass(slots=True, eq=False)
class Task:
    data: bytes
    sha256: str
    future: "Future[Views]" = field(default_factory=Future)
    suspect: bool = False
    running: bool = False

    def start(self) -> bool:
        """False where the caller cancelled it before its first try."""
        self.running = self.running or self.future.set_running_or_notify_cancel()
        return self.running

    def resolve(self, outcome: Views | BaseException) -> None:
        if isinstance(outcome, BaseException):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)

    def cancel(self) -> None:
        if not self.future.cancel():
            self.resolve(CancelledError())


class Queue:
    """Images waiting for a worker. A suspect is handed out alone, at once."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._waiting: deque[Task] = deque()
        self._suspects: deque[Task] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def put(self, task: Task) -> None:
        with self._changed:
            if self._closed:
                raise RuntimeError("the decode pool is closed")
            self._waiting.append(task)
            # All: who pauses waits here too, and would take a single call without taking the task.
            self._changed.notify_all()

    def put_back(self, tasks: list[Task]) -> None:
        with self._changed:
            self._suspects.extend(task for task in tasks if task.suspect)
            self._waiting.extendleft(reversed([task for task in tasks if not task.suspect]))
            self._changed.notify_all()
            if self._closed:
                self._cancel_all()

    def take(self) -> list[Task]:
        """The next chunk, in order; empty when closed. Small chunks while little is waiting, so that no
        worker idles."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting or self._suspects)
            if self._closed:
                return []
            if self._suspects:
                return [self._suspects.popleft()]
            wanted = max(1, min(_MAX_CHUNK, len(self._waiting) // self._workers))
            chunk = [self._waiting.popleft()]
            room = _MAX_CHUNK_BYTES - len(chunk[0].data)
            while len(chunk) < wanted and len(self._waiting[0].data) <= room:
                chunk.append(self._waiting.popleft())
                room -= len(chunk[-1].data)
            return chunk

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._cancel_all()

    def is_closed(self) -> bool:
        return self._closed

    def pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)

    def _cancel_all(self) -> None:
        for task in (*self._suspects, *self._waiting):
            task.cancel()
        self._suspects.clear()
        self._waiting.clear()
