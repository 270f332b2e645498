"""Recorded scores, read as a stream: a million lines are never in memory at once."""

import gzip
import io
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from pydantic import AliasChoices, Field, ValidationError

from moderation.errors import ConfigurationError
from moderation.events import ScoredEvent, one_line
from moderation.evidence.version_1 import read_scored_event
from moderation.wire import Frozen

BATCH: Final = 512
_PICTURED: Final = (b'"image_url"', b'"url"', b'"file"')
_NO_PROGRESS: Final[Callable[[int], None]] = lambda _: None  # noqa: E731 - a value, passed as default
_Item = TypeVar("_Item")


class _Picture(Frozen):
    """What a recording may add to a scored event: where its picture is."""

    image_url: str | None = Field(None, validation_alias=AliasChoices("image_url", "url"))
    file: str | None = None


class PicturedEvent(ScoredEvent):
    """A scored event with where its picture is; nothing else reads that."""

    image_url: str | None = None
    file: str | None = None


def scored_events(path: Path, advance: Callable[[int], None] = _NO_PROGRESS) -> Iterator[ScoredEvent]:
    """Scored events of a JSON Lines file; `.gz` is unpacked, `-` is standard input.

    advance: called with the bytes of the file (as stored) read since the last call.
    Raises ConfigurationError naming file, line and field at the first line that is not a scored event.
    """
    with _opened(path, advance) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _parsed(line, path, number)


def batches(items: Iterable[_Item], size: int = BATCH) -> Iterator[list[_Item]]:
    """Consecutive lists of up to `size` items."""
    stream = iter(items)
    while batch := list(itertools.islice(stream, size)):
        yield batch


@contextmanager
def _opened(path: Path, advance: Callable[[int], None]) -> Iterator[Iterator[bytes]]:
    if str(path) == "-":
        yield iter(sys.stdin.buffer)
        return
    try:
        with path.open("rb") as stored:
            unpacked = gzip.GzipFile(fileobj=stored) if path.suffix == ".gz" else stored
            yield _lines(stored, unpacked, advance)
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{path}: cannot be read: {reason}") from error


def _lines(stored: io.BufferedReader, lines: Iterable[bytes], advance: Callable[[int], None]) -> Iterator[bytes]:
    reported = 0
    for number, line in enumerate(lines):
        if number % BATCH == 0:
            advance(stored.tell() - reported)
            reported = stored.tell()
        yield line
    advance(stored.tell() - reported)


def _parsed(line: bytes, path: Path, number: int) -> ScoredEvent:
    if b'"decision_id"' in line:
        raise ConfigurationError(
            f"{path}:{number}: a decision, not a scored event (one event has many); give the records of the topic "
            "`scores`, or `--scores topic:scores`"
        )
    try:
        event = read_scored_event(line)
        return _with_picture(event, line) if any(name in line for name in _PICTURED) else event
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(
            f"{path}:{number}: not a scored event: {field + ': ' if field else ''}{one_line(first['msg'])}; "
            "give one JSON object of the topic `scores` per line"
        ) from error


def _with_picture(event: ScoredEvent, line: bytes) -> PicturedEvent:
    """Both were validated: the event, in whatever version it was recorded, and what was added to it."""
    return PicturedEvent.model_construct(**dict(event), **dict(_Picture.model_validate_json(line)))
