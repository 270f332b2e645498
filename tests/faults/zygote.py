"""Starts workers by fork from a process that has imported everything: tests start dozens, and imports are slow.

Run as a process it reads one JSON request a line (`{"arguments": […], "environment": {…}, "log": "…"}`) and
writes `started PID` and `ended PID CODE`. What runs in the fork is `worker_main.main`, as it would after exec.
"""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from queue import Queue
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]


class Forked:
    """A worker process: the part of `subprocess.Popen` that the supervisor uses."""

    def __init__(self, pid: int, ended: dict[int, int]) -> None:
        self.pid = pid
        self._ended = ended

    def poll(self) -> int | None:
        return self._ended.get(self.pid)

    def wait(self, timeout: float | None = None) -> int:
        deadline = time.monotonic() + (timeout if timeout is not None else 1e9)
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            time.sleep(0.02)
        return code

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            if self.poll() is None:
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Zygote:
    """The process that forks, seen from outside."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        self._started: Queue[int] = Queue()
        self._ended: dict[int, int] = {}
        self._lock = threading.Lock()
        self._listener = threading.Thread(target=self._listen, name="zygote", daemon=True)
        self._listener.start()

    def start(self, arguments: list[str], environment: dict[str, str], log: Path) -> Forked:
        request = {"arguments": arguments, "environment": environment, "log": str(log)}
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            return Forked(self._started.get(timeout=60), self._ended)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._listener.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, pid, *code = line.split()
            if word == "started":
                self._started.put(int(pid))
            else:
                self._ended[int(pid)] = int(code[0])


def _serve() -> None:
    from tests.faults import worker_main

    waiting = ""
    while True:
        if select.select([0], [], [], 0.02)[0]:
            if not (text := os.read(0, 65536).decode()):
                return
            waiting += text
            *requests, waiting = waiting.split("\n")
            for request in requests:
                _say(f"started {_fork(json.loads(request), worker_main.run)}")
        _reap()


def _fork(request: dict[str, Any], run: Any) -> int:
    if pid := os.fork():
        return pid
    code = 1
    try:
        log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(number, target)
        os.environ.update(request["environment"])
        run(request["arguments"])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does for a process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _reap() -> None:
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            _say(f"ended {pid} {os.waitstatus_to_exitcode(status)}")
    except ChildProcessError:
        return


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    _serve()
