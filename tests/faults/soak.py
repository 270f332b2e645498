"""Random faults for a while: `python -m tests.faults.soak --minutes 20`.

Prints the checker's verdict, throughput, recovery after each kind of fault and the memory of each process, and
draws memory and throughput over time into soak.png. Exits with 1 and says which promise was broken unless every
event was decided exactly once, the first decision came within 15 s of each fault's end, and the level of each
process's memory stayed within a tenth. With `--hogs` busy loops starve everything of processor time.
"""

import argparse
import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from rich.console import Console

from tests.faults.load import Load
from tests.faults.run import Run
from tests.faults.soak_report import RECOVERY_S, Samples, as_report, broken_promises, draw, hits, show
from tests.faults.stack import Stack
from tests.faults.starvation import starved

EVERY_S: Final = 20.0
FRESH: Final = 0.25
"""Share of images never seen before: the others are answered by the caches, whatever happens to the model."""

Heal = Callable[[], object]


def _nothing() -> None: ...


class Faults:
    """Each method breaks something and returns what heals it; `hold_s` is how long it stays broken."""

    hold_s: Final = 8.0

    def __init__(self, run: Run, seed: int) -> None:
        self._run = run
        self._stack = run.stack
        self._random = random.Random(seed)
        self._version = 1
        self._extras = 0

    def every(self) -> dict[str, Callable[[], Heal]]:
        return {
            "scorer killed": lambda: self._kill("score"),
            "decider killed": lambda: self._kill("decide"),
            "scorer stopped and resumed": lambda: self._freeze("score"),
            "decider stopped and resumed": lambda: self._freeze("decide"),
            "scorer and decider join and leave": self._join,
            "broker killed": self._kill_broker,
            "broker hangs": self._freeze_broker,
            "Triton killed": self._kill_triton,
            "Triton hangs": self._freeze_triton,
            "model hangs": lambda: self._afflict(hang=True),
            "model slow": lambda: self._afflict(delay_s=1.0),
            "model process crashes": self._crash_model,
            "model swapped": self._swap,
            "Redis killed": self._kill_redis,
            "Redis hangs": self._freeze_redis,
            "policy broken, then reloaded": self._break_policy,
        }

    def _one(self, stage: str) -> str:
        return self._random.choice(self._run.supervisor.instances(stage))

    def _kill(self, stage: str) -> Heal:
        self._run.supervisor.hurt(self._one(stage), signal.SIGKILL)
        return _nothing

    def _freeze(self, stage: str) -> Heal:
        worker = self._one(stage)
        self._run.supervisor.hurt(worker, signal.SIGSTOP)
        return lambda: self._run.supervisor.hurt(worker, signal.SIGCONT)

    def _join(self) -> Heal:
        self._extras += 1
        joined = [f"x{self._extras}-s", f"x{self._extras}-d"]
        for name, command in zip(joined, ("score", "decide"), strict=True):
            self._run.supervisor.add(name, command)
        return lambda: [self._run.supervisor.remove(name) for name in joined]

    def _kill_broker(self) -> Heal:
        broker = self._random.choice(self._stack.sandbox.kafka)
        broker.kill()
        return broker.restart

    def _freeze_broker(self) -> Heal:
        broker = self._random.choice(self._stack.sandbox.kafka)
        broker.pause()
        return broker.resume

    def _kill_triton(self) -> Heal:
        assert self._stack.sandbox.triton is not None
        self._stack.sandbox.triton.kill()
        return self._stack.sandbox.triton.restart

    def _freeze_triton(self) -> Heal:
        assert self._stack.sandbox.triton is not None
        self._stack.sandbox.triton.pause()
        return self._stack.resume_triton

    def _afflict(self, **faults: object) -> Heal:
        self._stack.afflict_model(**faults)
        return self._stack.tend_model

    def _crash_model(self) -> Heal:
        self._stack.crash_model()
        return self._stack.tend_model

    def _swap(self) -> Heal:
        self._version += 1
        self._stack.swap_model(self._version)
        return _nothing

    def _kill_redis(self) -> Heal:
        self._stack.sandbox.running_redis.kill()
        return self._stack.sandbox.running_redis.restart

    def _freeze_redis(self) -> Heal:
        self._stack.sandbox.running_redis.pause()
        return self._stack.sandbox.running_redis.resume

    def _break_policy(self) -> Heal:
        (self._run.policies / "acme.yaml").write_text("client: acme\nversio")
        return lambda: self._run.write_policy("acme", version=str(time.time()))


def soak(run: Run, minutes: float, per_s: float, seed: int, console: Console) -> tuple[Load, list[tuple[str, float]]]:
    """Load and faults until the time is over. Returns the load and when each fault was healed."""
    faults = Faults(run, seed)
    names = list(faults.every())
    order = random.Random(seed)
    healed: list[tuple[str, float]] = []
    deck: list[str] = []
    with run.load(per_s, FRESH) as load:
        end = time.monotonic() + minutes * 60
        while (left := end - time.monotonic()) > EVERY_S:
            deck = deck or order.sample(names, len(names))
            name, began = deck.pop(), time.monotonic()
            console.print(f"{left / 60:4.1f} min left, {load.sent:6d} sent, {len(run.watch.seen):6d} decided: {name}")
            heal = faults.every()[name]()
            time.sleep(faults.hold_s)
            heal()
            healed.append((name, time.monotonic()))
            time.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))
    return load, healed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--per-second", type=float, default=50.0, help="records sent per second")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the order of faults")
    parser.add_argument("--hogs", type=int, default=0, help="busy loops beside it; the brokers give way to them")
    parser.add_argument("--recover-within", type=float, default=RECOVERY_S, help="seconds to the first decision")
    parser.add_argument("--out", type=Path, default=Path("soak-out"), help="folder for soak.png and soak.json")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    console = Console()
    console.print(f"seed {options.seed}, {os.cpu_count()} cores")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="adjudicate-soak-") as directory:
        return _soak_in(Path(directory), options, console)


def _soak_in(directory: Path, options: argparse.Namespace, console: Console) -> int:
    # A cache that fills within minutes: its growth is no leak, and images must reach the model.
    with Stack.below(directory) as stack, Run(stack, directory / "run", cache={"entries": 500}) as run:
        run.workers(scorers=2, deciders=2)
        samples = Samples(run)
        slowed = stack.sandbox.kafka if options.hogs else ()
        with samples.taken(), starved(options.hogs, slowed):
            load, healed = soak(run, options.minutes, options.per_second, options.seed, console)
        outcome = run.outcome(time.monotonic(), load)
        found = hits(run, load, healed, samples.start)
        broken = broken_promises(
            outcome, found, samples.lives(), run.watch.wrong_scores, recovery_s=options.recover_within
        )
        if not outcome.findings.are_none:
            broken.append(f"evidence: {run.keep_evidence(broken[0])}")
        show(console, outcome, found, samples, broken)
        draw(samples, found, options.out / "soak.png")
        report = {"minutes": options.minutes, "seed": options.seed, "hogs": options.hogs} | as_report(
            outcome, found, samples, broken
        )
        (options.out / "soak.json").write_text(json.dumps(report))
        (options.out / "workers.log").write_text(run.supervisor.logs())
        return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
