"""The environment of the sandbox's servers: an allow-list, so that nothing of the user's shell reaches them.

An activated virtual environment puts its `bin` first on `PATH`. The interpreter inside Triton's python backend
finds its packages through `PATH`. It would load that environment's numpy 2 and answer with empty tensors.
"""

import os
import shutil
from typing import Final

KEPT: Final = frozenset({"HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "JAVA_HOME"})
SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def clean_environment(**more: str) -> dict[str, str]:
    """The kept variables of this process, the system's `PATH`, and `more`."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("LC_")}
    return {**kept, "PATH": SYSTEM_PATH, **more}


def absolute_program(program: str) -> str:
    """Where the user's `PATH` finds a program: the server itself sees the system's `PATH` only."""
    return shutil.which(program) or program
