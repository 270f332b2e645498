"""Keeps what explains a failure in one folder, which the failure's message names.

A pytest plugin too: `pytest_runtest_makereport` keeps the evidence of every run that is open when a test fails.
"""

import json
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    Message,
    TopicPartition,
)

from tests.faults.group_log import Commit, commit_of

if TYPE_CHECKING:
    from tests.faults.run import Run

FOLDER_VARIABLE: Final = "ADJUDICATE_TEST_EVIDENCE"
_DEFAULT: Final = Path(__file__).parents[2] / "test-evidence"
_ANSWER_S: Final = 20.0
_GROUP_LOG: Final = "__consumer_offsets"


def keep(run: "Run", findings: str) -> Path:
    """Write logs of workers and servers, offsets, the groups' commits and the findings. Returns the folder."""
    root = Path(os.environ.get(FOLDER_VARIABLE) or _DEFAULT)
    folder = next(path for number in range(1, 1000) if not (path := root / f"{run.name}-{number}").exists())
    folder.mkdir(parents=True)
    (folder / "findings.txt").write_text(findings)
    with suppress(shutil.Error):  # A worker may still be at its files.
        shutil.copytree(run.directory, folder / "workers")
    for part in run.stack.sandbox.parts:
        if part.log.is_file():
            shutil.copy(part.log, folder / f"{part.name.replace(' ', '-').lower()}.log")
    _write(folder / "groups.json", lambda: json.dumps(_groups(run), indent=1))
    _write(folder / "ends.json", lambda: json.dumps(_ends(run), indent=1))
    _write(folder / "commits.txt", lambda: "".join(f"{line}\n" for line in _commits(run)))
    return folder


def _write(file: Path, make: Callable[[], str]) -> None:
    """Evidence that cannot be had must not hide the failure."""
    try:
        file.write_text(make())
    except Exception as error:  # noqa: BLE001 - servers may be dead: that is why the test failed
        file.write_text(f"not to be had: {error!r}\n")


def _groups(run: "Run") -> dict[str, Any]:
    """Members, assignments and committed offsets, stable or not."""
    found: dict[str, Any] = {}
    admin = run.stack.admin
    for group in (run.group("score"), run.group("decide")):
        told = admin.describe_consumer_groups([group])[group].result(_ANSWER_S)
        members = {member.member_id: _names(member.assignment.topic_partitions) for member in told.members}
        found[group] = {"state": str(told.state), "members": members}
        for is_stable in (False, True):
            asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], require_stable=is_stable)
            places = asked[group].result(_ANSWER_S).topic_partitions
            name = "stable offsets" if is_stable else "offsets"
            found[group][name] = {
                f"{place.topic}/{place.partition}": str(place.error or f"{place.offset} {place.metadata}")
                for place in places
            }
    return found


def _names(places: list[TopicPartition]) -> list[str]:
    return sorted(f"{place.topic}/{place.partition}" for place in places)


def _ends(run: "Run") -> dict[str, dict[str, int]]:
    """Each partition's end for every reader and for committed readers."""
    topics = run.settings.topics.every()
    written = run.ends(topics, IsolationLevel.READ_UNCOMMITTED)
    stable = run.ends(topics, IsolationLevel.READ_COMMITTED)
    return {f"{t}/{p}": {"end": end, "stable end": stable[t, p]} for (t, p), end in sorted(written.items())}


def _commits(run: "Run") -> Iterator[Commit]:
    """Every offset the groups ever committed, in order, aborted ones marked."""
    groups = {run.group("score"), run.group("decide")}
    visible = {commit for commit in _read_commits(run, "read_committed") if commit.group in groups}
    for commit in _read_commits(run, "read_uncommitted"):
        if commit.group in groups:
            yield commit if commit in visible else commit._replace(is_aborted=True)


def _read_commits(run: "Run", isolation: str) -> Iterator[Commit]:
    settings = run.stack.sandbox.kafka_settings | {
        "group.id": "evidence", "isolation.level": isolation, "enable.partition.eof": "true", "log_level": "0",
    }  # fmt: skip
    with closing(Consumer(settings)) as consumer:
        partitions = (
            consumer.list_topics("__consumer_offsets", timeout=_ANSWER_S).topics["__consumer_offsets"].partitions
        )
        consumer.assign([TopicPartition("__consumer_offsets", each, OFFSET_BEGINNING) for each in partitions])
        unread = set(partitions)
        while unread and (messages := consumer.consume(1000, _ANSWER_S)):
            # A partition that is still written to ends more than once.
            unread -= {message.partition() for message in messages if _is_end(message)}
            yield from (found for message in messages if message.error() is None and (found := commit_of(message)))


def _is_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    from tests.faults.run import Run

    report = yield
    if report.when == "call" and report.failed:
        for run in Run.open_runs:
            report.sections.append(("evidence", str(run.keep_evidence(report.longreprtext))))
    return report
