"""Images that killed or hung a decoder twice: remembered, so that a restart does not meet them again."""

import os
import threading
from pathlib import Path
from typing import Final, Protocol

import structlog

from moderation.events import Status
from moderation.images import PREPROCESSING

_log = structlog.get_logger(__name__)

POISONED: Final = frozenset({Status.DECODE_CRASHED, Status.TIMEOUT})
"""The outcomes that are remembered."""


class PoisonList(Protocol):
    """Called from the decode pool's threads, for every image; neither call may raise or take long."""

    def seen(self, sha256: str) -> Status | None:
        """The status that this content ended with, or None."""

    def add(self, sha256: str, status: Status) -> None:
        """Remember it. If the list cannot be reached, the image is tried again later."""


class NoPoison:
    """Remembers nothing."""

    def seen(self, sha256: str) -> Status | None:  # noqa: ARG002
        return None

    def add(self, sha256: str, status: Status) -> None: ...


class FilePoisonList:
    """A text file of `sha256 status preprocessing-version` lines, appended to and synced.

    Several processes may share it: each line is one O_APPEND write; another process's lines are read at the
    next start. Lines of another preprocessing version are ignored, because its decoders may do better.
    Raises OSError where the file cannot be opened for appending.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._known = dict(filter(None, map(_parse, path.read_text("ascii", "replace").splitlines())))

    def seen(self, sha256: str) -> Status | None:
        return self._known.get(sha256)

    def add(self, sha256: str, status: Status) -> None:
        with self._lock:
            if sha256 in self._known:
                return
            self._known[sha256] = status
            try:
                self._append(f"{sha256} {status.value} {PREPROCESSING}\n")
            except OSError as error:
                _log.warning("poison_not_written", path=str(self._path), error=error.strerror)

    def _append(self, line: str) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(descriptor, line.encode("ascii"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _parse(line: str) -> tuple[str, Status] | None:
    match line.split(" "):
        case [sha256, status, version] if version == PREPROCESSING and status in POISONED:
            return sha256, Status(status)
    return None
