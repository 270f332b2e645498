"""One server of the sandbox as a child process: started, probed, hurt on purpose, and always put away."""

import fcntl
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final, Self

import psutil
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from stream.errors import SandboxError
from stream.sandbox.clean_environment import absolute_program, clean_environment

READY_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 10.0
LOG_TAIL_LINES: Final = 15
COMPLAINT: Final = re.compile(r"^E\d{4} |\bERROR\b|\bFATAL\b|Exception: ")
"""A server may say why it fails long before its last lines (Triton prints a table after it)."""


_PORT_LOCKS: Final = Path(tempfile.gettempdir()) / f"adjudicate-ports-{os.getuid()}"


@cache
def _port_locks() -> dict[int, int]:
    """Ports this process has taken, each with the descriptor of the locked file that keeps other sandboxes from it."""
    _PORT_LOCKS.mkdir(mode=0o700, exist_ok=True)
    return {}


def free_port() -> int:
    """A TCP port free on loopback, below the range the kernel hands to outgoing connections.

    A port from that range could be taken by a client's connection while a killed server is down. A server takes
    seconds to bind its port, so a file lock keeps the port for this process meanwhile.
    """
    for port in random.sample(range(20_000, 32_000), 200):
        if port not in _port_locks() and _is_free(port) and _lock_port(port):
            return port
    raise SandboxError("no free TCP port between 20000 and 32000 on 127.0.0.1")


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


def _lock_port(port: int) -> bool:
    """False where another process on this machine has taken the port. The lock ends with this process."""
    file = os.open(_PORT_LOCKS / str(port), os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return False
    _port_locks()[port] = file
    return True


class Leash:
    """Kills every part when this process dies, however it dies (see `stream.sandbox.leash`)."""

    def __init__(self) -> None:
        program = Path(__file__).with_name("leash.py")
        self._writing = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(program), str(os.getpid())],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def tell(self, sign: str, group: int) -> None:
        """`+`: watch a process group; `-`: forget it."""
        stdin = self._process.stdin
        with self._writing, suppress(BrokenPipeError):
            if stdin is not None:
                stdin.write(f"{sign}{group}\n".encode())
                stdin.flush()

    def close(self) -> None:
        """Kill what is still watched."""
        self._process.communicate()


def living_members(group: int) -> list[psutil.Process]:
    """Living processes of a group; a zombie only waits for its parent, which may be a careless init."""
    members = (process for process in psutil.process_iter(["status"]) if _group_of(process.pid) == group)
    return [process for process in members if process.info["status"] != psutil.STATUS_ZOMBIE]


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1


class Part:
    """A server with handles for faults. It runs in a separate process group, and every signal reaches the group.

    environment: every variable that it sees; by default what `clean_environment` keeps.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        probe: Callable[[], bool],
        leash: Leash,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.environment = dict(clean_environment() if environment is None else environment)
        self.log = log
        self._probe = probe
        self._leash = leash
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running server, which is also its process group. Raises SandboxError."""
        if self._process is None:
            raise SandboxError(f"{self.name} is not running")
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start the server, appending to its log; returns at once (see `wait_ready`)."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    [absolute_program(self.command[0]), *self.command[1:]],
                    env=self.environment,
                    cwd=self.log.parent,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise SandboxError(f"{self.name} cannot be started: {error}") from error
        self._leash.tell("+", self.pid)
        return self

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until the server answers. Raises SandboxError with the end of its log."""
        retrying = Retrying(
            retry=retry_if_result(lambda ready: not ready), stop=stop_after_delay(timeout_s), wait=wait_fixed(0.1)
        )
        try:
            retrying(self._answers)
        except RetryError:
            raise SandboxError(f"{self.name} is not ready after {timeout_s:g} s{self.log_tail()}") from None

    def _answers(self) -> bool:
        self.assert_alive()
        return self._probe()

    def assert_alive(self) -> None:
        """Raises SandboxError with the end of the server's log if it is not running."""
        if not self.is_alive():
            code = self._process.returncode if self._process else "a signal"
            raise SandboxError(f"{self.name} exited with {code}{self.log_tail()}")

    def log_tail(self) -> str:
        """The end of the log, and earlier lines that complain, to be appended to an error."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        mistakes = [line for line in lines[:-LOG_TAIL_LINES] if COMPLAINT.search(line)]
        return "\n".join([f"; its log {self.log} ends with:", *mistakes[-5:], *lines[-LOG_TAIL_LINES:]])

    def kill(self) -> None:
        """SIGKILL, as a crash or the kernel's memory killer would."""
        self._signal(signal.SIGKILL)
        self._reap()

    def pause(self) -> None:
        """SIGSTOP: the server hangs, its connections stay open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def request_stop(self) -> None:
        """SIGTERM without waiting; wakes a paused server first."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)

    def terminate(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """SIGTERM, then SIGKILL for whatever of the group is left after `timeout_s`."""
        self.request_stop()
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_s)
        self.kill()

    def restart(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Kill if need be, start on the same ports and data, wait until ready."""
        self.kill()
        self.start()
        self.wait_ready(timeout_s)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._wait_for_group(self._process.pid)
            self._leash.tell("-", self._process.pid)
            self._process = None

    def _wait_for_group(self, group: int) -> None:
        """A child outlives a killed server by a moment, and would hold its ports and files. Raises SandboxError."""
        retrying = Retrying(retry=retry_if_result(bool), stop=stop_after_delay(STOP_TIMEOUT_S), wait=wait_fixed(0.02))
        try:
            retrying(living_members, group)
        except RetryError:
            raise SandboxError(f"a child of {self.name} outlived its SIGKILL by {STOP_TIMEOUT_S:g} s") from None
