"""The two stages as child processes of the demo, on the local stack and nowhere else."""

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


def worker_environment(sandbox: Sandbox, policies: Path, images: Path | None) -> dict[str, str]:
    """The stages' settings: this sandbox, these policies, and files below `images`."""
    own = {"ADJUDICATE_POLICIES": str(policies.absolute()), **_PATIENCE}
    if images:
        own["ADJUDICATE_IMAGES__ROOT"] = str(images.absolute())
    return {**sandbox.environment, **own}


def command(stage: str, settings: dict[str, str]) -> list[str]:
    """A stage that knows these settings only: the user's own may point to a real broker or cache."""
    inherited = [name for name in os.environ if name.startswith("ADJUDICATE_")]
    dropped = [option for name in inherited for option in ("-u", name)]
    given = [f"{name}={value}" for name, value in settings.items()]
    return ["env", *dropped, *given, sys.executable, "-c", _PROGRAM, stage]


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
    settings = worker_environment(sandbox, policies, images)
    leash = Leash()
    parts = [
        Part(f"adjudicate {stage}", command(stage, settings), sandbox.directory / f"{stage}.log", lambda: True, leash)
        for stage in STAGES
    ]
    workers = Workers(parts, sandbox.parts)
    try:
        for part in parts:
            part.start()
        yield workers
    finally:
        workers.stop()
        leash.close()
