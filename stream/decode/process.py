"""One decode process, from its parent's side."""

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Final

from moderation.events import Status
from stream.decode.queue import Task
from stream.decode.wire import Gone, WorkerConfig, receive_ready, receive_reply, send_request

_START_TIMEOUT_S: Final = 60.0
_LAST_BREATH_S: Final = 10.0
"""How long a worker that has closed its end may take to exit."""
_SOCKET_BUFFER: Final = 1024 * 1024
_PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ")


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker that did not answer. tasks: without a reply, the suspect first."""

    tasks: list[Task]
    status: Status
    detail: str


class DecodeProcess:
    """One decode process. Raises Gone, OSError or TimeoutError where it does not come up."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._peer, theirs = socket.socketpair()
        for end in (self._peer, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "stream.decode.worker", str(theirs.fileno()), config.to_json()],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=_environment(),
            )
        try:
            receive_ready(self._peer, _START_TIMEOUT_S)
        except (Gone, OSError):
            self.close()
            raise

    def decode(self, tasks: list[Task], timeout_s: float) -> Lost | None:
        """Resolve the tasks in order; what is left unanswered when the worker fails comes back."""
        answered = 0
        try:
            send_request(self._peer, [task.data for task in tasks], timeout_s)
            for task in tasks:
                outcome = receive_reply(self._peer, self._config, timeout_s)
                answered += 1
                task.resolve(outcome)
        except TimeoutError:
            return Lost(tasks[answered:], Status.TIMEOUT, f"not decoded within {timeout_s:g} s")
        except Gone as gone:
            return Lost(tasks[answered:], Status.DECODE_CRASHED, f"decoder {self._cause_of_death(gone)}")
        return None

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def interrupt(self) -> None:
        """Kill it from another thread; the one that is talking to it then sees it gone."""
        self._process.kill()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._peer.close()

    def _cause_of_death(self, gone: Gone) -> str:
        if words := str(gone):
            return f"sent {words}"
        try:
            code = self._process.wait(_LAST_BREATH_S)
        except subprocess.TimeoutExpired:
            return "closed its end and lives on"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"


def _environment() -> dict[str, str]:
    """No secret of this process reaches a decoder; one thread and one arena keep its address space small."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX"), "1")
    # Looking for pydantic's plugins reads every installed package's metadata.
    quick = {"PYDANTIC_DISABLE_PLUGINS": "__all__"}
    return {**kept, **single, **quick, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
