"""`adjudicate policy …`: check, test, explain, compare and start policies.

No command needs a GPU or a broker, except with `--image` (a served model) and `--scores topic:NAME` (Kafka).
Imports wait until a command runs, so that `--help` is quick and needs no extra.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from stream.cli.options import AsJson, Catalogue, SettingsFile, labels_of
from stream.cli.terminal import print_json, print_line, print_notice

policy = typer.Typer(
    name="policy", help="Check, test, explain, compare and start clients' policies.", no_args_is_help=True
)

Folder = Annotated[Path, typer.Argument(help="Folder of the policy files.")]
Policies = Annotated[Path, typer.Option("--policies", help="Folder of the policy files.")]
Client = Annotated[str, typer.Argument(help="Client, or client/campaign.")]
Clients = Annotated[list[str] | None, typer.Option("--client", help="Only this client; may repeat.")]
Html = Annotated[Path | None, typer.Option("--html", help="Also write the report as one HTML file.")]
Images = Annotated[
    list[Path] | None,
    typer.Option(
        "--images",
        help="With --html: a folder of images (by content, event id or file), or image events as JSON Lines. "
        "May repeat.",
    ),
]
Now = Annotated[
    datetime | None,
    typer.Option("--now", help="Decide as of this moment (UTC), for dates and blackouts. Default: the present."),
]
Scores = Annotated[
    str, typer.Option("--scores", help="Recorded scores: JSON Lines (.gz too), - for standard input, or topic:NAME.")
]


@policy.command()
def check(
    folder: Folder = Path("policies"),
    *,
    model: Annotated[
        str | None,
        typer.Option(
            help="Warn of labels that this model does not score: labels.txt, a model's folder, a model repository, "
            "or `triton` for the served model. Default: model_repository/, where there is one."
        ),
    ] = None,
    catalogue: Catalogue = None,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Check every policy file and report all mistakes of all files at once. Exit 1 if there are any."""
    from moderation.policy import examine
    from moderation.policy.tools.unscored import warn_unscored
    from stream.cli.policy_inputs import scored_labels
    from stream.cli.policy_output import print_check

    found, served = examine(folder, labels_of(catalogue, settings)), scored_labels(model, settings)
    warnings = warn_unscored(found.policies, served.labels, served.name) if served else []
    print_check(found, warnings, as_json=as_json)
    sys.exit(1 if found.mistakes else 0)


