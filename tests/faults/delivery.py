"""The scenario of the delivery test: one worker of each kind killed and one stopped, under load."""

import signal
import time
from dataclasses import dataclass

from tests.faults.load import Load
from tests.faults.run import Run


@dataclass(frozen=True)
class Stopped:
    """How the stopped worker ended, and what was sent."""

    at: float
    code: int
    took_s: float
    load: Load


def kill_and_stop(run: Run) -> Stopped:
    """A scorer and a decider die and are started again; another scorer is told to stop and is not."""
    run.workers(scorers=2, deciders=1)
    with run.load(per_s=60) as load:
        run.supervisor.hurt("s0", signal.SIGKILL)
        run.await_decisions()
        run.supervisor.hurt("d0", signal.SIGKILL)
        run.await_decisions()
        started = time.monotonic()
        code = run.supervisor.remove("s1", signal.SIGTERM)
        took_s = time.monotonic() - started
        run.await_decisions()
    return Stopped(started, code, took_s, load)
