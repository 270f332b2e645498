"""Rejects: records that cannot become an event, kept with the reason on a separate topic."""

import base64
from datetime import UTC, datetime
from typing import Final

from moderation.events import Reject, one_line
from stream.kafka import Output, Record

ORIGINAL_CAP: Final = 64 * 1024
"""Most bytes of the original record that a reject carries."""


def reject_output(topic: str, record: Record, *, stage: str, reason: str, detail: str) -> Output:
    original = record.value or b""
    reject = Reject(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        stage=stage,
        reason=reason,
        detail=one_line(detail),
        original_base64=base64.b64encode(original[:ORIGINAL_CAP]).decode("ascii"),
        original_size=len(original),
        rejected_at=datetime.now(UTC),
    )
    place = f"{record.topic}/{record.partition}/{record.offset}"
    return Output(topic, place.encode(), reject.model_dump_json().encode(), {"reason": reason.encode()})
