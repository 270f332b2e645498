"""Strict YAML: the small part of the language that has one meaning, with a place for every value.

Built on PyYAML's event stream. Refused: aliases and anchors (bombs), merge keys, duplicate keys, tags,
several documents, more than 1 MB, deep nesting, and YAML 1.1's other booleans (`NO` is not Norway there).
Plain scalars are `true`, `false`, empty or `null`, a JSON number, or text; nothing else is guessed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from moderation.documents.mistakes import Mistake, dotted

MAX_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 24
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBER: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")
_OTHER_BOOLEANS: Final = {"yes", "no", "on", "off", "y", "n", "true", "false"}
NodePath = tuple[str | int, ...]


class Place(NamedTuple):
    """Where a value begins, and its key if it has one; lines and columns from 1."""

    line: int
    column: int
    key_line: int
    key_column: int


class PlainInt(int):
    """A number written without quotes; `raw` is how, should the schema want text there."""

    raw: str


class PlainFloat(float):
    """As PlainInt, for numbers with a fraction."""

    raw: str


@dataclass(slots=True)
class Source:
    """One parsed file: its values, and the place of each."""

    file: str
    text: str = ""
    value: Any = None
    places: dict[NodePath, Place] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def add(self, path: NodePath, problem: str, expected: str = "", hint: str = "", *, key: bool = False) -> None:
        """Note a mistake at the value of `path`, or at its key."""
        place = self.place(path)
        at = (place.key_line, place.key_column) if key else (place.line, place.column)
        self.add_at(*at, dotted(path), problem, expected, hint)

    def add_at(self, line: int, column: int, path: str, problem: str, expected: str = "", hint: str = "") -> None:
        self.mistakes.append(Mistake(self.file, line, column, path, problem, expected, hint, self.line(line)))

    def place(self, path: NodePath) -> Place:
        """The place of `path`, or of the nearest value around it that is written."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(1, 1, 1, 1))

    def line(self, number: int) -> str:
        lines = self.text.splitlines()
        return lines[number - 1] if 0 < number <= len(lines) else ""


