"""What a soak found: the checker's verdict, recovery by fault, memory by process, and the promises it broke."""

import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from stream.findings_summary import summarize
from tests.faults.load import Load
from tests.faults.run import Outcome, Run

RECOVERY_S: Final = 15.0
FLAT: Final = 1.10
"""Highest over lowest level of a process's resident bytes; a level is the median of a minute."""
PEAK: Final = 1.25
"""A sample over the median of all: pixels of a backlog are in memory for a moment."""
SETTLED_S: Final = 300.0
"""From here on memory must be flat; of a shorter soak, from a quarter on."""
WARM_S: Final = 60.0
"""A process younger than this is still filling its pools and caches."""
SAMPLE_S: Final = 5.0


@dataclass(frozen=True)
class Hit:
    """One fault.

    ended_s:     when it was healed, from the start of the soak, seconds.
    first_s:     from then to the next decision a reader sees, seconds.
    caught_up_s: from then until everything sent before was decided, seconds.
    """

    fault: str
    ended_s: float
    first_s: float
    caught_up_s: float


@dataclass(frozen=True)
class Life:
    """Resident bytes of one process, every `SAMPLE_S` once it was warm and the soak had settled."""

    worker: str
    sizes: tuple[int, ...]

    @property
    def levels(self) -> list[float]:
        a_minute = int(60 / SAMPLE_S)
        minutes = [self.sizes[at : at + a_minute] for at in range(0, len(self.sizes), a_minute)]
        # The end of a life is a level only if there is enough of it.
        return [statistics.median(minute) for minute in minutes if len(minute) > a_minute / 2 or len(minutes) == 1]

    @property
    def growth(self) -> float:
        return max(self.levels) / min(self.levels)

    @property
    def peak(self) -> float:
        return max(self.sizes) / statistics.median(self.sizes)


@dataclass
class Samples:
    """Resident memory of each worker and decisions seen, over time (seconds from the start)."""

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
            for name, (pid, resident) in self.run.supervisor.memory_by_process().items():
                self.memory.setdefault(name, []).append((now, pid, resident))

    def lives(self) -> list[Life]:
        settled_s = min(SETTLED_S, self.at[-1] / 4) if self.at else 0.0
        return [
            Life(name, tuple(rows)) for name in sorted(self.memory) for rows in _settled(self.memory[name], settled_s)
        ]


def _settled(rows: Sequence[tuple[float, int, int]], after_s: float) -> list[list[int]]:
    born: dict[int, float] = {}
    sizes: defaultdict[int, list[int]] = defaultdict(list)
    for at, pid, resident in rows:
        if at - born.setdefault(pid, at) >= WARM_S and at >= after_s:
            sizes[pid].append(resident)
    return [found for found in sizes.values() if len(found) > 1]


def hits(run: Run, load: Load, healed: Sequence[tuple[str, float]], start: float) -> list[Hit]:
    return [Hit(name, at - start, run.first_after(at), run.caught_up(at, load)) for name, at in healed]


def broken_promises(
    outcome: Outcome,
    found: Sequence[Hit],
    lives: Sequence[Life],
    wrong: Sequence[str],
    *,
    recovery_s: float = RECOVERY_S,
) -> list[str]:
    findings = summarize(outcome.history, outcome.findings)
    broken = [] if outcome.findings.are_none else [f"not exactly once: {findings}"]
    broken += [f"scores of another image on {event_id}" for event_id in wrong]
    slow = [hit for hit in found if hit.first_s > recovery_s]
    broken += [f"{hit.fault}, ended at {hit.ended_s:.0f} s: no decision for {hit.first_s:.1f} s" for hit in slow]
    grown = [life for life in lives if life.growth > FLAT or life.peak > PEAK]
    return broken + [f"{life.worker}: {min(life.sizes) / 1e6:.0f} to {max(life.sizes) / 1e6:.0f} MB" for life in grown]


def show(console: Console, outcome: Outcome, found: Sequence[Hit], samples: Samples, broken: Sequence[str]) -> None:
    console.print(_recoveries(found))
    console.print(_memory(samples.lives()))
    lasted_s = samples.at[-1] if samples.at else 1.0
    rate_in, rate_out = outcome.sent / lasted_s, (samples.decisions or [0])[-1] / lasted_s
    console.print(f"{rate_in:.0f} records/s in, {rate_out:.0f} decisions/s out, faults included; {len(found)} faults")
    console.print(str(outcome))
    console.print(summarize(outcome.history, outcome.findings))
    console.print("every promise kept" if not broken else "BROKEN:\n" + "\n".join(broken), style="bold")


def _recoveries(found: Sequence[Hit]) -> Table:
    by_fault: defaultdict[str, list[Hit]] = defaultdict(list)
    for hit in found:
        by_fault[hit.fault].append(hit)
    table = Table(
        "fault", "times", "first decision, s: median", "worst", "backlog gone, s: median", "worst",
        title="Recovery after a fault's end",
    )  # fmt: skip
    for fault, group in sorted(by_fault.items()):
        first, caught_up = ([getattr(hit, name) for hit in group] for name in ("first_s", "caught_up_s"))
        numbers = (statistics.median(first), max(first), statistics.median(caught_up), max(caught_up))
        table.add_row(fault, str(len(group)), *(f"{number:.1f}" for number in numbers))
    return table


def _memory(lives: Sequence[Life]) -> Table:
    """Levels are medians of a minute, least and most are samples."""
    names = ("process", "for, s", "least MB", "most MB", "most/least", "level, high/low", "most/median")
    table = Table(*names, title="Resident memory once settled")
    for life in lives:
        least, most = min(life.sizes), max(life.sizes)
        sizes = (f"{least / 1e6:.0f}", f"{most / 1e6:.0f}", f"{most / least:.3f}")
        seconds = f"{len(life.sizes) * SAMPLE_S:.0f}"
        table.add_row(life.worker, seconds, *sizes, f"{life.growth:.3f}", f"{life.peak:.3f}")
    return table


def as_report(outcome: Outcome, found: Sequence[Hit], samples: Samples, broken: Sequence[str]) -> dict[str, Any]:
    return {
        "broken_promises": list(broken),
        "sent": outcome.sent,
        "decisions": outcome.history.decided.total(),
        "rejects": outcome.history.rejected.total(),
        "faults": [asdict(hit) for hit in found],
        "memory": [asdict(life) | {"growth": life.growth, "peak": life.peak} for life in samples.lives()],
        "samples": samples.memory,
    }


def draw(samples: Samples, found: Sequence[Hit], file: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, figsize=(11, 7), sharex=True)
    for name, rows in sorted(samples.memory.items()):
        if len(rows) * SAMPLE_S > WARM_S:
            style = ":" if "decoder" in name else "-"
            above.plot([at / 60 for at, _, _ in rows], [size / 1e6 for _, _, size in rows], style, label=name)
    above.set_ylabel("resident memory, MB")
    above.set_ylim(bottom=0)
    above.legend(loc="lower right", ncols=6, fontsize=8)
    rates = [(b - a) / SAMPLE_S for a, b in zip(samples.decisions, samples.decisions[1:], strict=False)]
    below.plot([at / 60 for at in samples.at[1:]], rates, color="black")
    for hit in found:
        below.axvline(hit.ended_s / 60, color="red", alpha=0.3)
    below.set_ylabel("decisions/s (red: a fault ends)")
    below.set_xlabel("minutes")
    figure.tight_layout()
    figure.savefig(file)
    plt.close(figure)
