"""What the demo sends: events with their images, from the samples or from a folder, one at a time."""

import base64
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from moderation.errors import ConfigurationError
from moderation.events import AdContext, ImageEvent, ImageSource, Surface, one_line
from moderation.images import Limits
from stream.demo.expected import FILE
from stream.demo.samples import sample_events
from stream.kafka import Output
from stream.parse import EVENT_HEADER
from stream.settings import TopicSettings

LARGEST_INLINE: Final = Limits().max_bytes
"""Larger files are named in their event instead of sent: they are refused unread anyway."""
_LONGEST_ID: Final = 180


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event on its way, and how to get its image again for the report.

    value: the raw image where the event travels in the header, else None.
    shows: the labels that a person sees in the image, where that is known.
    """

    event: ImageEvent
    value: bytes | None
    name: str
    image: Callable[[], bytes]
    shows: tuple[str, ...] | None = None

    def output(self, topics: TopicSettings) -> Output:
        """The record to write."""
        topic = topics.creatives if self.event.surface is Surface.CREATIVE else topics.pages
        key, event = self.event.event_id.encode(), self.event.model_dump_json(exclude_none=True).encode()
        if self.value is None:
            return Output(topic, key, event)
        return Output(topic, key, self.value, {EVENT_HEADER: event})


def from_samples() -> Iterator[Outgoing]:
    for event, value, name, shows in sample_events():
        yield Outgoing(event, value, name, partial(_carried, event, value), shows)


def _carried(event: ImageEvent, value: bytes | None) -> bytes:
    if value is not None:
        return value
    return base64.b64decode(event.image.base64 or "") if event.image else b""


def from_folder(
    folder: Path,
    surface: Surface,
    on_skipped: Callable[[str], None],
    expected: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> Iterator[Outgoing]:
    """Every image file below `folder` as an event, in the order of names, read when its turn comes.

    The two encodings take turns. `on_skipped` gets a file that cannot be read, and nothing is sent.
    expected: the known content of files, by path below the folder.
    """
    for number, path in enumerate(image_files(folder)):
        name = printable(path.relative_to(folder))
        try:
            sent = _event_of(path, folder, surface, raw=number % 2 == 1)
            yield replace(sent, shows=expected.get(path.relative_to(folder).as_posix()))
        except OSError as error:
            on_skipped(f"{name}: {error.strerror}")


def _event_of(path: Path, folder: Path, surface: Surface, *, raw: bool) -> Outgoing:
    relative = path.relative_to(folder)
    value, source = _carry(path, relative, raw=raw)
    event = ImageEvent(
        event_id=event_id(relative), surface=surface, image=source, context=AdContext(crid=event_id(relative))
    )
    return Outgoing(event, value, printable(relative), partial(_read_again, path))


def _carry(path: Path, relative: Path, *, raw: bool) -> tuple[bytes | None, ImageSource | None]:
    if path.stat().st_size > LARGEST_INLINE:
        return None, ImageSource(file=printable(relative))
    data = path.read_bytes()
    if raw and data:  # an empty value could be taken for a deletion
        return data, None
    return None, ImageSource(base64=base64.b64encode(data).decode())


def _read_again(path: Path) -> bytes:
    """The file's bytes, or none where it is gone or too large to be shown."""
    try:
        return path.read_bytes() if path.stat().st_size <= LARGEST_INLINE else b""
    except OSError:
        return b""


def image_files(folder: Path) -> Iterator[Path]:
    """The files that a run over a folder sends: every regular file except `expected.csv`."""
    return (path for path in regular_files(folder) if path != folder / FILE)


def regular_files(folder: Path) -> Iterator[Path]:
    """Every regular file below a folder, or behind a link in it; links to folders are not followed.

    Raises ConfigurationError where there is no such folder.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is not a folder: give one that holds the images")
    for place, folders, files in os.walk(folder):
        folders.sort()
        yield from (path for name in sorted(files) if (path := Path(place, name)).is_file())


def printable(path: Path) -> str:
    """A file name as text: bytes that are no UTF-8 and control characters are replaced."""
    return one_line(os.fsencode(path).decode("utf-8", "replace"), limit=1000)


def event_id(path: Path) -> str:
    """A file name as an event id; where text cannot hold it whole, a digest of it keeps it unique."""
    name = printable(path)
    if name == str(path) and len(name) <= _LONGEST_ID:
        return name
    return f"{name[: _LONGEST_ID - 18]}~{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}"
