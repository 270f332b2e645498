"""The files of a policy folder, and a fingerprint that differs when one of them changed.

Hidden names are skipped. A Kubernetes volume keeps its data in `..2026_11_25_14_00_00.1/`, points the link `..data`
at it and shows each file as a link through `..data`: the file counts under its visible name, once.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class FileState(NamedTuple):
    """One file as the file system knows it: where it really is, and when it was last written."""

    name: str
    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


class Fingerprint(NamedTuple):
    """What a folder holds. `place` is the real folder behind the name, empty where there is none."""

    place: str
    files: tuple[FileState, ...]


def policy_files(directory: Path) -> list[Path]:
    """The policy files of a folder and its sub-folders: `*.yaml` and `*.yml`, but not `*.cases.yaml`.

    A file that several names lead to counts once, under the name that is no link.
    """
    found = [path for path in visible_files(directory) if _is_policy(path)]
    by_file: dict[str, Path] = {}
    for path in sorted(found, key=lambda path: (path.is_symlink(), path)):
        by_file.setdefault(os.path.realpath(path), path)
    return sorted(by_file.values())


def visible_files(directory: Path) -> Iterator[Path]:
    """Every file below a folder without a hidden name on the way; links are followed, no folder twice."""
    seen = {os.path.realpath(directory)}
    for top, folders, names in os.walk(directory, followlinks=True):
        folders[:] = [name for name in sorted(folders) if _is_new(Path(top, name), seen)]
        for name in sorted(names):
            path = Path(top, name)
            if not name.startswith(".") and path.is_file():
                yield path


def fingerprint(directory: Path) -> Fingerprint:
    """The state of every visible file: policies, lists and whatever lies beside them."""
    if not directory.is_dir():
        return Fingerprint("", ())
    return Fingerprint(real_place(directory), tuple(_states(directory)))


def real_place(directory: Path) -> str:
    """The real folder behind a name, with its inode: another one after a rename, a new link or a new mount."""
    try:
        status = directory.stat()
    except OSError:
        return ""
    return f"{os.path.realpath(directory)}:{status.st_dev}:{status.st_ino}"


def _states(directory: Path) -> Iterator[FileState]:
    for path in visible_files(directory):
        try:
            status = path.stat()
        except OSError:
            continue
        yield FileState(str(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _is_policy(path: Path) -> bool:
    return path.suffix.lower() in {".yaml", ".yml"} and not path.stem.lower().endswith(".cases")


def _is_new(folder: Path, seen: set[str]) -> bool:
    if folder.name.startswith("."):
        return False
    place = os.path.realpath(folder)
    if place in seen:
        return False
    seen.add(place)
    return True
