"""Takes processor time away from everything else on the machine."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from stream.sandbox.part import Part

_HOG: Final = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
"""Ends with whoever started it."""
_SLOW: Final = 10


@contextmanager
def starved(hogs: int, slowed: Iterable[Part] = ()) -> Iterator[None]:
    """Busy loops for as long as this lasts; the `slowed` servers come after everything else from now on."""
    for part in slowed:
        _slow_down(part.pid)
    busy = [subprocess.Popen([sys.executable, "-c", _HOG]) for _ in range(hogs)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def _slow_down(pid: int) -> None:
    """Niceness is a thread's own; new threads inherit it."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, int(thread.name), _SLOW)
