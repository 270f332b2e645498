"""The two stages as child processes of the demo, on the local stack only."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from stream.sandbox import Sandbox
from stream.sandbox.part import Leash, Part

STAGES: Final = ("score", "decide")
STOP_WITHIN_S: Final = 12.0
_PATIENCE: Final = {
    # A laptop's processor scores a few images a second: small requests, and time to answer them.
    "ADJUDICATE_WORKER__BATCH": "16",
    "ADJUDICATE_WORKER__IN_FLIGHT": "2",
    "ADJUDICATE_TRITON__MAX_BATCH": "16",
    "ADJUDICATE_TRITON__TIMEOUT_S": "60",
    "ADJUDICATE_INSTANCE": "demo",
}
_PROGRAM: Final = "from stream.cli import main; main()"


def worker_settings(sandbox: Sandbox, policies: Path, images: Path | None) -> dict[str, str]:
    """The stages' settings: this sandbox, these policies, and files below `images`."""
    own = {"ADJUDICATE_POLICIES": str(policies.absolute()), **_PATIENCE}
    if images:
        own["ADJUDICATE_IMAGES__ROOT"] = str(images.absolute())
    return {**sandbox.environment, **own}


def worker_environment(settings: dict[str, str]) -> dict[str, str]:
    """Environment of a stage with these settings only: the user's may name a real broker or cache."""
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith("ADJUDICATE_")}
    return {**inherited, **settings}


class Workers:
    """Both stages, watched together with the servers they need."""

    def __init__(self, parts: list[Part], servers: list[Part]) -> None:
        self._parts = parts
        self._servers = servers

    def check(self) -> None:
        """Raises SandboxError with the end of its log if a stage or a server has died."""
        for part in (*self._servers, *self._parts):
            part.assert_alive()

    def log_ends(self, lines: int = 8) -> str:
        """The last lines of each stage's log."""
        texts = ((part, part.log.read_text(errors="replace").splitlines()[-lines:]) for part in self._parts)
        return "\n".join(f"{part.name} says last:\n" + "\n".join(text) for part, text in texts)

    def stop(self) -> None:
        """SIGTERM to both, by force if they take too long; what they have begun is committed."""
        with ThreadPoolExecutor(len(self._parts)) as threads:
            list(threads.map(lambda part: part.terminate(STOP_WITHIN_S), self._parts))


@contextmanager
def running(sandbox: Sandbox, policies: Path, images: Path | None) -> Iterator[Workers]:
    """Both stages as separate processes, gone afterwards even if this process is killed."""
    environment = worker_environment(worker_settings(sandbox, policies, images))
    leash = Leash()
    parts = [
        Part(
            f"adjudicate {stage}", [sys.executable, "-c", _PROGRAM, stage], sandbox.directory / f"{stage}.log",
            lambda: True, leash, environment,
        )
        for stage in STAGES
    ]  # fmt: skip
    workers = Workers(parts, sandbox.parts)
    try:
        for part in parts:
            part.start()
        yield workers
    finally:
        workers.stop()
        leash.close()
