"""Notices changes of a policy folder. The only import of `watchfiles`.

The folder is followed by its name, not by its inode: it may be deleted and made anew, renamed away, or be a link
whose target changes. The kernel's notices answer within a second. What they do not see (a swapped link above
the folder, a network file system, a file behind a link) a comparison of fingerprints sees within `POLL_S`.
"""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from watchfiles import watch

from moderation.policy.folder import Fingerprint, fingerprint, real_place

POLL_S: Final = 2.0
"""How often the whole folder is compared, whatever the kernel says."""
QUIET_S: Final = 0.5
"""Without a notice for so long, the name of the folder is looked up."""
_DEBOUNCE_MS: Final = 200
_STEP_MS: Final = 50
_MOST_ABSENT_S: Final = 1.0
"""A folder that is being replaced may be away for so long."""


def follow(directory: Path, seen: Callable[[], Fingerprint | None], stopping: threading.Event) -> Iterator[None]:
    """Yield after every change until `stopping`.

    seen: the fingerprint of what was last read; None where that failed, so that it is read again.
    """
    absent_since: float | None = None
    while not stopping.is_set():
        place, compare_at = real_place(directory), 0.0
        for is_noticed in _turns(directory, stopping):
            is_moved = real_place(directory) != place
            if not is_noticed and not is_moved and time.monotonic() < compare_at:
                continue
            compare_at = time.monotonic() + POLL_S
            found = fingerprint(directory)
            absent_since = None if found.place else absent_since or time.monotonic()
            if absent_since and time.monotonic() - absent_since < _MOST_ABSENT_S:
                break
            is_unnoticed = found != seen()
            if is_noticed or is_unnoticed:
                yield
            if is_moved or (is_unnoticed and not is_noticed):
                # These notices are about another folder, or miss changes: ask for new ones.
                break


def _turns(directory: Path, stopping: threading.Event) -> Iterator[bool]:
    """True at each notice of the kernel, False when there was none for `QUIET_S`.

    Where notices cannot be had (no such folder, no watch left), False once: the caller asks again.
    """
    try:
        for changed in watch(
            directory,
            stop_event=stopping,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            rust_timeout=int(QUIET_S * 1000),
            yield_on_timeout=True,
            raise_interrupt=False,
            watch_filter=None,
        ):
            yield bool(changed)
    except (OSError, RuntimeError):
        stopping.wait(QUIET_S)
        yield False
