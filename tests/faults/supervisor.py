"""Keeps worker processes running, as an orchestrator would: what ends is started again."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from tests.faults.zygote import Forked, Zygote

ROOT: Final = Path(__file__).parents[2]


class Exit(NamedTuple):
    instance: str
    code: int
    at: float


@dataclass
class Kept:
    """One instance. `fault` strikes in its first `lives`."""

    instance: str
    command: str
    fault: str = "none"
    lives: int = 1
    environment: dict[str, str] = field(default_factory=dict)
    process: "Forked | subprocess.Popen[bytes] | None" = None
    wanted: bool = True
    added: float = field(default_factory=time.monotonic)


class Supervisor:
    """Starts, restarts and hurts workers. Logs stand in `directory`, one file an instance.

    With a zygote they are forked from it, without one each is a new interpreter.
    """

    def __init__(self, directory: Path, settings_file: Path, group_suffix: str, zygote: Zygote | None = None) -> None:
        self._zygote = zygote
        self._directory = directory
        self._settings_file = settings_file
        self._suffix = group_suffix
        self._kept: dict[str, Kept] = {}
        self._lock = threading.RLock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._thread.start()
        self.exits: list[Exit] = []

    def add(self, instance: str, command: str, fault: str = "none", lives: int = 1, **environment: str) -> None:
        """Keep a worker running. Two with one `command` name and `as_instance` would be twins: see `add_twin`."""
        (self._directory / f"{instance}.lives").unlink(missing_ok=True)
        with self._lock:
            self._kept[instance] = Kept(instance, command, fault, lives, environment)
            self._start(self._kept[instance])

    def add_twin(self, instance: str) -> str:
        """A second process with the instance name of another. Returns its name here."""
        twin = f"{instance}-twin"
        self.add(twin, self._kept[instance].command, ADJUDICATE_INSTANCE=instance)
        return twin

    def remove(self, instance: str, number: signal.Signals = signal.SIGTERM, timeout_s: float = 20.0) -> int:
        """End a worker for good. Returns its exit code."""
        with self._lock:
            kept = self._kept.pop(instance)
            kept.wanted = False
        return self._end(kept, number, timeout_s)

    def hurt(self, instance: str, number: signal.Signals) -> None:
        """To the worker itself, not to its decoders: they must notice on their own."""
        process = self._kept[instance].process
        if process is not None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)

    def instances(self, command: str = "") -> list[str]:
        return [kept.instance for kept in self._kept.values() if command in kept.command]

    def exits_since_added(self, instance: str) -> list[Exit]:
        added = self._kept[instance].added
        return [exit_ for exit_ in self.exits if exit_.instance == instance and exit_.at >= added]

    def has_fault(self, instance: str) -> bool:
        return self._kept[instance].fault != "none"

    def memory(self) -> dict[str, int]:
        """Resident bytes of each worker process (without its decoders)."""
        found = {}
        for kept in list(self._kept.values()):
            with suppress(psutil.Error):
                if kept.process is not None and kept.process.poll() is None:
                    found[kept.instance] = int(psutil.Process(kept.process.pid).memory_info().rss)
        return found

    def memory_by_process(self) -> dict[str, tuple[int, int]]:
        """Process id and resident bytes of each worker and of each of its decoders."""
        found = {}
        for kept in list(self._kept.values()):
            with suppress(psutil.Error):
                if kept.process is not None and kept.process.poll() is None:
                    worker = psutil.Process(kept.process.pid)
                    found[kept.instance] = (worker.pid, int(worker.memory_info().rss))
                    for number, decoder in enumerate(worker.children()):
                        name = f"{kept.instance} decoder {number}"
                        found[name] = (decoder.pid, int(decoder.memory_info().rss))
        return found

    def log(self, instance: str) -> str:
        return (self._directory / f"{instance}.log").read_text(errors="replace")

    def logs(self) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted(self._directory.glob("*.log")))

    def stop(self) -> dict[str, int]:
        """SIGTERM to all. Returns the exit codes."""
        self._ending.set()
        self._thread.join()
        with self._lock:
            kept, self._kept = list(self._kept.values()), {}
        for each in kept:
            if each.process is not None:
                each.process.send_signal(signal.SIGCONT)
                each.process.send_signal(signal.SIGTERM)
        return {each.instance: self._end(each, signal.SIGTERM, 20.0) for each in kept}

    def _start(self, kept: Kept) -> None:
        environment = {
            "ADJUDICATE_INSTANCE": kept.instance,
            "ADJUDICATE_TEST_LIVES": str(self._directory / f"{kept.instance}.lives"),
            "ADJUDICATE_TEST_STRUCK": str(kept.lives),
            **kept.environment,
        }
        arguments = [self._suffix, kept.fault, kept.command, "--settings", str(self._settings_file)]
        log = self._directory / f"{kept.instance}.log"
        kept.process = (
            self._zygote.start(arguments, environment, log) if self._zygote else _new(arguments, environment, log)
        )

    def _end(self, kept: Kept, number: signal.Signals, timeout_s: float) -> int:
        process = kept.process
        if process is None:
            return 0
        with suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _watch(self) -> None:
        while not self._ending.wait(0.1):
            with self._lock:
                for kept in self._kept.values():
                    if kept.wanted and kept.process is not None and (code := kept.process.poll()) is not None:
                        self.exits.append(Exit(kept.instance, code, time.monotonic()))
                        self._start(kept)


def _new(arguments: list[str], environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.faults.worker_main", *arguments],
            env=os.environ | environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
