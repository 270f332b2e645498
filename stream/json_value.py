"""A record's bytes → the JSON that its producer meant, taken where that is certain.

Taken: UTF-8 with or without a byte-order mark, UTF-16 and UTF-32, the JSON Schema framing of a Schema
Registry, JSON that was written to JSON twice. Everything else is refused with the remedy. Raises EventError.
"""

import json
import re
from typing import Any, Final

from moderation.errors import EventError, ImageError
from moderation.events import one_line
from moderation.images.sniff import sniff

_MAGIC: Final = b"\0"
_FRAME: Final = 5
"""Magic byte and schema id of a Schema Registry, before the payload."""
_FRAMED_JSON: Final = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:"\s*|\[\s*)?\{')
"""An event, one that was written to JSON twice, or a list of them (which is refused by name)."""
_COMPRESSED: Final = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"\x82SNAPPY": "snappy",
}
_ENVELOPE: Final = {"schema", "payload"}
_NOT_JSON: Final = "not_json"


def read_json(value: bytes) -> Any:
    """The JSON value of a record's value, or of its event header."""
    _refuse_compressed(value)
    content = _parse(_decode(_unframed(value)))
    if isinstance(content, str) and (inner := content.removeprefix("\ufeff")).lstrip().startswith("{"):
        content = _parse(inner)
    if isinstance(content, dict) and content.keys() == _ENVELOPE:
        raise EventError(
            "connect_envelope",
            "the event is inside Kafka Connect's `payload`: set value.converter.schemas.enable=false",
        )
    if isinstance(content, list):
        raise EventError("invalid_event", "event: a list of events: send each event as a record of its own")
    return content


def _refuse_compressed(value: bytes) -> None:
    for magic, name in _COMPRESSED.items():
        if value.startswith(magic):
            detail = f"the value is compressed with {name}: send JSON, and let Kafka compress it (compression.type)"
            raise EventError("compressed", detail)


def _unframed(value: bytes) -> bytes:
    """Without the framing of a Schema Registry, where JSON follows it."""
    if not value.startswith(_MAGIC) or len(value) <= _FRAME:
        return value
    payload = value[_FRAME:]
    if _FRAMED_JSON.match(payload) and b"\0" not in payload:
        return payload
    if _wide_encoding(value):
        return value
    detail = (
        f"the value is framed for a Schema Registry (schema id {int.from_bytes(value[1:_FRAME])}) and is not JSON: "
        "use the JSON Schema serializer or plain JSON, not Avro or Protobuf"
    )
    raise EventError("schema_registry_framing", detail)


def _wide_encoding(value: bytes) -> str | None:
    """UTF-16 or UTF-32, by its mark or by the zeros beside the ASCII that JSON begins with (RFC 4627, section 3)."""
    name = json.detect_encoding(value)
    if name.startswith("utf-8"):
        return None
    head = value[:64].decode(name, "ignore").lstrip("\ufeff \t\r\n")
    return name if head.startswith(("{", "[", '"')) else None


def _decode(value: bytes) -> str:
    try:
        return value.decode(_wide_encoding(value) or "utf-8-sig").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise EventError(_NOT_JSON, _say_what_it_is(value)) from error


def _say_what_it_is(value: bytes) -> str:
    try:
        kind = sniff(value)
    except ImageError:
        return "the value is not text: send the event as JSON in UTF-8"
    return f"the value is an image ({kind}): put its event into the header `adjudicate-event`"


def _parse(text: str) -> Any:
    if not text.strip():
        raise EventError(_NOT_JSON, "the value is empty: send the event as JSON")
    try:
        return json.loads(text, object_pairs_hook=_only_once, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise EventError(_NOT_JSON, "the JSON is nested too deeply: send the event's own fields only") from error
    except ValueError as error:
        raise EventError(_NOT_JSON, f"{one_line(str(error), 160)}: send the event as JSON in UTF-8") from error


def _only_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON parsers differ in which of two equal keys they take, so neither is certain."""
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise EventError("duplicate_key", f"{one_line(twice, 80)}: stands twice in one object: send it once")
    return content


def _refuse_constant(name: str) -> Any:
    raise EventError(_NOT_JSON, f"{name} is no JSON number: leave the field out")