@policy.command()
def test(  # noqa: PLR0913 - one for each option
    folder: Folder = Path("policies"),
    *,
    client: Clients = None,
    min_coverage: Annotated[float, typer.Option(help="Fail if a smaller share of rules fired, 0..1.")] = 0.0,
    junit: Annotated[Path | None, typer.Option(help="Also write a JUnit XML file.")] = None,
    catalogue: Catalogue = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Run the cases beside each policy (acme.yaml: acme.cases.yaml). Exit 1 if one fails or has no cases."""
    from moderation.policy import load
    from moderation.policy.tools.cases import all_passed, run_cases
    from stream.cli.policy_inputs import moment, policy_of
    from stream.cli.policy_output import print_results, write_junit

    policies = load(folder, labels_of(catalogue))
    chosen = [policy_of(policies, name) for name in client] if client else policies.policies
    results = [run_cases(policies, each, moment(now)) for each in chosen]
    covered = all(result.coverage >= min_coverage for result in results)
    passed = all_passed(results) and covered
    if junit:
        write_junit(results, junit)
    if as_json:
        print_json({"passed": passed, "policies": [result.as_json() for result in results]})
    else:
        print_results(results)
    if not covered:
        print_notice(f"the share of rules fired is below {min_coverage:.0%}")
    sys.exit(0 if passed else 1)


@policy.command()
def explain(  # noqa: PLR0913 - one for each option
    client: Client,
    *,
    scores: Scores = "-",
    event: Annotated[str | None, typer.Option("--event", help="The event_id. Default: the first event.")] = None,
    image: Annotated[Path | None, typer.Option(help="Score this image now (needs Triton).")] = None,
    surface: Annotated[str, typer.Option(help="With --image: creative or page.")] = "creative",
    country: Annotated[str | None, typer.Option(help="With --image: country of the impression.")] = None,
    policies: Policies = Path("policies"),
    settings: SettingsFile = None,
    catalogue: Catalogue = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Explain the verdict on one event: every rule in force, whether it fired, and its margin."""
    from moderation.policy import load
    from moderation.policy.tools import explain as tool
    from stream.cli.policy_inputs import moment, policy_of, recorded_event, scored_now
    from stream.cli.policy_output import print_explanation

    loaded = load(policies, labels_of(catalogue, settings))
    asked = policy_of(loaded, client)
    about = scored_now(image, surface, country, settings) if image else recorded_event(scores, event, settings)
    found = tool.explain(loaded, asked, about, moment(now))
    print_json(found.as_json()) if as_json else print_explanation(found)


@policy.command()
def diff(  # noqa: PLR0913 - one for each option
    before: Annotated[Path, typer.Argument(help="Folder, or policy file, before the change.")],
    after: Annotated[Path, typer.Argument(help="Folder, or policy file, after the change.")],
    *,
    scores: Scores,
    client: Clients = None,
    max_flipped: Annotated[
        float | None, typer.Option(help="Exit 1 if more than this share of decisions flips, 0..1.")
    ] = None,
    html: Html = None,
    images: Images = None,
    settings: SettingsFile = None,
    catalogue: Catalogue = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Show which decisions a changed policy flips on recorded scores, by rule and by impressions."""
    from moderation.policy.tools.diff import difference
    from moderation.policy.tools.html_report import diff_html
    from moderation.policy.tools.overlay import client_of
    from stream.cli.policy_inputs import (
        moment,
        of_clients,
        overlaid,
        pictures_for,
        require_clients,
        scores_with_progress,
    )
    from stream.cli.policy_tables import print_difference

    folder = before if before.is_dir() else before.parent
    only = set(client or ()) or {name for place in (before, after) if (name := client_of(place))}
    names, at = labels_of(catalogue, settings), moment(now)
    old, new = overlaid(before, folder, names), overlaid(after, folder, names)
    require_clients(only, old, new)
    sides = of_clients(old, only), of_clients(new, only)
    with scores_with_progress(scores, settings) as events:
        found = difference(*sides, events, at, lambda name: not only or name in only)
    if html:
        pictures = pictures_for([creative.shown for creative in found.examples], images, html)
        html.write_text(diff_html(found, str(before), str(after), scores, at, pictures), "utf-8")
    print_json(found.as_json()) if as_json else print_difference(found)
    flipped = found.flipped.events / found.decided.events if found.decided.events else 0.0
    if max_flipped is not None and flipped > max_flipped:
        print_notice(f"{flipped:.2%} of decisions flip, more than {max_flipped:.2%}")
        sys.exit(1)


@policy.command()
def backtest(  # noqa: PLR0913 - one for each option
    client: Client,
    *,
    scores: Scores,
    labels: Annotated[Path, typer.Option(help="CSV: event_id or content_sha256, and labels (1, 0, empty) or verdict.")],
    at_most: Annotated[
        list[float] | None, typer.Option(help="Share of safe images a threshold may hit, 0..1; may repeat.")
    ] = None,
    policies: Policies = Path("policies"),
    html: Html = None,
    images: Images = None,
    settings: SettingsFile = None,
    catalogue: Catalogue = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Compare a policy's decisions with known labels: precision, recall, review load, better thresholds."""
    from moderation.policy import load
    from moderation.policy.tools import backtest as tool
    from moderation.policy.tools.html_report import backtest_html
    from moderation.policy.tools.truth_table import read_truths
    from stream.cli.policy_inputs import moment, pictures_for, policy_of, scores_with_progress, share, thresholds
    from stream.cli.policy_tables import print_backtest

    loaded = load(policies, labels_of(catalogue, settings))
    asked = policy_of(loaded, client)
    known, at = read_truths(labels, asked.labels), moment(now)
    promises = sorted(share("at-most", each) for each in at_most) if at_most else tool.PROMISES
    with scores_with_progress(scores, settings) as events:
        result = tool.backtest(loaded, asked, events, known, at, cuts=thresholds(asked), promises=promises)
    if html:
        shown = [wrong.shown for each in result.wrong.values() for wrong in each.ranked(tool.EXAMPLES)]
        pictures = pictures_for(shown, images, html)
        html.write_text(backtest_html(result, scores, str(labels), at, pictures), "utf-8")
    print_json(result.as_json()) if as_json else print_backtest(result)


@policy.command()
def effective(
    client: Client, *, policies: Policies = Path("policies"), catalogue: Catalogue = None, as_json: AsJson = False
) -> None:
    """Print a client's policy with everything it inherits. Each value has the file and line of its source."""
    from moderation.policy import load
    from stream.cli.policy_inputs import policy_of
    from stream.cli.policy_output import print_effective

    asked = policy_of(load(policies, labels_of(catalogue)), client)
    if not as_json:
        print_effective(asked)
        return
    values = [{"path": path, "value": value, "origin": origin} for path, value, origin in asked.printable()]
    print_json({"policy": asked.key, "version": asked.version, "hash": asked.hash, "values": values})


TierOption = Annotated[str | None, typer.Option(hidden=True)]
"""The older spelling of `--tier LABEL=TIER` for a label of the shipped catalogue."""


@policy.command()
def new(  # noqa: PLR0913 - one for each option
    client: Annotated[str, typer.Argument(help="Name of the client, or client/campaign.")],
    *,
    tier: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[LABEL=]TIER",
            help="Mildest risk kept away: floor, high, medium (default) or low (strictest); for one label of the "
            "catalogue with LABEL=. May repeat.",
        ),
    ] = None,
    violence: TierOption = None,
    adult: TierOption = None,
    political: TierOption = None,
    undeclared: Annotated[
        str | None, typer.Option(help="Answer to undeclared political images: allow, review, block.")
    ] = None,
    on_error: Annotated[
        str | None, typer.Option(help="Answer to images that cannot be examined: allow, review (default), block.")
    ] = None,
    audit: Annotated[float | None, typer.Option(help="Share of images marked for audit, 0..1.")] = None,
    extends: Annotated[str | None, typer.Option(help="Organisation whose policy it extends.")] = None,
    description: Annotated[str | None, typer.Option(help="Description for people.")] = None,
    policies: Policies = Path("policies"),
    catalogue: Catalogue = None,
    ask: Annotated[bool, typer.Option("--ask", help="Ask for missing values.")] = False,
) -> None:
    """Write a starting policy and its cases. Both pass `check` and `test`, or nothing is written."""
    from moderation.events import Verdict
    from moderation.labels import TIERS
    from moderation.policy.language.hints.words import tier_hint, verdict_hint
    from moderation.policy.tools.new_client import start
    from moderation.policy.tools.scaffold import Answers
    from stream.cli import policy_inputs as given
    from stream.cli.policy_inputs import VERDICTS

    labels, campaign = labels_of(catalogue), "/" in client
    default, named = given.split_tiers(tier or [])
    older = {"violence": violence, "adult": adult, "political": political}
    named |= {label: word for label, word in older.items() if word}
    if ask:
        default = default or given.ask("Mildest risk kept away", TIERS, "medium", tier_hint)
        for label in labels.tiered_names:
            named[label] = named.get(label) or given.ask(f"Mildest risk of {label}", TIERS, default, tier_hint)
        if "political" in labels.tiered_names:
            question = "Answer to undeclared political images"
            undeclared = undeclared or given.ask(question, VERDICTS, "review", verdict_hint)
        on_error = on_error or given.ask("Answer to images that cannot be examined", VERDICTS, "review", verdict_hint)
    given.require_tiers([*named, *(["political"] if undeclared else [])], labels)
    chosen = dict.fromkeys(labels.tiered_names, default or (None if campaign else "medium")) | named
    tiers = {label: given.tier(word, label if label in named else None) for label, word in chosen.items() if word}
    answers = Answers(
        client=client,
        labels=labels,
        tiers=tiers,
        extends=extends,
        description=description,
        on_error=given.verdict("on-error", on_error) if on_error else None if campaign else Verdict.REVIEW,
        undeclared=given.verdict("undeclared", undeclared) if undeclared else None,
        audit=given.share("audit", audit) if audit is not None else 0.0,
    )
    for path in start(answers, policies, datetime.now(UTC)):
        print_line(f"wrote {path}")
