"""The worker over a scripted broker: what it commits when reads, rebalances and refusals interleave."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from stream.errors import ProducerLost, TransactionAborted
from stream.kafka import Output, Position, Record, Refusal
from stream.settings import Settings
from stream.worker import Outputs, Worker, loop, producers, transaction

Script = list[Callable[[], list[Record]]]


def records(first: int, count: int = 1, partition: int = 0) -> list[Record]:
    return [Record("in", partition, offset, None, b"v") for offset in range(first, first + count)]


class Broker:
    """Source and sink in one: hands out what the script says, keeps what is committed."""

    def __init__(self) -> None:
        self.script: Script = []
        self.worker: Worker
        self.membership = "proof"
        self.sent: list[tuple[str, bool]] = []
        self.visible: list[str] = []
        self.offsets: dict[Position, int] = {}
        self.begins: dict[Position, int] = {}
        self.calls: list[str] = []
        self.too_large: set[str] = set()
        self._refusals: list[Refusal] = []
        self.commit_raises: list[Exception] = []

    # Source

    def take(self, most: int, timeout_s: float) -> list[Record]:
        if not self.script:
            self.worker.stop()
            return []
        return self.script.pop(0)()[:most]

    def prove_membership(self, latest: float) -> str:
        return self.membership

    def rewind(self) -> bool:
        self.calls.append("rewind")
        return True

    def start_assigned(self) -> Mapping[Position, int]:
        begins, self.begins = self.begins, {}
        return begins

    def owned(self, batch: list[Record]) -> list[Record]:
        return batch

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def is_at_end(self) -> bool:
        return False

    def close(self, *, leave: bool = False) -> None:
        self.calls.append("leave" if leave else "close")

    # Sink

    def begin(self) -> None:
        self.sent, self._refusals = [], []

    def send(self, output: Output, origin: Any, *, alone: bool = False) -> None:
        self.sent.append((output.value.decode(), alone))
        if output.value.decode() in self.too_large:
            # As brokers do: the whole batch is refused.
            batch = self.sent[-1:] if alone else [item for item in self.sent if not item[1]]
            self._refusals = [Refusal(("in", 0, int(value)), "too large", alone) for value, _ in batch]

    def commit(self, offsets: Mapping[Position, int], membership: Any) -> None:
        if self._refusals:
            raise TransactionAborted("a record was refused")
        if self.commit_raises:
            raise self.commit_raises.pop(0)
        self.calls.append("commit")
        self.visible += [value for value, _ in self.sent]
        self.offsets.update(offsets)

    def abort(self, timeout_s: float | None = None) -> None:
        self.calls.append("abort")

    def refusals(self) -> list[Refusal]:
        return self._refusals

    def discard(self) -> None:
        self.calls.append("discard")


class Echo:
    """Answers each record with its offset."""

    name = "echo"
    topics: tuple[str, ...] = ("in",)

    def submit(self, batch: Sequence[Record]) -> "Future[Outputs]":
        answer: Future[Outputs] = Future()
        answer.set_result([[Output("out", b"k", str(record.offset).encode())] for record in batch])
        return answer

    def is_ready(self) -> bool:
        return True

    def close(self) -> None: ...


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    broker = Broker()
    monkeypatch.setattr(loop, "Source", lambda *_, **__: broker)
    monkeypatch.setattr(producers, "Sink", lambda *_, **__: broker)
    broker.worker = Worker(Settings(instance="w"), Echo())
    return broker


def run(broker: Broker, *script: Callable[[], list[Record]] | list[Record]) -> None:
    broker.script = [step if callable(step) else (lambda step=step: step) for step in script]  # type: ignore[misc]
    broker.worker.run()


def test_records_are_written_and_committed_in_one_transaction(broker: Broker) -> None:
    run(broker, records(0), records(1, 3))
    assert broker.visible == ["0", "1", "2", "3"]
    assert broker.offsets == {("in", 0): 4}


@pytest.mark.parametrize(("leave", "last"), [(True, "leave"), (False, "close")])
def test_a_worker_leaves_its_group_only_where_it_is_asked_to(broker: Broker, leave: bool, last: str) -> None:
    def asked_to_stop() -> list[Record]:
        broker.worker.stop(leave=leave)
        return []

    run(broker, asked_to_stop)
    assert broker.calls == [last, "discard"]


def test_where_the_group_begins_is_committed_before_anything_is_read(broker: Broker) -> None:
    broker.begins = {("in", 0): 7, ("in", 1): 0}
    run(broker, [], records(7))
    assert broker.calls[:2] == ["commit", "commit"]
    assert broker.offsets == {("in", 0): 8, ("in", 1): 0}
    assert broker.visible == ["7"]


def test_a_record_read_just_before_its_partition_is_revoked_is_not_written(broker: Broker) -> None:
    """The first read of a batch got it, the second one served the rebalance: it is the next owner's now."""

    def revoked_meanwhile() -> list[Record]:
        broker.worker.on_revoked()
        return []

    run(broker, records(0), revoked_meanwhile)
    assert broker.visible == []
    assert broker.offsets == {}


