"""Finds a shared libpython for Triton's python backend, whose stub embeds an interpreter."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stream.errors import SandboxError

VERSIONS: Final = ("3.12", "3.11")
"""Pythons that have both a stub in the Triton wheel and a numpy 1.26, newest first."""

_QUESTION: Final = (
    "import json, sys, sysconfig as s; v = s.get_config_var; print(json.dumps(["
    "'%d.%d' % sys.version_info[:2], v('LIBDIR') or '', v('MULTIARCH') or '', sys.base_prefix]))"
)


@dataclass(frozen=True)
class PythonLibrary:
    """version: "3.11"; directory: where libpython3.11.so.1.0 is; home: the prefix of its standard library."""

    version: str
    directory: Path
    home: Path


def python_library() -> PythonLibrary:
    """The running Python's shared library, else another installed one's. Raises SandboxError."""
    found = _search()
    if found is None:
        raise SandboxError(
            "Triton's python backend needs a shared libpython of Python 3.11 or 3.12 and none is installed; "
            "on Debian: `apt-get install libpython3.11`; with pyenv: `PYTHON_CONFIGURE_OPTS=--enable-shared "
            "pyenv install 3.12`"
        )
    return found


def _search() -> PythonLibrary | None:
    pythons = [sys.executable, *(f"python{version}" for version in VERSIONS), "/usr/bin/python3"]
    answers = (_ask(python) for python in pythons if shutil.which(python))
    return next((answer for answer in answers if answer is not None), None)


def _ask(python: str) -> PythonLibrary | None:
    asked = subprocess.run([python, "-I", "-c", _QUESTION], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        return None
    version, directory, multiarch, home = json.loads(asked.stdout)
    name = f"libpython{version}.so.1.0"
    places = (Path(directory), Path(directory) / multiarch, Path(home) / "lib")
    place = next((place for place in places if (place / name).is_file()), None)
    return PythonLibrary(version, place, Path(home)) if place and version in VERSIONS else None
