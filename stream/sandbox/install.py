"""Where the sandbox keeps what it fetches, and how it fetches each thing exactly once."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from stream.errors import SandboxError

CACHE_VARIABLE: Final = "ADJUDICATE_SANDBOX_CACHE"
FETCH_TIMEOUT_S: Final = 900


def cache_directory() -> Path:
    """`ADJUDICATE_SANDBOX_CACHE`, else `.sandbox/` of the checkout, else of the current directory."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser().absolute()
    checkout = Path(__file__).resolve().parents[2]
    root = checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()
    return root / ".sandbox"


def installed(name: str, build: Callable[[Path], None]) -> Path:
    """The directory `name` in the cache, built on the first call.

    `build` fills a scratch directory that is renamed into place when it returns, so that a directory under
    its final name is always whole. A file lock makes a second process wait for the first.
    """
    target = cache_directory() / name
    if target.is_dir():
        return target
    with _locked(target.with_name(f"{name}.lock")):
        if not target.is_dir():
            _build(target, build)
    return target


def _build(target: Path, build: Callable[[Path], None]) -> None:
    scratch = target.with_name(f"{target.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    build(scratch)
    scratch.rename(target)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(command: Sequence[str], purpose: str, cwd: Path | None = None) -> str:
    """Run a program to its end and return what it printed. Raises SandboxError with its last lines."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxError(f"cannot {purpose}: {error}") from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise SandboxError(f"cannot {purpose}: `{command[0]}` exited with {done.returncode}\n{tail}")
    return done.stdout


def install_wheels(requirements: str, target: Path, python: str, *options: str) -> None:
    """Install wheels for `python` ("3.11") into `target`, apart from the application's environment."""
    target.mkdir(parents=True, exist_ok=True)
    wanted = target.parent / f"{target.name}-requirements.txt"
    wanted.write_text(requirements)
    command = [*_installer(), "--target", str(target), "--python-version", python]
    run(
        [*command, "--only-binary", ":all:", "-r", str(wanted), *options],
        f"install {requirements.split(maxsplit=1)[0]}",
    )


def _installer() -> list[str]:
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    return [uv, "pip", "install", "-q"] if uv else [sys.executable, "-m", "pip", "install", "-q"]
