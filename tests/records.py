"""Records and images for the stage tests."""

import base64
import io
import json
from typing import Any

from PIL import Image

from stream.kafka import Record
from stream.parse import EVENT_HEADER


def png(colour: tuple[int, int, int] = (200, 10, 10), size: tuple[int, int] = (64, 48)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def event_json(event_id: str = "e1", **fields: Any) -> dict[str, Any]:
    return {"event_id": event_id, "surface": "creative", **fields}


def record(value: bytes | None, *, headers: dict[str, bytes] | None = None, offset: int = 0) -> Record:
    return Record("creatives", 0, offset, b"k", value, headers or {}, 1_700_000_000_000)


def json_record(event_id: str = "e1", data: bytes | None = None, *, offset: int = 0, **fields: Any) -> Record:
    if data is not None:
        fields["image"] = {"base64": base64.b64encode(data).decode()}
    return record(json.dumps(event_json(event_id, **fields)).encode(), offset=offset)


def raw_record(data: bytes, event_id: str = "e1", *, offset: int = 0, **fields: Any) -> Record:
    header = json.dumps(event_json(event_id, **fields)).encode()
    return record(data, headers={EVENT_HEADER: header}, offset=offset)
