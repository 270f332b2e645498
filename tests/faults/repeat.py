"""The delivery test again and again beside load: `python -m tests.faults.repeat --runs 300`.

Some dozens of runs share one set of servers, and each has topics, groups and workers of its own. Every run leaves
a line in results.jsonl and its workers' logs; one that breaks the promise leaves evidence too. Exits with 1 if any
did.
"""

import argparse
import json
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import structlog
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from moderation.errors import AdjudicateError
from stream.errors import SandboxError
from stream.findings_summary import summarize
from tests.faults.delivery import kill_and_stop
from tests.faults.evidence import FOLDER_VARIABLE
from tests.faults.run import Run
from tests.faults.stack import Stack
from tests.faults.starvation import starved
from tests.faults.zygote import Zygote

_STOP_WITHIN_S: Final = 10.0
_RUNS_OF_SERVERS: Final = 50
"""Topics pile up: after 240 runs, 8,000 partitions, a broker with so little memory and time stood still."""


@dataclass(frozen=True)
class Result:
    """What came of one run. `broken` is empty where the promise was kept."""

    number: int
    broken: str
    outcome: str
    seconds: float


class Repetition:
    """Runs over servers that are there already, several at a time."""

    def __init__(self, stack: Stack, zygote: Zygote | None, out: Path, results: list[Result]) -> None:
        """zygote: None starts every worker as a new interpreter, as the delivery test does."""
        self._stack = stack
        self._zygote = zygote
        self._out = out
        self._writing = threading.Lock()
        self._results = results

    def repeat(self, runs: Iterable[int], parallel: int) -> None:
        numbers = iter(runs)
        threads = [threading.Thread(target=self._work, args=(numbers,)) for _ in range(parallel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, numbers: Iterator[int]) -> None:
        while True:
            with self._writing:
                number = next(numbers, None)
            if number is None:
                return
            self._note(self._run_once(number))

    def _run_once(self, number: int) -> Result:
        started, directory = time.monotonic(), self._out / f"run-{number:04d}"
        try:
            with Run(self._stack, directory, self._zygote, is_shared=True) as run:
                broken, outcome = _judge(run)
                if broken:
                    broken += f"\nevidence: {run.keep_evidence(broken)}"
        except Exception as error:  # noqa: BLE001 - one run that fails must not end the others
            broken = outcome = repr(error)
        if not broken:
            shutil.make_archive(str(directory), "gztar", directory)
            shutil.rmtree(directory)
        return Result(number, broken, outcome, round(time.monotonic() - started, 1))

    def _note(self, result: Result) -> None:
        with self._writing:
            self._results.append(result)
            with (self._out / "results.jsonl").open("a") as file:
                file.write(json.dumps(asdict(result)) + "\n")
            kept = sum(not each.broken for each in self._results)
            print(f"{kept} of {len(self._results)} kept; last took {result.seconds} s. {result.broken}", flush=True)


def _judge(run: Run) -> tuple[str, str]:
    try:
        stopped = kill_and_stop(run)
        outcome = run.outcome(stopped.at, stopped.load)
    except (AdjudicateError, TimeoutError) as error:
        return repr(error), ""
    if not outcome.findings.are_none:
        return summarize(outcome.history, outcome.findings), str(outcome)
    if stopped.code or stopped.took_s > _STOP_WITHIN_S:
        return f"s1 ended with {stopped.code} after {stopped.took_s:.1f} s", str(outcome)
    return "", str(outcome)


@contextmanager
def _servers(directory: Path) -> Iterator[Stack]:
    """Servers with one broker. Another sandbox may take a port before it is used, so there are some tries."""
    for attempt in Retrying(retry=retry_if_exception_type(SandboxError), stop=stop_after_attempt(3), reraise=True):
        with attempt:
            stack = Stack.below(directory / str(attempt.retry_state.attempt_number), brokers=1)
            stack.sandbox.start()
    try:
        yield stack
    finally:
        stack.sandbox.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--parallel", type=int, default=2, help="runs at a time")
    parser.add_argument("--hogs", type=int, default=1, help="busy loops beside them")
    parser.add_argument("--interpreters", action="store_true", help="a new interpreter for each worker, no fork")
    parser.add_argument("--out", type=Path, default=Path("repeat-out"), help="folder for results and logs")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    options.out.mkdir(parents=True)
    os.environ.setdefault(FOLDER_VARIABLE, str(options.out / "evidence"))
    results: list[Result] = []
    with closing(Zygote()) as zygote:
        for first in range(0, options.runs, _RUNS_OF_SERVERS):
            numbers = range(first, min(first + _RUNS_OF_SERVERS, options.runs))
            with _servers(options.out / f"servers-{first:04d}") as stack:
                repetition = Repetition(stack, None if options.interpreters else zygote, options.out, results)
                with starved(options.hogs, stack.sandbox.kafka):
                    repetition.repeat(numbers, options.parallel)
    broken = [each for each in results if each.broken]
    print(f"{len(results)} runs, {len(broken)} broke the promise")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
