"""Records → image events. The two encodings, and what is refused at the door.

A record's value is either the event as JSON, or the raw image with the event as JSON in the header
`adjudicate-event`. Raises `EventError` with a stable reason; never anything else.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NoReturn

from pydantic import ValidationError

from moderation.errors import EventError
from moderation.events import SCHEMA_VERSION, ImageEvent, ScoredEvent, one_line
from stream.kafka import Record

EVENT_HEADER: Final = "adjudicate-event"
EVENT_CAP: Final = 256 * 1024
"""Most bytes of an event without its image: what it becomes must fit a Kafka record."""
CONTEXT_CAP: Final = 16 * 1024
"""Most bytes of its context: every decision on the event repeats it."""
_MISTAKES_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Incoming:
    """A parsed event. `data` is the image where the record itself carried it."""

    event: ImageEvent
    data: bytes | None


def parse_image_event(record: Record) -> Incoming:
    if record.value is None:
        raise EventError("null_value", "the record has no value")
    header = record.headers.get(EVENT_HEADER)
    event = _image_event(record.value if header is None else header)
    _check_version_and_size(event, header)
    return Incoming(_dated(event, record), record.value if header is not None else _inline(event))


def parse_scored_event(record: Record) -> ScoredEvent:
    if record.value is None:
        raise EventError("null_value", "the record has no value")
    try:
        return ScoredEvent.model_validate_json(record.value)
    except ValidationError as error:
        _refuse(error, record.value)


def _image_event(text: bytes) -> ImageEvent:
    try:
        return ImageEvent.model_validate_json(text)
    except ValidationError as error:
        _refuse(error, text)


def _check_version_and_size(event: ImageEvent, header: bytes | None) -> None:
    if header is None and event.image is None:
        raise EventError("no_image", f"no `image`, and no header `{EVENT_HEADER}` that makes the value the image")
    if header is not None and event.image is not None:
        raise EventError("two_images", f"header `{EVENT_HEADER}` makes the value the image, but it names `image` too")
    if len(event.model_dump_json(exclude={"image"}).encode()) > EVENT_CAP:
        raise EventError("event_too_large", f"more than {EVENT_CAP} bytes beside the image")
    if len(event.context.model_dump_json().encode()) > CONTEXT_CAP:
        raise EventError("event_too_large", f"more than {CONTEXT_CAP} bytes of context")


def _dated(event: ImageEvent, record: Record) -> ImageEvent:
    if event.occurred_at is not None:
        return event
    return event.model_copy(update={"occurred_at": _time_of(record)})


def _time_of(record: Record) -> datetime | None:
    """None where the producer stamped it with a time that no calendar has."""
    try:
        return datetime.fromtimestamp(max(record.timestamp_ms, 0) / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _inline(event: ImageEvent) -> bytes | None:
    if event.image is None or event.image.base64 is None:
        return None
    try:
        return base64.b64decode(event.image.base64, validate=True)
    except (binascii.Error, ValueError) as error:
        raise EventError("bad_base64", f"image.base64: {error}") from error


def _refuse(error: ValidationError, text: bytes) -> NoReturn:
    mistakes = error.errors(include_input=False, include_url=False)
    if mistakes[0]["type"] == "json_invalid":
        raise EventError("not_json", one_line(mistakes[0]["msg"])) from error
    if _declares_another_version(text):
        raise EventError("schema_version", f"only schema_version {SCHEMA_VERSION} is understood") from error
    shown = "; ".join(f"{'.'.join(map(str, m['loc'])) or 'event'}: {m['msg']}" for m in mistakes[:_MISTAKES_SHOWN])
    raise EventError("invalid_event", one_line(shown, 1000)) from error


def _declares_another_version(text: bytes) -> bool:
    content = json.loads(text)
    return isinstance(content, dict) and content.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION
