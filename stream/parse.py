"""Records → image events: the two encodings, and the refusals.

A record's value is either the event as JSON, or the raw image with the event as JSON in the header
`adjudicate-event`. What producers send is taken where its meaning is certain (docs/events.md has the table).
Raises `EventError` with a stable reason and a detail that names the field and the remedy; never anything else.
"""

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn
from urllib.parse import unquote

from pydantic import ValidationError

from moderation.errors import EventError
from moderation.events import SCHEMA_VERSION, ImageEvent, ScoredEvent, one_line
from moderation.evidence.version_1 import VERSIONS, read_scored_event
from moderation.normal.text import unquoted
from stream.json_value import read_json
from stream.kafka import Record

EVENT_HEADER: Final = "adjudicate-event"
EVENT_CAP: Final = 256 * 1024
"""Most bytes of an event without its image: what it becomes must fit a Kafka record."""
CONTEXT_CAP: Final = 16 * 1024
"""Most bytes of its context: every decision on the event repeats it."""
_MISTAKES_SHOWN: Final = 5
_DATA_URL: Final = re.compile(r"data:[^,]{0,200}?(;base64)?,", re.IGNORECASE)
_UNSEEN: Final = re.compile(r"[\s\u00ad\u200b-\u200f\u2060\ufeff]+")
_URL_SAFE: Final = str.maketrans("-_", "+/")
_REMEDIES: Final = {
    "missing": "add it",
    "string_type": "send text, in quotes",
    "string_unicode": "send Unicode text without halves of surrogate pairs",
    "string_too_long": "shorten it",
    "string_too_short": "send text that is not empty",
    "tuple_type": "send a list",
    "too_long": "send fewer",
    "bool_type": "send true or false",
    "bool_parsing": "send true or false",
    "int_type": "send a whole number",
    "int_parsing": "send a whole number",
    "int_from_float": "send a whole number",
    "model_type": "send an object",
    "model_attributes_type": "send an object",
    "datetime_from_date_parsing": "send a time like 2026-11-25T12:00:00Z",
    "datetime_parsing": "send a time like 2026-11-25T12:00:00Z",
    "datetime_type": "send a time like 2026-11-25T12:00:00Z",
    "string_pattern_mismatch": "send text without control characters",
}
"""The remedy of a mistake, by pydantic's type of it."""


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
        return read_scored_event(record.value)
    except ValidationError as error:
        if error.errors(include_input=False)[0]["type"] == "json_invalid":
            raise EventError("not_json", one_line(str(error.errors(include_input=False)[0]["msg"]))) from error
        _refuse(error, json.loads(record.value), VERSIONS)


def _image_event(text: bytes) -> ImageEvent:
    content = read_json(text)
    try:
        return ImageEvent.model_validate(content)
    except ValidationError as error:
        _refuse(error, content)


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
        return read_base64(event.image.base64)
    except ValueError as error:
        raise EventError("bad_base64", f"image.base64: {error}: send the image's bytes in base64") from error


def read_base64(text: str) -> bytes:
    """The bytes of base64 however it is written: wrapped, URL-safe, unpadded, escaped, a `data:` URL.

    Raises ValueError.
    """
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return base64.b64decode(_standard_base64(text), validate=True)


def _standard_base64(text: str) -> str:
    text = unquoted(_UNSEEN.sub("", text))
    if head := _DATA_URL.match(text):
        if not head[1]:
            raise ValueError("a data: URL without base64")
        text = text[head.end() :]
    bare = _UNSEEN.sub("", unquote(text)).translate(_URL_SAFE).rstrip("=")
    return bare + "=" * (-len(bare) % 4)


def _refuse(error: ValidationError, content: Any, versions: tuple[int, ...] = (SCHEMA_VERSION,)) -> NoReturn:
    if _declares_another_version(content, versions):
        known = " and ".join(map(str, versions))
        raise EventError("schema_version", f"only schema_version {known} is understood") from error
    mistakes = error.errors(include_input=False, include_url=False, include_context=False)
    shown = "; ".join(map(_explain, mistakes[:_MISTAKES_SHOWN]))
    raise EventError("invalid_event", one_line(shown, 1000)) from error


def _explain(mistake: Any) -> str:
    """Field, what is wrong, what to do."""
    field = ".".join(map(str, mistake["loc"])) or "event"
    remedy = _REMEDIES.get(mistake["type"])
    return f"{field}: {mistake['msg']}" + (f" ({remedy})" if remedy else "")


def _declares_another_version(content: Any, versions: tuple[int, ...]) -> bool:
    known = (*versions, *map(str, versions))
    return isinstance(content, dict) and content.get("schema_version", versions[0]) not in known
