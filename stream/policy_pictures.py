"""Pictures for the reports of policies: found in folders and in recorded image events, made small.

A picture belongs to an event by its name (the content hash, the event id, or the file that the event names) or by
its bytes. Where the event says a content hash, other bytes are never shown for it.
"""

import base64
import binascii
import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from moderation.errors import ConfigurationError
from moderation.policy.tools.showcase import Picture, Pictures, Shown
from stream.thumbnails import thumbnail

_LONGEST_PX: Final = 160
_MOST_BYTES: Final = 32 * 1024 * 1024
"""A larger file is linked, not shown."""


@dataclass(slots=True)
class _Found:
    """What was found for one event so far."""

    shown: Shown
    picture: Picture = field(default_factory=Picture)

    @property
    def is_complete(self) -> bool:
        return bool(self.picture.uri)


def find_pictures(shown: Iterable[Shown], places: Sequence[Path], report: Path) -> Pictures:
    """Pictures of the events that a report shows.

    places: folders of images, and files of image events as JSON Lines (`.gz` too).
    report: the report's own file; links to pictures are relative to its folder.
    Raises ConfigurationError where a place cannot be read.
    """
    found = {each.event_id: _Found(each, Picture(link=_web_address(each.image_url))) for each in shown}
    for place in places:
        if place.is_dir():
            _search_folder(found, place, report.parent)
        else:
            _search_events(found, place)
    return {event_id: each.picture for event_id, each in found.items() if each.picture.uri or each.picture.link}


# -- folders --------------------------------------------------------------------------------------


def _search_folder(found: Mapping[str, _Found], folder: Path, beside: Path) -> None:
    """By name first; what is left is looked for by content, which reads every file."""
    files = list(_files(folder))
    by_name = _names(files, folder)
    for each in found.values():
        names = (each.shown.content_sha256, each.shown.file, each.shown.event_id)
        for path in (by_name[name] for name in names if name in by_name):
            if not each.is_complete:
                _take_file(each, path, beside)
    _search_contents(found, files, beside)


def _search_contents(found: Mapping[str, _Found], files: Iterable[Path], beside: Path) -> None:
    """Several events may show the same image."""
    wanted: dict[str, list[_Found]] = {}
    for each in found.values():
        if each.shown.content_sha256 and not each.is_complete:
            wanted.setdefault(each.shown.content_sha256, []).append(each)
    for path in files if wanted else ():
        data = _bytes(path)
        for each in wanted.pop(hashlib.sha256(data).hexdigest(), ()):
            _take(each, data, _link(path, beside))


def _files(folder: Path) -> Iterator[Path]:
    for top, folders, names in os.walk(folder):
        folders.sort()
        yield from (path for name in sorted(names) if (path := Path(top, name)).is_file())


def _names(files: Iterable[Path], folder: Path) -> dict[str, Path]:
    """Files by what an event may call them: path below the folder, name, name without its ending."""
    names: dict[str, Path] = {}
    for path in files:
        relative = path.relative_to(folder)
        for name in (relative.as_posix(), path.name, relative.with_suffix("").as_posix(), path.stem):
            names.setdefault(name, path)
    return names


def _take_file(each: _Found, path: Path, beside: Path) -> None:
    data = _bytes(path)
    wanted = each.shown.content_sha256
    if data and (wanted is None or hashlib.sha256(data).hexdigest() == wanted):
        _take(each, data, _link(path, beside))


def _bytes(path: Path) -> bytes:
    """The file's bytes; none where it is gone or too large to be shown."""
    with suppress(OSError):
        return path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
    return b""


def _link(path: Path, beside: Path) -> str:
    """A path from the report's folder, safe in an address whatever the file is called."""
    relative = os.path.relpath(path, beside)
    return "./" + quote(Path(relative).as_posix())


# -- recorded image events ------------------------------------------------------------------------


def _search_events(found: Mapping[str, _Found], place: Path) -> None:
    for event in _events(place):
        event_id, image = event.get("event_id"), event.get("image")
        each = found.get(event_id) if isinstance(event_id, str) else None
        if each and isinstance(image, dict):
            _take_source(each, image)


def _events(place: Path) -> Iterator[dict[str, Any]]:
    """Every line that is a JSON object; others are no event of which a picture could be shown."""
    try:
        with gzip.open(place) if place.suffix == ".gz" else place.open("rb") as lines:
            for line in lines:
                with suppress(ValueError):
                    event = json.loads(line)
                    if isinstance(event, dict):
                        yield event
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(
            f"--images {place}: cannot be read: {reason}; give a folder of images, or image events as JSON Lines"
        ) from error


def _take_source(each: _Found, image: Mapping[str, object]) -> None:
    if address := _web_address(image.get("url")):
        each.picture = Picture(each.picture.uri, each.picture.width, each.picture.height, address)
    if isinstance(text := image.get("base64"), str) and not each.is_complete:
        with suppress(binascii.Error, ValueError):
            data = base64.b64decode(text)
            if each.shown.content_sha256 in {None, hashlib.sha256(data).hexdigest()}:
                _take(each, data, each.picture.link)


def _take(each: _Found, data: bytes, link: str) -> None:
    small = thumbnail(data, _LONGEST_PX)
    link = each.picture.link or link
    each.picture = Picture(small.uri, small.width, small.height, link) if small else Picture(link=link)


def _web_address(value: object) -> str:
    """An http(s) address; anything else (`javascript:`) is never a link."""
    if not isinstance(value, str):
        return ""
    with suppress(ValueError):
        parts = urlsplit(value)
        if parts.scheme in {"http", "https"} and parts.hostname:
            return value
    return ""
