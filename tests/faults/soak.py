"""Random faults for a while: `python -m tests.faults.soak --minutes 20`.

Prints the checker's verdict, throughput, recovery after each fault and the memory of each worker over time,
draws the memory and throughput into soak.png, and exits with 1 unless every event was decided exactly once.
"""

import argparse
import json
import logging
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from rich.console import Console
from rich.table import Table

from tests.faults.load import Load
from tests.faults.run import Outcome, Run
from tests.faults.stack import Stack

EVERY_S: Final = 20.0
SAMPLE_S: Final = 5.0
WARM_S: Final = 60.0
"""A process younger than this is still filling its pools and caches."""

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
            "model process crashes": lambda: self._afflict(crash=True),
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
        return self._stack.sandbox.triton.resume

    def _afflict(self, **faults: object) -> Heal:
        self._stack.afflict_model(**faults)
        return self._stack.afflict_model

    def _swap(self) -> Heal:
        self._version += 1
        self._stack.swap_model(self._version)
        return _nothing

    def _kill_redis(self) -> Heal:
        assert self._stack.sandbox.redis is not None
        self._stack.sandbox.redis.kill()
        return self._stack.sandbox.redis.restart

    def _freeze_redis(self) -> Heal:
        assert self._stack.sandbox.redis is not None
        self._stack.sandbox.redis.pause()
        return self._stack.sandbox.redis.resume

    def _break_policy(self) -> Heal:
        (self._run.policies / "acme.yaml").write_text("client: acme\nversio")
        return lambda: self._run.write_policy("acme", version=str(time.time()))


@dataclass
class Samples:
    """Resident memory of each worker and decisions seen, over time."""

    run: Run
    start: float = field(default_factory=time.monotonic)
    at: list[float] = field(default_factory=list)
    decisions: list[int] = field(default_factory=list)
    memory: dict[str, list[tuple[float, int, int]]] = field(default_factory=dict)
    _ending: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def taken(self) -> Iterator[None]:
        thread = threading.Thread(target=self._sample, name="samples", daemon=True)
        thread.start()
        yield
        self._ending.set()
        thread.join()

    def _sample(self) -> None:
        while not self._ending.wait(SAMPLE_S):
            now = time.monotonic() - self.start
            self.at.append(now)
            self.decisions.append(len(self.run.watch.seen))
            for name, resident in self.run.supervisor.memory().items():
                self.memory.setdefault(name, []).append((now, self.run.supervisor.started(name), resident))

    def lives(self, name: str, after_s: float) -> list[list[int]]:
        """Resident bytes of each process of an instance, once it was warm, late in the run."""
        born: dict[int, float] = {}
        rows: dict[int, list[int]] = {}
        for at, pid, resident in self.memory[name]:
            if at - born.setdefault(pid, at) >= WARM_S and at >= after_s and resident:
                rows.setdefault(pid, []).append(resident)
        return list(rows.values())


@dataclass(frozen=True)
class Hit:
    """One fault: when it was healed (monotonic), and how long until decisions, and until the backlog was gone."""

    name: str
    healed: float
    first_s: float
    caught_up_s: float


def soak(run: Run, minutes: float, per_s: float, seed: int, console: Console) -> tuple[Load, list[tuple[str, float]]]:
    """Load and faults until the time is over. Returns the load and when each fault was healed."""
    faults = Faults(run, seed)
    names = list(faults.every())
    order = random.Random(seed)
    healed: list[tuple[str, float]] = []
    deck: list[str] = []
    with run.load(per_s) as load:
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


def hits(run: Run, load: Load, healed: list[tuple[str, float]]) -> list[Hit]:
    return [Hit(name, at, run.first_after(at), run.caught_up(at, load)) for name, at in healed]


def show(console: Console, outcome: Outcome, found: list[Hit], samples: Samples) -> None:
    table = Table("fault", "first decision, s", "backlog gone, s", title="Recovery after each fault's end")
    for hit in found:
        table.add_row(hit.name, f"{hit.first_s:.1f}", f"{hit.caught_up_s:.1f}")
    console.print(table)
    table = Table("worker", "first MB", "least MB", "most MB", "spread", title="Resident memory once warm")
    late = min(300.0, samples.at[-1] / 4) if samples.at else 0.0
    for name in sorted(samples.memory):
        for rows in samples.lives(name, late):
            spread = (max(rows) - min(rows)) / statistics.median(rows)
            table.add_row(name, *(f"{size / 1e6:.0f}" for size in (rows[0], min(rows), max(rows))), f"{spread:.1%}")
    console.print(table)
    lasted = samples.at[-1] if samples.at else 1.0
    rate_in, rate_out = outcome.sent / lasted, samples.decisions[-1] / lasted
    console.print(f"{rate_in:.0f} records/s in, {rate_out:.0f} decisions/s out, faults included")
    console.print(str(outcome))
    console.print("verdict: exactly once" if outcome.findings.are_none else f"verdict: {outcome.findings}")


def draw(samples: Samples, healed: list[tuple[str, float]], file: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, figsize=(11, 7), sharex=True)
    for name, rows in sorted(samples.memory.items()):
        above.plot([at / 60 for at, _, _ in rows], [resident / 1e6 for _, _, resident in rows], label=name)
    above.set_ylabel("resident memory, MB")
    above.set_ylim(bottom=0)
    above.legend(loc="lower right", ncols=6, fontsize=8)
    rates = [(b - a) / SAMPLE_S for a, b in zip(samples.decisions, samples.decisions[1:], strict=False)]
    below.plot([at / 60 for at in samples.at[1:]], rates, color="black")
    for _, moment in healed:
        below.axvline((moment - samples.start) / 60, color="red", alpha=0.3)
    below.set_ylabel("decisions/s (red: a fault ends)")
    below.set_xlabel("minutes")
    figure.tight_layout()
    figure.savefig(file)
    plt.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--per-second", type=float, default=50.0, help="records sent per second")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the order of faults")
    parser.add_argument("--out", type=Path, default=Path("soak-out"), help="folder for soak.png and soak.json")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    console = Console()
    console.print(f"seed {options.seed}, {os.cpu_count()} cores")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="adjudicate-soak-") as directory:
        return _soak_in(Path(directory), options, console)


def _soak_in(directory: Path, options: argparse.Namespace, console: Console) -> int:
    with Stack.below(directory) as stack, Run(stack, directory / "run") as run:
        run.workers(scorers=2, deciders=2)
        samples = Samples(run)
        with samples.taken():
            load, healed = soak(run, options.minutes, options.per_second, options.seed, console)
        ended = time.monotonic()
        outcome = run.outcome(ended, load)
        found = hits(run, load, healed)
        show(console, outcome, found, samples)
        draw(samples, healed, options.out / "soak.png")
        report = {
            "minutes": options.minutes, "seed": options.seed, "sent": load.sent,
            "decisions": outcome.history.decided.total(), "exactly_once": outcome.findings.are_none,
            "recovery": [[hit.name, round(hit.first_s, 2), round(hit.caught_up_s, 2)] for hit in found],
            "memory": samples.memory,
        }  # fmt: skip
        (options.out / "soak.json").write_text(json.dumps(report))
        if not outcome.findings.are_none:
            (options.out / "workers.log").write_text(run.supervisor.logs())
        return 0 if outcome.findings.are_none else 1


if __name__ == "__main__":
    sys.exit(main())
