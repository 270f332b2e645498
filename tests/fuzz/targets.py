"""What strangers' bytes go into. A target returns for whatever it is given, or something is wrong."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from moderation.errors import EventError, ImageError
from moderation.images import avif
from moderation.images.exif import orientation
from moderation.images.sniff import sniff
from moderation.images.views import READERS
from moderation.policy import PolicySet
from moderation.policy.load import examine_text
from stream.kafka import Record
from stream.parse import EVENT_HEADER, parse_image_event, parse_scored_event
from tests import malformed
from tests.policy.making import event

Target = Callable[[bytes], None]
_ROOT: Final = Path(__file__).parents[2]
_READERS: Final[tuple[Callable[[bytes], object], ...]] = (
    sniff,
    orientation,
    *(read for read in READERS.values() if read is not avif.read_header),
)


def image_headers(data: bytes) -> None:
    for read in _READERS:
        try:
            read(data)
        except ImageError as error:
            assert error.detail.isprintable()


def events(data: bytes) -> None:
    """Both encodings, and what the deciding stage reads."""
    for record in (
        Record("creatives", 0, 0, None, data),
        Record("creatives", 0, 0, None, b"an image", {EVENT_HEADER: data}),
    ):
        try:
            parsed = parse_image_event(record).event
        except EventError as error:
            assert error.reason.isidentifier()
            assert "\n" not in error.detail
        else:
            assert "?" not in (parsed.context.page_url or "")
            parsed.model_validate_json(parsed.model_dump_json())
    try:
        parse_scored_event(Record("scores", 0, 0, None, data))
    except EventError as error:
        assert error.reason.isidentifier()


def policies(data: bytes) -> None:
    """Every mistake is told with its place; what has none decides."""
    text = data.decode("utf-8", "replace")
    found = examine_text({"fuzzed.yaml": text}, _ROOT / "policies")
    for mistake in found.mistakes:
        assert mistake.problem
    if not found.mistakes:
        PolicySet(found.policies).decide([event()], datetime.now(UTC))


TARGETS: Final[dict[str, Target]] = {"images": image_headers, "events": events, "policies": policies}


def seeds(target: str) -> Iterator[bytes]:
    match target:
        case "images":
            yield from malformed.seeds()
        case "events":
            for number in range(300):
                record = malformed.event(number, "t", "e1")
                yield record.headers.get(EVENT_HEADER, record.value)
            yield event().model_dump_json().encode()
        case _:
            for file in sorted((_ROOT / "policies").rglob("*.yaml")):
                yield file.read_bytes()
