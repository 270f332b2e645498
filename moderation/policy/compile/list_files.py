"""The lists of a policy, inline and from files: read once per file, however many policies name it."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from moderation.documents.mistakes import Mistake
from moderation.documents.source import Source
from moderation.events import Verdict
from moderation.policy.compile.effective import NamedList
from moderation.policy.compile.lists import DigestSet, HashBank, ListFile, canonical, read_list
from moderation.policy.language.checks import written_files
from moderation.policy.language.schema import Entries, HashEntries, PolicyFile


class ListReader:
    """Reads list files below one folder; mistakes in them are collected."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mistakes: list[Mistake] = []
        self._read: dict[tuple[str, str], ListFile | str] = {}

    def rooted(self, policy: PolicyFile, folder: Path) -> PolicyFile:
        """The policy with the names of its list files relative to the root instead of to its own folder."""
        prefix = PurePosixPath(folder.relative_to(self.root).as_posix())
        if not policy.lists.model_fields_set or str(prefix) == ".":
            return policy
        written = policy.lists.model_dump(exclude_unset=True)
        for lists in written.values():
            for entries in lists.values():
                if "files" in entries:
                    entries["files"] = tuple(str(prefix / name) for name in entries["files"])
        return policy.model_copy(update={"lists": type(policy.lists).model_validate(written)})

    def check(self, source: Source, folder: Path) -> None:
        """Note every file of a policy that cannot be read, whatever else is wrong with the policy."""
        prefix = PurePosixPath(folder.relative_to(self.root).as_posix())
        for path, kind, name in written_files(source):
            file = self._file(str(prefix / name), kind)
            if isinstance(file, str):
                source.add(path, file, "a text file in the policies' folder, one entry per line")

    def lists(self, settings: PolicyFile) -> tuple[tuple[NamedList, ...], dict[str, str]]:
        """A policy's lists, and the hash of the content of every file behind them."""
        named, hashes = [], {}
        for verdict, kind, entries in _each(settings.lists):
            files = self._files(kind, entries)
            hashes[f"{verdict.value}.{kind}"] = " ".join(sorted(file.sha256 for file in files.values()))
            named.append(_named(verdict, kind, entries, files))
        return tuple(named), hashes

    def files(self, settings: PolicyFile) -> tuple[str, ...]:
        """Every list file a policy reads, as a path."""
        names = (name for _, _, entries in _each(settings.lists) for name in entries.files)
        return tuple(str(self.root / name) for name in dict.fromkeys(names))

    def broke(self, settings: PolicyFile) -> bool:
        """Whether a list file that the policy needs cannot be used."""
        for _, kind, entries in _each(settings.lists):
            for name in entries.files:
                file = self._read.get((name, kind))
                if file is None or isinstance(file, str) or file.mistakes:
                    return True
        return False

    def _files(self, kind: str, entries: Entries) -> dict[str, ListFile]:
        found = {name: self._file(name, kind) for name in entries.files}
        return {name: file for name, file in found.items() if isinstance(file, ListFile)}

    def _file(self, name: str, kind: str) -> ListFile | str:
        if (name, kind) not in self._read:
            self._read[name, kind] = self._open(name, kind)
        return self._read[name, kind]

    def _open(self, name: str, kind: str) -> ListFile | str:
        path = self.root / name
        if not path.resolve().is_relative_to(self.root.resolve()):
            return f"'{name}' lies outside the policies' folder"
        try:
            file = read_list(path, kind)
        except OSError as error:
            return f"'{name}' cannot be read: {error.strerror or 'not a file'}"
        except UnicodeDecodeError:
            return f"'{name}' is not UTF-8 text"
        self.mistakes += [
            Mistake(str(path), line, 1, "", mistake.problem, mistake.expected, mistake.hint, text)
            for line, text, mistake in file.mistakes
        ]
        return file


def _each(lists: Any) -> Iterator[tuple[Verdict, str, Entries]]:
    for verdict in (Verdict.BLOCK, Verdict.REVIEW, Verdict.ALLOW):
        each = getattr(lists, verdict.value)
        for kind in type(each).model_fields:
            if (entries := getattr(each, kind)) is not None:
                yield verdict, kind, entries


def _named(verdict: Verdict, kind: str, entries: Entries, files: dict[str, ListFile]) -> NamedList:
    inline = tuple(dict.fromkeys(canonical(kind, entry) for entry in entries.entries))
    if isinstance(entries, HashEntries):
        banks = [HashBank.of(inline, entries.distance)]
        banks += [HashBank.at(f.entries, entries.distance) for f in files.values() if isinstance(f.entries, HashBank)]
        return NamedList(verdict, kind, inline, (), HashBank.joined(banks))
    sets = tuple((name, f.entries) for name, f in files.items() if isinstance(f.entries, DigestSet))
    return NamedList(verdict, kind, inline, sets, None)
