"""What the two commands print: progress and warnings on standard error, results on standard output."""

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from moderation.classifier import TritonAddress, TritonClassifier
from moderation.events import Verdict
from stream.decode import DecodePool
from stream.demo.classify import Classified, classify, files_of
from stream.demo.outgoing import printable, regular_files
from stream.demo.run import Outcome, Plan, run_demo
from stream.demo.samples import SAMPLES
from stream.demo.tables import print_clients, print_decisions, print_scores
from stream.demo.watcher import Terminal
from stream.sandbox.part import Leash
from stream.sandbox.triton_server import TritonOptions, TritonServer
from stream.settings import TritonSettings

MOST_SHOWN: Final = 5
"""Images, clients or files named when something is wrong with many."""


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM unwinds like Ctrl-C, so that everything that was started is stopped."""

    def interrupt(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def present_demo(plan: Plan, *, as_json: bool) -> bool:
    """Run the demo and show how it went; whether there was exactly one decision per event and client."""
    errors = Console(stderr=True)
    total = len(SAMPLES) if plan.images is None else sum(1 for _ in regular_files(plan.images))
    with stoppable(), Terminal(errors, total) as watcher:
        outcome = run_demo(plan, watcher)
    if as_json:
        sys.stdout.write(json.dumps(summary(outcome)) + "\n")
    else:
        _print_outcome(Console(), outcome)
    _complain(errors, outcome)
    return outcome.ledger.is_exact


def summary(outcome: Outcome) -> dict[str, Any]:
    """The run as JSON: counts per client, statuses, rejects, whether delivery was exact, and the files."""
    run, ledger = outcome.run, outcome.ledger
    return {
        "schema_version": 1,
        "events": run.events,
        "decisions": ledger.decided,
        "exactly_once": ledger.is_exact,
        "doubled": [list(place) for place in ledger.doubled],
        "unexpected": [list(place) for place in ledger.unexpected],
        "clients": {client: {v.value: run.count(client, v) for v in Verdict} for client in run.clients},
        "statuses": {status.value: count for status, count in run.statuses.items()},
        "rejects": [{"record": r.name, "reason": r.reason, "detail": r.detail} for r in run.rejected],
        "not_sent": outcome.skipped,
        "first_decision_s": run.first_decision_s and round(run.first_decision_s, 3),
        "took_s": round(run.took_s, 3),
        "broker": run.broker,
        "model": run.model and run.model.model_dump(),
        "files": {"decisions": str(outcome.decisions_file), "report": str(outcome.report_file)},
    }


def _print_outcome(console: Console, outcome: Outcome) -> None:
    run, ledger = outcome.run, outcome.ledger
    print_decisions(console, outcome.images)
    console.print()
    print_clients(console, run)
    console.print()
    for reject in run.rejected:
        console.print(f"Rejected {reject.name}: {reject.reason}, {reject.detail}", markup=False, highlight=False)
    first = f", the first {run.first_decision_s:.1f} s after the command" if run.first_decision_s else ""
    exact = "exactly one per event and client" if ledger.is_exact else "NOT exactly one per event and client"
    console.print(f"{ledger.decided:,} decisions on {run.events:,} images{first}: {exact}.", highlight=False)
    console.print(f"Report     {escape(str(outcome.report_file))}\nDecisions  {escape(str(outcome.decisions_file))}")


def _complain(console: Console, outcome: Outcome) -> None:
    for what, places in (("doubled", outcome.ledger.doubled), ("unexpected", outcome.ledger.unexpected)):
        for event, client in places[:MOST_SHOWN]:
            console.print(f"{what}: {event} for {client}", style="red", markup=False, highlight=False)


def present_scores(paths: Sequence[Path], settings: TritonSettings, url: str | None, *, as_json: bool) -> None:
    """Print each file's scores as they come. Raises ConfigurationError, SandboxError or ModelError."""
    files = files_of(paths)
    with stoppable(), _classifier(settings, url) as classifier:
        size = classifier.spec().size
        with DecodePool(os.cpu_count() or 1, size) as pool:
            found = classify(files, classifier, pool, settings.max_batch)
            if as_json:
                for each in found:
                    sys.stdout.write(json.dumps(as_line(each), ensure_ascii=False) + "\n")
                    sys.stdout.flush()
            else:
                print_scores(Console(), found)


@contextmanager
def _classifier(settings: TritonSettings, url: str | None) -> Iterator[TritonClassifier]:
    """The server that was named, by argument or settings, else one of our own."""
    if url or settings.model_fields_set:
        yield from _connected(replace(_address(settings), url=url or settings.url))
        return
    Console(stderr=True).print("[bold]·[/] Starting Triton (name a running one with --triton)", highlight=False)
    with _own_triton() as server:
        yield from _connected(TritonAddress(server.grpc))


@contextmanager
def _own_triton() -> Iterator[TritonServer]:
    leash = Leash()
    with TemporaryDirectory(prefix="adjudicate-") as directory:
        server = TritonServer(TritonOptions(), Path(directory), leash)
        try:
            server.start().wait_ready()
            yield server
        finally:
            server.terminate()
            leash.close()


def _connected(address: TritonAddress) -> Iterator[TritonClassifier]:
    classifier = TritonClassifier(address)
    try:
        yield classifier
    finally:
        classifier.close()


def _address(triton: TritonSettings) -> TritonAddress:
    return TritonAddress(
        triton.url, triton.model, triton.version, triton.tls_ca, triton.tls_certificate, triton.tls_key
    )


def as_line(each: Classified) -> dict[str, Any]:
    """One image as JSON: `scores` by label, null where the status is not OK."""
    return {
        "path": printable(each.path),
        "status": each.status.value,
        "detail": each.detail,
        "scores": each.scores,
        "uncertainty": each.uncertainty,
        "image": each.image and each.image.model_dump(),
        "model": each.model and each.model.name,
        "version": each.model and each.model.version,
    }