def read(path: Path, name: str) -> Source:
    """Read a policy file. Never raises for its content: see `Source.mistakes`."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        return _whole_file(name, f"cannot be read: {error.strerror or error}")
    if len(data) > MAX_BYTES:
        return _whole_file(
            name, "the file is over 1 MB", "at most 1,000,000 bytes", "move long lists to a file named by `file:`"
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _whole_file(name, f"byte {error.start} is not UTF-8", "a UTF-8 text file")
    return parse(text, name)


def parse(text: str, name: str) -> Source:
    """Parse policy text. Never raises for its content: see `Source.mistakes`."""
    source = Source(name, text)
    try:
        _Builder(source, yaml.parse(text, Loader=_LOADER)).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        source.add_at(line, column, "", f"not YAML: {error.problem}", "", _syntax_hint(source.line(line)))
    except yaml.YAMLError as error:
        source.add_at(1, 1, "", f"not YAML: {str(error).splitlines()[0]}")
    return source


def _whole_file(name: str, problem: str, expected: str = "", hint: str = "") -> Source:
    source = Source(name)
    source.mistakes.append(Mistake(name, 0, 0, "", problem, expected, hint))
    return source


def _syntax_hint(line: str) -> str:
    if "\t" in line:
        return "indent with spaces, never with tabs"
    if re.search(r":\S", line) and ": " not in line:
        return "put a space after the colon"
    return "check indentation, quotes and brackets on this line and the one before"


class _TooDeep(yaml.YAMLError):
    pass


class _Builder:
    """Values and places out of the event stream; every mistake is noted, none stops the reading."""

    def __init__(self, source: Source, events: Iterator[Any]) -> None:
        self.source = source
        self.events = events

    def document(self) -> None:
        next(self.events)
        start = next(self.events)
        if isinstance(start, yaml.StreamEndEvent):
            self.source.add_at(1, 1, "", "the file is empty", "a policy")
            return
        self.source.value = self._node(next(self.events), (), None)
        next(self.events)
        if isinstance(extra := next(self.events), yaml.DocumentStartEvent):
            self._note(extra, (), "a second document begins here", "one policy per file", "move it to its own file")

    def _node(self, event: Any, path: NodePath, key: Any) -> Any:
        if len(path) > MAX_DEPTH:
            raise _TooDeep(f"nested deeper than {MAX_DEPTH} levels")
        self._place(event, path, key)
        self._refuse_anchors_and_tags(event, path)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        return self._scalar(event, path) if isinstance(event, yaml.ScalarEvent) else None

    def _mapping(self, path: NodePath) -> dict[str, Any]:
        out: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._key(event, path)
            if key in out:
                self._duplicate(event, (*path, key))
                self._skip(next(self.events))
                continue
            out[key] = self._node(next(self.events), (*path, key), event)
        return out

    def _sequence(self, path: NodePath) -> list[Any]:
        out: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            out.append(self._node(event, (*path, len(out)), None))
        return out

    def _key(self, event: Any, path: NodePath) -> str:
        self._refuse_anchors_and_tags(event, path)
        if not isinstance(event, yaml.ScalarEvent):
            self._note(event, path, "a key must be a word", "text")
            self._skip(event)
            return f"?{event.start_mark.line}"
        if not event.style and event.value == "<<":
            self._note(event, path, "merge keys are refused", "", "use `extends` to inherit from another policy")
        elif not event.style:
            self._refuse_other_booleans(event, path, also_true_false=True)
        return str(event.value)

    def _scalar(self, event: Any, path: NodePath) -> Any:
        text: str = event.value
        if event.style:
            return text
        self._refuse_other_booleans(event, path)
        if text in {"", "~", "null"}:
            return None
        if text in {"true", "false"}:
            return text == "true"
        return _number(text) if _NUMBER.fullmatch(text) else text

    def _refuse_other_booleans(self, event: Any, path: NodePath, *, also_true_false: bool = False) -> None:
        text = event.value
        if text.lower() in _OTHER_BOOLEANS and (also_true_false or text not in {"true", "false"}):
            self._note(
                event,
                path,
                f"unquoted {text} is a boolean in YAML",
                "quoted text, true or false",
                f'write "{text}" if a text or a country is meant, true or false if not',
            )

    def _refuse_anchors_and_tags(self, event: Any, path: NodePath) -> None:
        if isinstance(event, yaml.AliasEvent):
            self._note(
                event, path, f"the alias *{event.anchor} is refused", "", "write the value out, or use `extends`"
            )
        elif event.anchor:
            self._note(event, path, f"the anchor &{event.anchor} is refused", "", "remove it; use `extends` to share")
        if getattr(event, "tag", None) and not isinstance(event, yaml.AliasEvent):
            self._note(event, path, f"the tag {event.tag} is refused", "a plain value", "remove the tag")

    def _duplicate(self, event: Any, path: NodePath) -> None:
        first = self.source.places[path]
        problem = f"the key '{path[-1]}' stands twice, first on line {first.key_line}"
        self._note(event, path, problem, "each key once", "keep one of the two")

    def _skip(self, event: Any) -> None:
        """Read past a node, however deep."""
        depth = 0
        while True:
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth == 0:
                return
            event = next(self.events)

    def _place(self, event: Any, path: NodePath, key: Any) -> None:
        mark, key_mark = event.start_mark, (key or event).start_mark
        self.source.places[path] = Place(mark.line + 1, mark.column + 1, key_mark.line + 1, key_mark.column + 1)

    def _note(self, event: Any, path: NodePath, problem: str, expected: str = "", hint: str = "") -> None:
        mark = event.start_mark
        self.source.add_at(mark.line + 1, mark.column + 1, dotted(path), problem, expected, hint)


def _number(text: str) -> PlainInt | PlainFloat:
    number = PlainInt(text) if text.lstrip("-").isdigit() else PlainFloat(text)
    number.raw = text
    return number
