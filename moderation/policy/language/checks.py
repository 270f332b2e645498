"""Checks beyond the schema. They read the file as written, so that a mistake elsewhere hides nothing."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from moderation.documents.source import NodePath, Source
from moderation.policy.compile.lists import KINDS, EntryMistake, canonical
from moderation.policy.language.hints.dates import date_hint
from moderation.policy.language.hints.numbers import split_decimal
from moderation.policy.language.moments import DEFAULT_ZONE, EXPECTED_DATE, instant, is_local, written, zone_names

_IDENTITIES: Final = ("organisation", "client", "campaign")
_ONE_OWNER: Final = "one of client, organisation, campaign"


def check_beyond_schema(source: Source) -> None:
    """Empty values, whose policy it is, contradictory dates, entries that match nothing or are doubled."""
    noted = {(mistake.line, mistake.column) for mistake in source.mistakes}
    for path, value in _walk(source.value, ()):
        if value is None and source.place(path)[:2] not in noted and not _is_split_decimal(source, path):
            source.add(path, "the value is empty", "a value", "give one, or remove the key")
    _check_identity(source)
    _check_dates(source)
    _check_entries(source)


def check_cuts(source: Source) -> None:
    """Review above block inside one label, for a file that the schema refuses (others are checked as merged)."""
    for path, cut in _walk_mappings(source.value, ()):
        review, block = cut.get("review"), cut.get("block")
        if path[-2:-1] != ("thresholds",) or not isinstance(review, float | int) or not isinstance(block, float | int):
            continue
        if 1 >= review > block:
            expected = "review at or below block"
            source.add((*path, "review"), f"review {review:g} is above block {block:g}", expected)


def written_path(source: Source, path: NodePath) -> NodePath:
    """The path as the author wrote it: a bare list means its `entries`."""
    if path not in source.places and "entries" in path:
        at = path.index("entries")
        return (*path[:at], *path[at + 1 :])
    return path


def written_files(source: Source) -> Iterator[tuple[NodePath, str, str]]:
    """List files a policy names, as (path in the policy, kind, name)."""
    for _, kind, path, listed in _lists(source):
        files = listed.get("files") if isinstance(listed, dict) else None
        for index, name in enumerate(files if isinstance(files, list) else ()):
            if isinstance(name, str):
                yield (*path, "files", index), kind, name


def _walk(value: Any, path: NodePath) -> Iterator[tuple[NodePath, Any]]:
    """Every scalar with its path."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _walk(inner, (*path, key))
    else:
        yield path, value


def _walk_mappings(value: Any, path: NodePath) -> Iterator[tuple[NodePath, dict[str, Any]]]:
    if isinstance(value, dict):
        yield path, value
        for key, inner in value.items():
            yield from _walk_mappings(inner, (*path, key))


def _is_split_decimal(source: Source, path: NodePath) -> bool:
    """`{review: 0,40}`: the schema says what is wrong with the key `40`."""
    place = source.place(path)
    return bool(split_decimal(source.line(place.key_line), place.key_column))


def _check_identity(source: Source) -> None:
    written = source.value
    given = [name for name in _IDENTITIES if name in written]
    if not given:
        source.add((), "the policy does not say whose it is", _ONE_OWNER, "add `client: NAME`")
    for extra in given[1:]:
        source.add((extra,), f"{given[0]} and {extra} stand in one file", _ONE_OWNER, key=True)
    if given == ["campaign"] and "extends" not in written:
        source.add(("campaign",), "a campaign belongs to a client", "`extends: CLIENT`", key=True)
    if given == ["organisation"] and written.get("shadow") is True:
        source.add(("shadow",), "an organisation decides nothing, so it has no shadow", "", "remove it", key=True)


def _check_dates(source: Source) -> None:
    _check_order(source, (), "valid_from", "valid_until", None)
    political = source.value.get("political")
    windows = political.get("blackouts") if isinstance(political, dict) else None
    for name, window in windows.items() if isinstance(windows, dict) else ():
        path: NodePath = ("political", "blackouts", name)
        zone = window.get("time_zone") if isinstance(window, dict) else None
        if zone is None:
            _require_offsets(source, path)
        _check_order(source, path, "from", "until", zone if zone in zone_names() else DEFAULT_ZONE)


def _require_offsets(source: Source, path: NodePath) -> None:
    """A time on the clock needs a zone to be an instant; a bare date is a day in UTC."""
    for key in ("from", "until"):
        text = _written(source.value, (*path, key))
        if text is not None and is_local(text):
            hint = f"{date_hint(text)}; or add `time_zone: Europe/Berlin`"
            source.add((*path, key), f"'{text}' has no time zone", EXPECTED_DATE, hint)


def _check_order(source: Source, path: NodePath, start_key: str, end_key: str, zone: str | None) -> None:
    start = _instant(source.value, (*path, start_key), zone, end=False)
    end = _instant(source.value, (*path, end_key), zone, end=True)
    if start and end and end < start:
        first, last = (str(_written(source.value, (*path, key)))[:10] for key in (start_key, end_key))
        problem = f"{end_key} {last} lies before {start_key} {first}"
        source.add((*path, end_key), problem, f"a date from {first} on", "are the two dates swapped?")


def _instant(value: Any, path: NodePath, zone: str | None, *, end: bool) -> datetime | None:
    text = _written(value, path)
    try:
        return instant(text, zone, end=end) if text is not None else None
    except ValueError:
        return None


def _written(value: Any, path: NodePath) -> str | None:
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return None if value is None else written(value)


def _lists(source: Source) -> Iterator[tuple[str, str, NodePath, Any]]:
    lists = source.value.get("lists") if isinstance(source.value, dict) else None
    for verdict in ("block", "review", "allow"):
        each = lists.get(verdict) if isinstance(lists, dict) else None
        for kind, listed in each.items() if isinstance(each, dict) else ():
            if kind in KINDS:
                yield verdict, kind, ("lists", verdict, kind), listed


def _check_entries(source: Source) -> None:
    seen: dict[tuple[str, str], NodePath] = {}
    for _, kind, path, listed in _lists(source):
        entries = listed.get("entries") if isinstance(listed, dict) else listed
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            text = getattr(entry, "raw", entry)
            if isinstance(text, str):
                _check_entry(source, written_path(source, (*path, "entries", index)), kind, text, seen)


def _check_entry(source: Source, path: NodePath, kind: str, entry: str, seen: dict[tuple[str, str], NodePath]) -> None:
    try:
        key = (kind, canonical(kind, entry))
    except EntryMistake as mistake:
        source.add(path, mistake.problem, mistake.expected, mistake.hint)
        return
    other = seen.setdefault(key, path)
    if other[1] != path[1]:
        problem = f"'{entry}' also stands in lists.{other[1]}, on line {source.place(other).line}"
        source.add(path, problem, "an entry in one list", "remove one of the two")
