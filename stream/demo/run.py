"""The demo: the whole data flow on the local stack, from image files to a page of decisions."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil

from moderation.errors import ConfigurationError
from moderation.events import Decision, Status, Surface
from moderation.policy import PolicySet, load
from stream.demo.conversation import TOPICS, Conversation
from stream.demo.expected import expected_verdicts, read_expected
from stream.demo.judged import Judged, Misses
from stream.demo.ledger import Ledger
from stream.demo.outgoing import Outgoing, from_folder, from_samples, image_files
from stream.demo.report import Rejected, Run, write_report
from stream.demo.watcher import Watcher
from stream.demo.workers import running
from stream.kafka import Output
from stream.sandbox import Sandbox
from stream.settings import KafkaSettings
from stream.thumbnails import thumbnail

MOST_SHOWN: Final = 500
"""Images in the report; a folder may hold more, and then decisions.jsonl has the rest."""
STRAY_RECORD: Final = b'{"event_id": "cut-off-in-transit", "surface": "creative", "image": {"ba'
"""Sent with the samples: a record that is no event, to show that nothing is dropped."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. `images` None means the samples; `patience_s` is the longest wait without a decision."""

    out: Path
    policies: Path
    images: Path | None = None
    surface: Surface = Surface.CREATIVE
    patience_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, the images with their decisions, and where the files are."""

    run: Run
    ledger: Ledger
    images: list[Judged]
    skipped: list[str]
    decisions_file: Path
    report_file: Path


def since_command() -> float:
    """Seconds since this process was started, the interpreter's own start included."""
    return time.time() - float(psutil.Process(os.getpid()).create_time())


def run_demo(plan: Plan, watcher: Watcher) -> Outcome:
    """Start the stack, send everything, wait for every decision, stop the stack, write the files.

    Raises PolicyError, or ConfigurationError for a folder without files, before anything is started or overwritten;
    SandboxError where a part cannot be started, dies, or is silent for too long. Whatever was started is stopped on
    every way out.
    """
    started_at, policies, skipped = datetime.now(UTC), load(plan.policies), list[str]()
    expected = _read_folder(plan, policies)
    ledger = Ledger(stray_records=0 if plan.images else 1)
    decisions_file = plan.out / "decisions.jsonl"
    plan.out.mkdir(parents=True, exist_ok=True)
    watcher.step("Starting Kafka, Triton and Redis")
    with Sandbox() as sandbox:
        _prepare(sandbox, watcher)
        talk = Conversation(_kafka(sandbox), policies, ledger, watcher, MOST_SHOWN)
        with running(sandbox, plan.policies, plan.images) as workers, decisions_file.open("wb") as file:
            talk.hold(_outgoing(plan, expected, skipped, watcher), _strays(plan), workers, file, plan.patience_s)
        broker = sandbox.kind
    shown = _rank(talk, policies)
    images = [image for image, _ in shown]
    run = _summary(ledger, started_at, broker, plan, images)
    report_file = plan.out / "report.html"
    write_report(report_file, run, _with_thumbnails(shown))
    return Outcome(run, ledger, images, skipped, decisions_file, report_file)


def _prepare(sandbox: Sandbox, watcher: Watcher) -> None:
    if sandbox.missing_programs:
        watcher.warn(
            f"{' and '.join(sandbox.missing_programs)} not found: this is librdkafka's in-process broker, not Apache "
            "Kafka. It shows the way of an event and proves nothing about delivery. "
            "For the real one: tools/system-packages.sh demo, as root on Debian"
        )
    sandbox.create_topics(TOPICS.every())
    watcher.step("Starting the stages: adjudicate score, adjudicate decide")


def _kafka(sandbox: Sandbox) -> KafkaSettings:
    return KafkaSettings.model_validate(sandbox.settings["kafka"])


def _read_folder(plan: Plan, policies: PolicySet) -> Mapping[str, tuple[str, ...]]:
    """What the folder's files are expected to show. Raises ConfigurationError where it has no files."""
    if plan.images is None:
        return {}
    if not any(image_files(plan.images)):
        raise ConfigurationError(f"{plan.images} holds no files: give --images a folder that holds the images")
    return read_expected(plan.images, policies.labels)


def _outgoing(
    plan: Plan, expected: Mapping[str, tuple[str, ...]], skipped: list[str], watcher: Watcher
) -> Iterator[Outgoing]:
    if plan.images is None:
        return from_samples()

    def skip(text: str) -> None:
        skipped.append(text)
        watcher.warn(f"not sent: {text}")

    return from_folder(plan.images, plan.surface, skip, expected)


def _strays(plan: Plan) -> list[Output]:
    return [] if plan.images else [Output(TOPICS.creatives, b"stray", STRAY_RECORD)]


def _rank(talk: Conversation, policies: PolicySet) -> list[tuple[Judged, Outgoing]]:
    """Every image that was kept, the most severe first."""
    shown = [(_judged(item, talk.decisions.get(key, ()), policies), item) for key, item in talk.kept.items()]
    return sorted(shown, key=lambda pair: pair[0].severity, reverse=True)


def _judged(item: Outgoing, decisions: Iterable[Decision], policies: PolicySet) -> Judged:
    """Without the image: a report has room for a small one, and that is made when its turn comes."""
    event = item.event.model_copy(update={"image": None})
    by_client = sorted(decisions, key=lambda decision: decision.client)
    expected = {} if item.shows is None else expected_verdicts(policies, item.event, item.shows)
    return Judged(item.name, event, None, by_client, item.shows, expected)


def _with_thumbnails(shown: Iterable[tuple[Judged, Outgoing]]) -> Iterator[Judged]:
    """Only files that a decoder process has survived are decoded here."""
    for image, item in shown:
        yield replace(image, thumbnail=thumbnail(item.image())) if image.status is Status.OK else image


def _summary(ledger: Ledger, started_at: datetime, broker: str, plan: Plan, images: Iterable[Judged]) -> Run:
    begun = time.time() - since_command()
    return Run(
        started_at=started_at,
        events=ledger.sent,
        verdicts=ledger.verdicts,
        statuses=ledger.statuses,
        rejected=[Rejected(f"{r.topic}/{r.partition}/{r.offset}", r.reason, r.detail) for r in ledger.rejects],
        first_decision_s=ledger.first_decision_at - begun if ledger.first_decision_at else None,
        took_s=since_command(),
        broker=broker,
        policies=str(plan.policies),
        model=next((d.model for image in images for d in image.decisions if d.model), None),
        misses=Misses.count(images),
    )
