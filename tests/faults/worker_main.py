"""Runs a real worker (`adjudicate score|decide`), with a fault built into one of its seams.

Usage: worker_main.py GROUP_SUFFIX FAULT COMMAND... where FAULT is a name of `FAULTS`, or `none`.
A fault strikes in the first lives of an instance only: `ADJUDICATE_TEST_LIVES` counts them.
"""

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, NoReturn

from moderation.policy import PolicySet
from stream import cli, running, score, worker
from stream.kafka import Output, Record, Sink, Source
from stream.metrics import STALLED_EXIT_CODE
from stream.worker import Outputs

AT_COMMIT: Final = 10
"""Faults of a transaction strike in this one of a process's life, when load flows through it."""

_real_call: Final = Sink._call


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _at_step(step_name: str, act: Callable[[Sink], None]) -> None:
    """Do `act` just before the n-th call of one step of a transaction."""
    seen = 0

    def call(self: Sink, step: Callable[..., Any], *arguments: Any) -> None:
        nonlocal seen
        seen += step.__name__ == step_name
        if step.__name__ == step_name and seen == AT_COMMIT:
            act(self)
        _real_call(self, step, *arguments)

    Sink._call = call  # type: ignore[method-assign]


def kill_before_produce() -> None:
    real, sent = Sink._produce, 0

    def produce(self: Sink, output: Output, origin: Any, alone: bool) -> None:
        nonlocal sent
        sent += 1
        if sent == AT_COMMIT * 20:
            _die()
        real(self, output, origin, alone)

    Sink._produce = produce  # type: ignore[method-assign]


def kill_before_offsets() -> None:
    """The brokers have the records of the transaction, but not its offsets."""

    def flush_and_die(sink: Sink) -> None:
        sink._producer.flush(10)
        _die()

    _at_step("send_offsets_to_transaction", flush_and_die)


def kill_before_commit() -> None:
    """The brokers have records and offsets, but not the word."""
    _at_step("commit_transaction", lambda _: _die())


def kill_during_commit() -> None:
    _at_step("commit_transaction", lambda _: threading.Timer(0.002, _die).start())


def kill_when_revoked() -> None:
    """Between giving partitions up and saying so: the group waits for that word before it hands them on."""
    real = Source._on_revoke

    def revoked(self: Source, *arguments: Any) -> None:
        real(self, *arguments)
        _die()

    Source._on_revoke = revoked  # type: ignore[method-assign,assignment]


def sleep_before_commit() -> None:
    """The thread that polls is away for longer than `max.poll.interval.ms`."""
    _at_step("commit_transaction", lambda _: time.sleep(14))


def raise_in_policy() -> None:
    real = PolicySet._judged

    def judged(self: PolicySet, events: Any, *arguments: Any, **options: Any) -> Any:
        if any(event.event_id.endswith("7") for event in events):
            raise RuntimeError("a bug in policy code")
        return real(self, events, *arguments, **options)

    PolicySet._judged = judged  # type: ignore[method-assign]


def stall() -> None:
    """A batch that is never answered."""
    real, batches = score.ScoreStage.submit, 0

    def submit(self: score.ScoreStage, records: list[Record]) -> "Future[Outputs]":
        nonlocal batches
        batches += 1
        return Future() if batches == AT_COMMIT else real(self, records)

    score.ScoreStage.submit = submit  # type: ignore[method-assign,assignment]


FAULTS: Final[dict[str, Callable[[], None]]] = {
    fault.__name__: fault
    for fault in (
        kill_before_produce,
        kill_before_offsets,
        kill_before_commit,
        kill_during_commit,
        kill_when_revoked,
        sleep_before_commit,
        raise_in_policy,
        stall,
    )
}


def _use_group(suffix: str) -> None:
    """Tests that share a cluster must not share consumer groups or transactional ids."""
    real = worker.Worker

    def make(settings: Any, stage: Any, **options: Any) -> worker.Worker:
        return real(settings, stage, **options | {"group": f"adjudicate-{stage.name}-{suffix}"})

    vars(running)["Worker"] = make


def _is_struck(file: Path, lives: int) -> bool:
    """Whether this is one of the first lives; counts it."""
    with file.open("a") as log:
        log.write("+")
    return file.stat().st_size <= lives


def _tell_where_it_stalled() -> None:
    """The watchdog's last act, with the stack of every thread in the log."""
    real = os._exit

    def leave(code: int) -> NoReturn:
        if code == STALLED_EXIT_CODE:
            faulthandler.dump_traceback(all_threads=True)
        real(code)

    vars(os)["_exit"] = leave


def run(arguments: list[str]) -> None:
    suffix, fault, *command = arguments
    _use_group(suffix)
    _tell_where_it_stalled()
    if fault != "none" and _is_struck(
        Path(os.environ["ADJUDICATE_TEST_LIVES"]), int(os.environ["ADJUDICATE_TEST_STRUCK"])
    ):
        FAULTS[fault]()
    sys.argv = ["adjudicate", *command]
    cli.main()


if __name__ == "__main__":
    run(sys.argv[1:])
