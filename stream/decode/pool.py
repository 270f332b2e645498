"""A pool of decoder processes: an image that crashes, hangs or exhausts memory costs its event only.

Each worker process has one thread here that feeds it a few images at a time and reads one reply per image,
in order. So the first image without a reply when a worker dies or stalls is the suspect: it is tried once
more, alone; its neighbours are tried again as usual. A suspect that fails twice gets a status and goes on
the poison list.
"""

import hashlib
import os
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Final, Self

import structlog

from moderation.errors import ConfigurationError, ImageError
from moderation.images import Limits, Views
from stream.decode.poison import NoPoison, PoisonList
from stream.decode.process import DecodeProcess, Lost
from stream.decode.queue import Queue, Task
from stream.decode.wire import Gone, WorkerConfig

_log = structlog.get_logger(__name__)

_RESTART_PAUSE_S: Final = 1.0
_DEFAULT_LIMITS: Final = Limits()


class DecodePool:
    """Decodes images in `workers` processes.

    size:         S of the views, pixels.
    timeout_s:    wall time for one image, seconds; its worker is killed after that.
    memory_bytes: address space a worker may add to what it has when idle.
    poison:       where images that killed a decoder twice are remembered.
    decoder:      "module:function" with the signature of `moderation.images.views` (tests give a fake).

    Raises ConfigurationError where a worker cannot be started at all.
    """

    def __init__(  # noqa: PLR0913
        self,
        workers: int = 2,
        size: int = 224,
        limits: Limits = _DEFAULT_LIMITS,
        timeout_s: float = 10.0,
        memory_bytes: int = 1024 * 1024 * 1024,
        *,
        poison: PoisonList | None = None,
        decoder: str = "moderation.images:views",
    ) -> None:
        self._config = WorkerConfig(decoder, size, limits, memory_bytes, os.getpid())
        self._timeout_s = timeout_s
        self._poison = poison or NoPoison()
        self._queue = Queue(workers)
        self._slots = [_Slot(self, i) for i in range(workers)]
        for slot in self._slots:
            slot.thread.start()
        self._await_first_processes()

    def submit(self, data: bytes, sha256: str | None = None) -> "Future[Views]":
        """Decode one image file. `sha256` (hex) saves hashing where the caller knows it.

        The future raises ImageError: what `views` raises, DECODE_CRASHED for an image that killed its
        decoder twice, TIMEOUT for one that took too long twice; CancelledError where the pool was closed
        first. Raises RuntimeError after `close`.
        """
        task = Task(data, sha256 or hashlib.sha256(data).hexdigest())
        self._queue.put(task)
        return task.future

    def close(self) -> None:
        """Kill the workers and cancel what is not decoded. May be called twice."""
        self._queue.close()
        for slot in self._slots:
            slot.interrupt()
        for slot in self._slots:
            slot.thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _await_first_processes(self) -> None:
        for slot in self._slots:
            slot.came_up.wait()
        failed = next((slot.failure for slot in self._slots if slot.failure), None)
        if failed:
            self.close()
            raise ConfigurationError(f"decode workers cannot be started: {failed}")

    def start_process(self) -> DecodeProcess:
        return DecodeProcess(self._config)

    def take(self) -> list[Task]:
        """The next images for one process; empty when the pool is closed."""
        while chunk := self._queue.take():
            if wanted := [task for task in chunk if self._is_wanted(task)]:
                return wanted
        return []

    def decode(self, process: DecodeProcess, tasks: list[Task]) -> bool:
        """Whether the process still works after these images. No image is a suspect if it died idle."""
        if not process.is_alive():
            self._queue.put_back(tasks)
            return False
        lost = process.decode(tasks, self._timeout_s)
        if lost and self._queue.is_closed():
            self._queue.put_back(lost.tasks)
        elif lost:
            self._blame(lost)
        return lost is None

    def restarted(self) -> DecodeProcess | None:
        """A new process. Where none can be started (no memory, no process left), images wait for one."""
        while not self._queue.is_closed():
            try:
                return self.start_process()
            except (OSError, Gone) as error:
                _log.error("decoder_not_started", error=str(error))
                self._queue.pause(_RESTART_PAUSE_S)
        return None

    def _is_wanted(self, task: Task) -> bool:
        if not task.start():
            return False
        status = self._poison.seen(task.sha256)
        if status:
            task.resolve(ImageError(status, "this image killed or hung its decoder before"))
        return status is None

    def _blame(self, lost: Lost) -> None:
        suspect, *innocent = lost.tasks
        _log.warning("decoder_lost", sha256=suspect.sha256, status=lost.status.value, detail=lost.detail)
        if suspect.suspect:
            self._poison.add(suspect.sha256, lost.status)
            suspect.resolve(ImageError(lost.status, f"{lost.detail}, twice"))
        else:
            suspect.suspect = True
            innocent.append(suspect)
        self._queue.put_back(innocent)


class _Slot:
    """One thread and the process it feeds; when the process is lost, the next one."""

    def __init__(self, pool: DecodePool, number: int) -> None:
        self._pool = pool
        self._process: DecodeProcess | None = None
        self.came_up = threading.Event()
        self.failure: Exception | None = None
        self.thread = threading.Thread(target=self._run, name=f"decode-{number}", daemon=True)

    def interrupt(self) -> None:
        process = self._process
        if process:
            process.interrupt()

    def _run(self) -> None:
        self._start_first()
        while self._process and (tasks := self._pool.take()):
            if not self._pool.decode(self._process, tasks):
                self._process.close()
                self._process = self._pool.restarted()
        if self._process:
            self._process.close()

    def _start_first(self) -> None:
        try:
            self._process = self._pool.start_process()
        except (OSError, Gone) as error:
            self.failure = error
        self.came_up.set()
