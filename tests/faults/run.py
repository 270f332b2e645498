"""One run: topics and policies of its own, workers, load, a fault, and what the checker says in the end."""

import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import yaml
from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin._listoffsets import OffsetSpec
from redis import Redis

from moderation.events import Decision
from moderation.policy import PolicySet
from moderation.policy import load as load_policies
from stream.cli.verify import examine
from stream.findings_summary import summarize
from stream.history import ClientsOf, History, Topics, clients_by_policies
from stream.kafka import create_topics, read_committed
from stream.settings import Settings, TopicSettings, read_settings
from stream.verify import Findings
from tests.faults import evidence
from tests.faults.load import CLIENTS, Load
from tests.faults.stack import Stack
from tests.faults.supervisor import Supervisor
from tests.faults.zygote import Zygote

LIVENESS_S: Final = 60.0
"""No figure of speed: only when to give up waiting. What was measured is printed."""


@dataclass
class Watch:
    """Reads the decisions as a consumer would, and notes when each was seen."""

    settings: Settings
    seen: list[float] = field(default_factory=list)
    decided: dict[tuple[str, str], float] = field(default_factory=dict)
    versions: set[str] = field(default_factory=set)
    statuses: Counter[str] = field(default_factory=Counter)
    wrong_scores: list[str] = field(default_factory=list)
    policy_hashes: dict[str, set[str]] = field(default_factory=dict)
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._read, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def _read(self) -> None:
        topics = self.settings.topics
        records = read_committed(self.settings.kafka, [topics.allow, topics.review, topics.block], follow=True)
        for record in records:
            if self._ending.is_set():
                return
            if record is not None:
                self._note(Decision.model_validate_json(record.value or b""))

    def _note(self, decision: Decision) -> None:
        now = time.monotonic()
        self.seen.append(now)
        self.decided.setdefault((decision.event_id, decision.client), now)
        self.statuses[decision.status.value] += 1
        if decision.policy is not None:
            self.policy_hashes.setdefault(decision.client, set()).add(decision.policy.hash)
        if decision.model is not None:
            self.versions.add(decision.model.version)
            self._check_scores(decision)

    def _check_scores(self, decision: Decision) -> None:
        """The tiny model's scores are the image's colour, and the event names it."""
        colour = re.findall(r"\d+", decision.context.campaign or "")
        labels = ("violence", "adult", "political")
        for label, part in zip(labels, colour, strict=False):
            if abs(decision.scores.get(label, -1.0) - int(part) / 255) > 0.01:
                self.wrong_scores.append(decision.event_id)


@dataclass(frozen=True)
class Outcome:
    """What the checker found, and what was measured.

    first_s:     from the fault's end to the next decision seen, seconds.
    caught_up_s: from the fault's end until everything sent before it was decided, seconds.
    """

    history: History
    findings: Findings
    sent: int
    first_s: float
    caught_up_s: float

    def __str__(self) -> str:
        return (
            f"{self.sent} records in, {self.history.decided.total()} decisions, {self.history.rejected.total()} "
            f"rejects; first decision {self.first_s:.1f} s and caught up {self.caught_up_s:.1f} s after the fault"
        )


