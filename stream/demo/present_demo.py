"""What `adjudicate demo` prints: progress and warnings on standard error, results on standard output."""

from dataclasses import asdict
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from moderation.events import Verdict
from stream.cli.terminal import console, notices, print_json_line
from stream.demo.outgoing import image_files
from stream.demo.run import Outcome, Plan, run_demo
from stream.demo.samples import SAMPLES
from stream.demo.signals import stoppable
from stream.demo.tables import print_clients, print_decisions
from stream.demo.watcher import Terminal

MOST_SHOWN: Final = 5
"""Places named when something is wrong with many."""


def present_demo(plan: Plan, *, as_json: bool) -> bool:
    """Run the demo and show how it went; whether there was exactly one decision per event and client."""
    errors = notices()
    total = len(SAMPLES) if plan.images is None else sum(1 for _ in image_files(plan.images))
    with stoppable(), Terminal(errors, total) as watcher:
        outcome = run_demo(plan, watcher)
    if as_json:
        print_json_line(summary(outcome))
    else:
        _print_outcome(console(), outcome)
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
        "known_content": {**asdict(run.misses), "as_expected": run.misses.as_expected},
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
    if run.misses.known:
        console.print(f"{run.misses}.")
    console.print("docs/model.md says how often the model is wrong; it was not trained on drawings.")
    console.print(f"Report     {escape(str(outcome.report_file))}\nDecisions  {escape(str(outcome.decisions_file))}")


def _complain(console: Console, outcome: Outcome) -> None:
    for what, places in (("doubled", outcome.ledger.doubled), ("unexpected", outcome.ledger.unexpected)):
        for event, client in places[:MOST_SHOWN]:
            console.print(f"{what}: {event} for {client}", style="red", markup=False, highlight=False)
