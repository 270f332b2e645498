"""One history: workers over a simulated cluster, hurt at random for a while, then left alone until all is done."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
import structlog
from confluent_kafka import Consumer, KafkaException, Producer

from stream.kafka import Output, Position, Record, Sink, claims, group_admin, identity, source
from stream.kafka import sink as sink_module
from stream.kafka.client import translated
from stream.kafka.orphans import OrphanWatch
from stream.settings import KafkaSettings, Settings, WorkerSettings
from stream.worker import Outputs, Worker, loop, producers, stopping, transaction
from tests.simulation.admin import SimAdmin
from tests.simulation.cluster import SESSION_S, Cluster
from tests.simulation.consumer import SimConsumer
from tests.simulation.producer import SimProducer
from tests.simulation.schedule import Clock, Process, Schedule

TOPICS: Final = {"creatives": 2, "pages": 2}
HURT_TURNS: Final = 1500
CALM_TURNS: Final = 30_000
INSTANCES: Final = ("w0", "w1", "w2")


class SimFuture(Future[Outputs]):
    """Answered by virtual time."""

    def __init__(self, schedule: Schedule, ready_at: float) -> None:
        super().__init__()
        self._schedule = schedule
        self._ready_at = ready_at

    def done(self) -> bool:
        return self._schedule.now >= self._ready_at

    def exception(self, timeout: float | None = None) -> BaseException | None:
        if not self._schedule.wait(timeout or 0.0, self.done):
            raise FutureTimeout
        return super().exception(0)


class Echo:
    """Writes the place of each record, after a while."""

    name = "echo"
    topics = tuple(TOPICS)

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def submit(self, records: Sequence[Record]) -> "Future[Outputs]":
        answer = SimFuture(self._schedule, self._schedule.now + self._schedule.random.choice((0.0, 0.02, 0.2)))
        answer.set_result([[Output("out", b"k", record.value or b"")] for record in records])
        return answer

    def is_ready(self) -> bool:
        return not self._schedule.chance(0.02)

    def close(self) -> None: ...


@dataclass
class History:
    """What one seed led to."""

    seed: int
    expected: Counter[str]
    visible: Counter[str]
    failures: list[BaseException]
    lag: int
    deleted: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(repr=False, default_factory=list)

    @property
    def findings(self) -> str:
        """Empty where every record was answered exactly once and nobody failed."""
        doubled, missing = self.visible - self.expected - self.deleted, self.expected - self.visible
        found = [
            f"doubled: {sorted(doubled)[:5]} ({doubled.total()})" if doubled else "",
            f"missing: {sorted(missing)[:5]} ({missing.total()}), lag {self.lag}" if missing else "",
            *(f"failed: {failure!r}" for failure in self.failures),
        ]
        return "; ".join(filter(None, found))


class World:
    def __init__(self, seed: int, *, recreates: bool = False) -> None:
        """recreates: topics are deleted and made anew among the other things that hurt."""
        self.seed = seed
        self.recreates = recreates
        self.schedule = Schedule(seed)
        self.cluster = Cluster(self.schedule, TOPICS)
        self.clients: dict[Process, SimConsumer] = {}
        self.processes: dict[str, Process] = {}
        self._failures: list[BaseException] = []
        self._workers: dict[str, Worker] = {}
        self._orphaned_since: float | None = None

    def make(self, kind: type, _: KafkaSettings, __: str, entries: dict[str, Any]) -> Any:
        """In the place of `stream.kafka.client.made`."""
        running = self.schedule.running
        assert running is not None
        if kind is Consumer:
            self.clients[running] = SimConsumer(self.cluster, running, entries)
            return self.clients[running]
        return SimProducer(self.cluster, entries) if kind is Producer else SimAdmin(self.cluster)

    def run(self, *, lose_offset: Position | None = None) -> History:
        """lose_offset: this partition's offset vanishes before the calm."""
        for place in sorted(self.cluster.logs):
            for _ in range(self.schedule.random.randrange(12)):
                self.cluster.append(place)
        for _ in range(HURT_TURNS):
            self._hurt()
            self._turn()
        self.cluster.are_healthy = True
        if lose_offset is not None:
            self._lose_offset(lose_offset)
        for _ in range(CALM_TURNS):
            self._keep(INSTANCES[:2])
            self._turn()
            if self.cluster.lag() == 0 or self._failures:
                break
        return self._end()

    def _lose_offset(self, place: Position) -> None:
        """All workers end, the offset goes, and they start again."""
        while self.cluster.committed.keys() < self.cluster.logs.keys():
            self._keep(INSTANCES[:2])
            self._turn()
        for name in sorted(self.processes):
            self._kill(name)
        for _ in range(2000):
            self._turn()
        del self.cluster.committed[place]

    def _end(self) -> History:
        for process in self.processes.values():
            process.kill()
        self._collect()
        expected = Counter(value for log in self.cluster.logs.values() for value in log)
        return History(
            self.seed,
            expected,
            self.cluster.visible,
            self._failures,
            self.cluster.lag(),
            self.cluster.deleted,
            self.schedule.trace,
        )

    def _turn(self) -> None:
        self.schedule.turn(list(self.processes.values()))
        self.cluster.turn()
        for process, client in self.clients.items():
            if process.paused_until <= self.schedule.now and self.schedule.chance(0.5):
                client.turn()
        self._watch_for_orphans()
        self._collect()

    def _watch_for_orphans(self) -> None:
        """In the place of `OrphanWatch`'s thread: one member joins anew."""
        if not self.cluster.group.orphans():
            self._orphaned_since = None
        elif self._orphaned_since is None:
            self._orphaned_since = self.schedule.now
        elif self.schedule.now - self._orphaned_since > SESSION_S:
            self._orphaned_since = None
            first = min(self.cluster.group.members, default="")
            if first in self.processes and hasattr(self._workers[first], "_source"):
                self.schedule.note(f"{first} joins anew")
                self._workers[first]._source._orphans._must_rejoin.set()

    def _collect(self) -> None:
        for name, process in list(self.processes.items()):
            if process.is_dead and process.failure is not None:
                self._failures.append(process.failure)
                del self.processes[name]

    def _hurt(self) -> None:
        chance, random = self.schedule.chance, self.schedule.random
        if chance(0.05):
            self.cluster.append(random.choice(sorted(self.cluster.logs)))
        if chance(0.004):
            self._start(random.choice(INSTANCES))
        if chance(0.004) and self.processes:
            self._kill(random.choice(sorted(self.processes)))
        if chance(0.004) and self.processes:
            paused = self.processes[random.choice(sorted(self.processes))]
            paused.paused_until = self.schedule.now + random.choice((0.1, 1.0, 9.0))
            self.schedule.note(f"{paused.name} paused until {paused.paused_until:.2f}")
        if self.recreates and chance(0.002):
            self._recreate(random.choice(sorted(TOPICS)))
        if chance(0.0005):
            self._add_partition(random.choice(sorted(TOPICS)))

    def _recreate(self, topic: str) -> None:
        """Filled at once, at times beyond what the old topic had, so that old positions look valid."""
        before = {number: len(self.cluster.logs[topic, number]) for number in self.cluster.partitions(topic)}
        self.cluster.recreate(topic)
        for number, length in before.items():
            for _ in range(self.schedule.random.randrange(2 * length + 1)):
                self.cluster.append((topic, number))

    def _add_partition(self, topic: str) -> None:
        self.cluster.logs[topic, len(self.cluster.partitions(topic))] = []
        self.cluster.group.rebalance()
        self.schedule.note(f"{topic} has one partition more")

    def _kill(self, name: str) -> None:
        self.schedule.note(f"{name} killed")
        self.processes.pop(name).kill()

    def _keep(self, names: Sequence[str]) -> None:
        """As a supervisor does."""
        for name in names:
            if name not in self.processes or self.processes[name].is_dead:
                self._start(name)

    def _start(self, name: str) -> None:
        if name in self.processes and not self.processes[name].is_dead:
            return
        self.schedule.note(f"{name} starts")
        settings = Settings(instance=name, worker=WorkerSettings(batch=4, in_flight=3, commit_interval_s=0.1))
        worker = Worker(settings, Echo(self.schedule), group="g")
        self._workers[name] = worker
        self.processes[name] = Process(self.schedule, name, worker.run)


@contextmanager
def simulated(seed: int, *, recreates: bool = False) -> Iterator[World]:
    """A world whose clients and clock the project's modules use meanwhile."""
    world = World(seed, recreates=recreates)
    with pytest.MonkeyPatch.context() as patch:
        for module in (source, sink_module, group_admin, identity):
            patch.setattr(module, "made", world.make)
        for module in (claims, identity, source, sink_module, loop, producers, stopping, transaction):
            patch.setattr(module, "time", Clock(world.schedule), raising=False)
        patch.setattr(Sink, "_call", _call)
        patch.setattr(OrphanWatch, "start", lambda _: None)
        quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
        structlog.configure(wrapper_class=quiet)
        yield world


def _call(_: Sink, step: Callable[..., Any], *arguments: Any) -> None:
    """Without the thread that bounds a call from outside: here every call returns."""
    try:
        step(*arguments)
    except KafkaException as error:
        raise translated(error) from error