def test_a_record_read_just_before_its_partition_is_lost_is_not_written(broker: Broker) -> None:
    def lost_meanwhile() -> list[Record]:
        broker.worker.on_lost()
        return []

    run(broker, records(0), lost_meanwhile)
    assert broker.visible == []


def test_what_stays_after_a_revocation_is_read_again(broker: Broker) -> None:
    def revoked_meanwhile() -> list[Record]:
        broker.worker.on_revoked()
        return records(5, partition=1)

    run(broker, records(0), revoked_meanwhile, records(5, partition=1))
    assert broker.calls.index("rewind") < broker.calls.index("commit")
    assert broker.visible == ["5"]


def test_only_the_record_that_is_meant_becomes_a_reject(broker: Broker) -> None:
    """Brokers refuse a batch of records for one that is too large; the others must come through."""
    broker.too_large = {"2"}
    batch = [records(0), records(1, 3)]
    run(broker, *batch, *batch, *batch)
    assert broker.visible[:2] == ["0", "1"]
    assert '"output_refused"' in broker.visible[2]
    assert broker.visible[3] == "3"
    assert len(broker.visible) == 4


def test_a_failed_last_commit_leaves_no_transaction_open(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    answer: Future[Outputs] = Future()
    monkeypatch.setattr(Echo, "submit", lambda *_: answer)
    broker.commit_raises = [TransactionAborted("generation")]

    def stop_while_the_stage_works() -> list[Record]:
        broker.worker.stop()
        threading.Timer(0.1, answer.set_result, [[[Output("out", b"k", b"0")]]]).start()
        return []

    run(broker, records(0), stop_while_the_stage_works)
    assert broker.calls == ["abort", "close", "discard"]


def test_a_lost_producer_is_replaced_and_the_records_read_again(broker: Broker) -> None:
    broker.commit_raises = [ProducerLost("timed out")]
    run(broker, records(0), records(1), records(0), records(1))
    assert broker.calls[:2] == ["discard", "rewind"]
    assert broker.visible == ["0", "1"]


def test_stop_before_the_brokers_answer_ends_quietly(broker: Broker) -> None:
    broker.worker.stop()
    broker.worker.run()
    assert broker.calls == []


def test_a_stage_that_answers_a_part_is_asked_for_the_rest(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Echo.submit
    asked: list[list[int]] = []

    def two_at_most(stage: Echo, batch: Sequence[Record]) -> "Future[Outputs]":
        asked.append([record.offset for record in batch])
        return whole(stage, batch[:2])

    monkeypatch.setattr(Echo, "submit", two_at_most)
    run(broker, records(0), records(1, 4), records(5))
    assert asked == [[0, 1, 2, 3, 4], [2, 3, 4], [4], [5]]
    assert broker.visible == ["0", "1", "2", "3", "4", "5"]
    assert broker.offsets == {("in", 0): 6}


def test_a_transaction_that_holds_much_is_committed_before_more_is_written(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one might never be flushed in time, and the same records be read again for ever."""
    monkeypatch.setattr(transaction, "MOST_BYTES", 3)
    monkeypatch.setattr(Worker, "_commit_if_due", lambda _: None)
    run(broker, records(0), records(1), records(2), records(3), records(4), records(5))
    assert broker.calls.count("commit") == 2
    assert broker.visible == ["0", "1", "2", "3", "4", "5"]


def test_what_is_in_flight_at_the_stop_has_its_time_and_no_more(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Echo, "submit", lambda *_: Future())
    broker.worker._stop.within_s = 0.2
    stopped: list[float] = []

    def told_to_stop() -> list[Record]:
        broker.worker.stop()
        stopped.append(time.monotonic())
        return []

    run(broker, records(0), told_to_stop)
    assert time.monotonic() - stopped[0] < 5
    assert broker.visible == []
    assert broker.offsets == {}