class Run:
    """Use as a context manager; `settings` may be overridden by section.

    is_shared: other runs use the same servers now, so they are left as they are.
    """

    open_runs: ClassVar[list["Run"]] = []

    def __init__(
        self,
        stack: Stack,
        directory: Path,
        zygote: Zygote | None = None,
        *,
        is_shared: bool = False,
        **sections: dict[str, Any],
    ) -> None:
        self.stack = stack
        self._zygote = zygote
        self._is_shared = is_shared
        self._loads = 0
        self.name = uuid.uuid4().hex[:6]
        self.directory = directory
        self.policies = directory / "policies"
        self.policies.mkdir(parents=True)
        for client in CLIENTS:
            self.write_policy(client)
        self.settings_file = directory / "settings.yaml"
        self.settings_file.write_text(yaml.safe_dump(self._sections(sections)))
        self.settings: Settings = read_settings(self.settings_file)
        self.supervisor: Supervisor
        self.watch = Watch(self.settings)
        self._evidence: Path | None = None

    def __enter__(self) -> Self:
        replication = len(self.stack.sandbox.kafka)
        create_topics(self.settings.kafka, self.settings.topics.every(), partitions=4, replication=min(3, replication))
        self.supervisor = Supervisor(self.directory, self.settings_file, self.name, self._zygote)
        self.watch.start()
        self.open_runs.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.open_runs.remove(self)
        self.supervisor.stop()
        self.watch.stop()
        if not self._is_shared:
            self.stack.heal()

    def keep_evidence(self, findings: str) -> Path:
        """Everything that explains a failure, as it is at the first call. Returns the folder."""
        if self._evidence is None:
            self._evidence = evidence.keep(self, findings)
        return self._evidence

    def write_policy(self, client: str, version: str = "1", **fields: Any) -> None:
        content = {"client": client, "version": version, "suitability": "medium", **fields}
        (self.policies / f"{client}.yaml").write_text(yaml.safe_dump(content))

    def group(self, stage: str) -> str:
        return f"adjudicate-{stage}-{self.name}"

    def workers(self, scorers: int = 2, deciders: int = 1) -> None:
        """Make it so many healthy workers, whatever runs now."""
        wanted = {f"s{n}": "score" for n in range(scorers)} | {f"d{n}": "decide" for n in range(deciders)}
        for instance in self.supervisor.instances():
            if instance not in wanted or self.supervisor.has_fault(instance):
                self.supervisor.remove(instance)
        for instance in wanted.keys() - set(self.supervisor.instances()):
            self.supervisor.add(instance, wanted[instance])

    @contextmanager
    def load(self, per_s: float = 40.0, fresh: float = 0.0) -> Iterator[Load]:
        """Load flows and decisions come out before this yields; it stops when the block ends."""
        self._loads += 1
        load = Load(self.settings, f"{self.name}-{self._loads}-", per_s, self._loads, fresh)
        load.start()
        try:
            self.await_decisions()
            yield load
        finally:
            load.stop()

    def await_decisions(self, more: int = 30, timeout_s: float = LIVENESS_S) -> None:
        start, deadline = len(self.watch.seen), time.monotonic() + timeout_s
        while len(self.watch.seen) < start + more:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no decisions for {timeout_s:g} s:\n{self.supervisor.logs()[-8000:]}")
            time.sleep(0.05)

    def await_exit(self, instance: str, code: int, timeout_s: float = LIVENESS_S) -> float:
        """Wait until a worker that was added last has ended with this code. Returns when that was."""
        deadline = time.monotonic() + timeout_s
        while True:
            exits = [e for e in self.supervisor.exits_since_added(instance) if e.code == code]
            if exits:
                return exits[0].at
            if time.monotonic() > deadline:
                raise TimeoutError(f"exits: {self.supervisor.exits}\n{self.supervisor.log(instance)[-8000:]}")
            time.sleep(0.05)

    def forget_scores(self) -> None:
        """Start the scorers anew over an empty Redis: every image goes to the model again."""
        with Redis.from_url(self.stack.sandbox.running_redis.url) as redis:
            redis.flushall()
        for instance in self.supervisor.instances("score"):
            self.supervisor.remove(instance)
            self.supervisor.add(instance, "score")

    def readers_pass_in_s(self, *topics: str) -> float:
        """How long until committed readers can see all that stands in these topics now: an open transaction
        would hold them back until it times out."""
        started, written = time.monotonic(), self.ends(topics, IsolationLevel.READ_UNCOMMITTED)
        while time.monotonic() - started < LIVENESS_S:
            stable = self.ends(topics, IsolationLevel.READ_COMMITTED)
            if all(stable[place] >= end for place, end in written.items()):
                return time.monotonic() - started
            time.sleep(0.05)
        return LIVENESS_S

    def ends(self, topics: Sequence[str], isolation: IsolationLevel) -> dict[tuple[str, int], int]:
        admin = self.stack.admin
        places = [
            TopicPartition(topic, partition)
            for topic in topics
            for partition in admin.list_topics(topic, timeout=20).topics[topic].partitions
        ]
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = admin.list_offsets(dict.fromkeys(places, latest), isolation_level=isolation)
        return {(place.topic, place.partition): found.result(timeout=20).offset for place, found in asked.items()}

    def loaded_policies(self) -> PolicySet:
        return load_policies(self.policies)

    def judged(
        self, fault_end: float, load: Load, *, clients: ClientsOf | None = None, wait_s: float = LIVENESS_S
    ) -> Outcome:
        """The outcome, after asserting that the promise was kept."""
        outcome = self.outcome(fault_end, load, clients=clients, wait_s=wait_s)
        if not outcome.findings.are_none:
            summary = f"{summarize(outcome.history, outcome.findings)}\n{outcome}"
            raise AssertionError(f"{summary}\nevidence: {self.keep_evidence(summary)}")
        assert outcome.history.decided.total() > load.sent
        assert self.watch.wrong_scores == []
        return outcome

    def outcome(
        self, fault_end: float, load: Load, *, clients: ClientsOf | None = None, wait_s: float = LIVENESS_S
    ) -> Outcome:
        """Wait until all is answered, then read everything again and judge it."""
        clients_of = clients or clients_by_policies(self.loaded_policies())
        history, findings = examine(self.settings.kafka, self._topics(), clients_of, wait_s=wait_s)
        if findings.are_none:
            # Whoever was fenced or late must not add anything any more.
            time.sleep(1.0)
            history, findings = examine(self.settings.kafka, self._topics(), clients_of)
        first_s, caught_up_s = self.first_after(fault_end), self.caught_up(fault_end, load)
        outcome = Outcome(history, findings, load.sent, first_s, caught_up_s)
        print(outcome)
        return outcome

    def first_after(self, moment: float) -> float:
        """Seconds from then to the next decision."""
        return next((seen - moment for seen in self.watch.seen if seen > moment), 0.0)

    def caught_up(self, fault_end: float, load: Load) -> float:
        """Seconds from then until everything sent before was decided."""
        sent = load.sent_at
        before = [
            seen for (event_id, _), seen in self.watch.decided.items() if sent.get(event_id, fault_end) < fault_end
        ]
        return max([0.0, *(seen - fault_end for seen in before)])

    def _sections(self, sections: dict[str, dict[str, Any]]) -> dict[str, Any]:
        sandbox = self.stack.sandbox
        settings: dict[str, dict[str, Any]] = {
            "kafka": {
                "bootstrap_servers": sandbox.bootstrap_servers,
                "session_timeout_s": 6,
                "max_poll_interval_s": 30,
                "transaction_timeout_s": 8,
                "request_timeout_s": 5,
            },
            "topics": {name: f"{self.name}.{topic}" for name, topic in TopicSettings().model_dump().items()},
            "worker": {"stop_within_s": 4, "stall_after_s": 20},
            "triton": {"url": sandbox.triton_grpc, "timeout_s": 2},
            "redis": {"url": sandbox.running_redis.url},
            "images": {"decode_workers": 1},
        }
        for section, values in sections.items():
            settings[section] = settings.get(section, {}) | values
        return settings | {"policies": str(self.policies)}

    def _topics(self) -> Topics:
        topics = self.settings.topics
        return Topics(
            [topics.creatives, topics.pages], [topics.allow, topics.review, topics.block], topics.rejects, topics.scores
        )
