"""A policy file tried out among the others of a folder, without putting it there."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from moderation.documents.source import parse
from moderation.errors import ConfigurationError
from moderation.labels import LabelCatalogue
from moderation.policy.folder import policy_files
from moderation.policy.load import Examination, examine, examine_text

_SHADOW = re.compile(r"^shadow:\s*true\b", re.MULTILINE)


class Identity(NamedTuple):
    """Whose policy a file is; two live files with the same identity cannot be in one folder."""

    kind: str
    name: str
    parent: str


def examine_overlaid(place: Path, among: Path | None = None, labels: LabelCatalogue | None = None) -> Examination:
    """What `place` would make: a folder as it is, or one file in the place of its namesake in a folder.

    among:  the folder that a file is tried in; its own if not given. A shadow policy is tried as if live.
    labels: what policies may name; the shipped catalogue if not given.
    Raises ConfigurationError where the place does not exist.
    """
    if place.is_dir():
        return examine(place, labels)
    folder = among or place.parent
    text = _SHADOW.sub("shadow: false", _text(place))
    others = dict(_texts(folder))
    name = _place_for(identity(text), place.name, others)
    live = {path: other for path, other in others.items() if not _SHADOW.search(other)}
    found = examine_text({**live, name: text}, folder, labels)
    mistakes = [replace(m, file=str(place if m.file == name else folder / m.file)) for m in found.mistakes]
    return Examination(found.policies, tuple(sorted(mistakes)), found.files)


def identity(text: str) -> Identity | None:
    """Whose policy a text is; None where it does not say."""
    value = parse(text, "").value
    if not isinstance(value, dict):
        return None
    for kind in ("organisation", "client", "campaign"):
        if isinstance(name := value.get(kind), str):
            return Identity(kind, name, str(value.get("extends", "")) if kind == "campaign" else "")
    return None


def client_of(place: Path) -> str | None:
    """The client that a file is about; None for a folder or an organisation: then every client."""
    found = None if place.is_dir() else identity(_text(place))
    if found is None or found.kind == "organisation":
        return None
    return found.parent if found.kind == "campaign" else found.name


def _place_for(whose: Identity | None, name: str, others: Mapping[str, str]) -> str:
    """The place where a file is tried: its namesake's, so that list files are found; else an unused name."""
    namesakes = (
        path for path, text in others.items() if whose and not _SHADOW.search(text) and identity(text) == whose
    )
    free = name if name not in others or _SHADOW.search(others[name]) else f"tried-{name}"
    return next(namesakes, free)


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    for path in policy_files(folder):
        yield path.relative_to(folder).as_posix(), _text(path)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}; give a policy file or a folder of them") from error
