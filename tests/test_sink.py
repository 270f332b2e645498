"""The sink's guard against calls that never return."""

import threading

import pytest

from moderation.errors import ProducerLost
from stream.kafka import sink as sink_module
from stream.kafka.sink import Sink


def test_a_call_that_does_not_return_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_module, "_GRACE_S", 0.1)
    sink = Sink.__new__(Sink)
    sink._timeout_s = 0.1
    forever = threading.Event()

    def send_offsets_to_transaction() -> None:
        forever.wait()

    with pytest.raises(ProducerLost, match="send_offsets_to_transaction did not return"):
        sink._call(send_offsets_to_transaction)
    forever.set()
