"""Tables of `diff` and `backtest`: counts, shares, and the heaviest creatives."""

from collections.abc import Mapping, Sequence
from typing import Final

from rich.table import Table

from moderation.policy.tools.backtest import Backtest, Mistaken
from moderation.policy.tools.diff import Campaign, Difference
from moderation.policy.tools.diff_words import changes, counts_impressions, headline, per_day
from moderation.policy.tools.heaviest import Weight
from moderation.policy.tools.html_report import interval, part, percent, signed
from moderation.policy.tools.outcomes import TRUTHS, Outcome
from moderation.policy.tools.proportions import Point
from stream.cli.terminal import console, make_table, verdict_text

# -- diff ---------------------------------------------------------------------------------------


def print_difference(found: Difference, most: int = 40) -> None:
    out = console()
    out.print(
        f"{found.events:,} events, {found.decided.events:,} decisions; {found.flipped.events:,} would flip, "
        f"standing for {found.flipped.impressions:,} impressions"
    )
    out.print(" ".join(filter(None, [headline(found), per_day(found)])), soft_wrap=True)
    if found.without_impressions:
        out.print(f"{found.without_impressions:,} events do not say their impressions and count as events only")
    if not found.flips:
        return
    out.print(_totals(found))
    if campaigns := found.campaigns.ranked(most):
        out.print(_campaigns(campaigns))
    columns = ("client", "was", "becomes", "rule before", "rule after", "events", "impressions")
    table = make_table("Flips by rule, heaviest first", *columns, numbers=("events", "impressions"))
    ranked = found.ranked()
    for flip, weight in ranked[:most]:
        verdicts = verdict_text(flip.before), verdict_text(flip.after)
        table.add_row(flip.client, *verdicts, flip.rule_before, flip.rule_after, *_weight(weight))
    out.print(table)
    if len(ranked) > most:
        out.print(f"… and {len(ranked) - most} more kinds; --json and --html have all")


def _totals(found: Difference) -> Table:
    weighs = "impressions" if counts_impressions(found) else "events"
    numbers = ("before", "share", "after", "share after", "change")
    table = make_table(f"Verdicts, in {weighs}", "verdict", *numbers, numbers=numbers)
    for change in reversed(changes(found)):
        before, after = (getattr(side, weighs) for side in (change.before, change.after))
        shares = part(change.share_before), part(change.share_after)
        table.add_row(
            verdict_text(change.verdict),
            f"{before:,}",
            shares[0],
            f"{after:,}",
            shares[1],
            signed(getattr(change, weighs)),
        )
    return table


def _campaigns(campaigns: Sequence[Campaign]) -> Table:
    columns = ("client", "campaign", "changes", "events", "impressions")
    table = make_table("Flips by campaign, heaviest first", *columns, numbers=("events", "impressions"))
    for campaign in campaigns:
        flips = ", ".join(f"{was} to {will}: {weight.events:,}" for (was, will), weight in campaign.flips.items())
        table.add_row(campaign.client, campaign.name, flips, *_weight(campaign.weight))
    return table


def _weight(weight: Weight) -> tuple[str, str]:
    return f"{weight.events:,}", f"{weight.impressions:,}"


# -- backtest -----------------------------------------------------------------------------------


def print_backtest(result: Backtest) -> None:
    out = console()
    out.print(f"{result.client}: {result.events:,} events, {result.matched:,} with a known truth")
    if result.unread_columns:
        out.print(f"columns that were not read: {', '.join(result.unread_columns)}", soft_wrap=True)
    if result.without_impressions:
        out.print(f"{result.without_impressions:,} events do not say their impressions and count as events only")
    out.print(_truth_table("Decisions against truth", {"": result.outcome}))
    out.print(_shares("In short", result.outcome))
    out.print(
        _truth_table("What decided", {name: each for name, each in result.by_source.items() if each.whole.events})
    )
    out.print(_shares("By scores alone, without lists, rules and the political section", result.by_scores))
    for kind, found in result.wrong.items():
        if found:
            out.print(_mistaken(kind, found.ranked(_MOST_MISTAKES)))
    for label in result.known_labels:
        out.print(_suggestions(result, label))
        out.print(_curve(result, label))


_MOST_MISTAKES: Final = 10


def _truth_table(title: str, outcomes: Mapping[str, Outcome]) -> Table:
    """One row for each verdict, or for each pair of deciding rule and verdict."""
    numbers = [column for truth in TRUTHS for column in (truth, f"impressions {truth}")]
    sources = ["decided by"] if len(outcomes) > 1 or "" not in outcomes else []
    table = make_table(title, *sources, "verdict", *numbers, numbers=numbers)
    for source, outcome in outcomes.items():
        for verdict in ("block", "review", "allow"):
            cells = [c for truth in TRUTHS for c in _weight(outcome.weights[verdict, truth])]
            if not sources or any(outcome.events(verdict, truth) for truth in TRUTHS):
                table.add_row(*([source] if sources else []), verdict_text(verdict), *cells)
    return table


def _shares(title: str, outcome: Outcome) -> Table:
    numbers = ("share", "95%", "of impressions")
    table = make_table(title, "", *numbers, numbers=numbers)
    for name, field in (
        ("of what is blocked and known, unsafe", "block_precision"),
        ("of what is unsafe, blocked", "block_recall"),
        ("of what is unsafe, blocked or sent to review", "kept_away"),
        ("of what is safe, blocked", "safe_blocked"),
        ("of everything, sent to review", "review_load"),
    ):
        share = getattr(outcome, field)
        table.add_row(name, percent(share), interval(share), part(outcome.by_impressions(field)))
    return table


def _mistaken(kind: str, creatives: Sequence[Mistaken]) -> Table:
    columns = ("creative", "event", "rule", "labelled", "events", "impressions")
    table = make_table(f"{kind.capitalize()}, heaviest first", *columns, numbers=("events", "impressions"))
    for each in creatives:
        labelled = ", ".join(each.labels) or "–"
        table.add_row(each.shown.title, each.shown.event_id, each.rule, labelled, *_weight(each.weight))
    return table


def _suggestions(result: Backtest, label: str) -> Table:
    numbers = ("seen", "recall", "proven", "its recall")
    table = make_table(f"{label}: thresholds that keep a promise", "at most of safe images", *numbers, numbers=numbers)
    for suggestion in result.suggestions(label):
        cells = [cell for point in (suggestion.seen, suggestion.proven) for cell in _threshold_and_recall(point)]
        table.add_row(f"{suggestion.at_most:.1%}", *cells)
    return table


def _threshold_and_recall(point: Point | None) -> tuple[str, str]:
    return ("too few images", "") if point is None else (f"{point.threshold:.3f}", percent(point.recall))


def _curve(result: Backtest, label: str) -> Table:
    shares = ("precision", "recall", "safe hit")
    numbers = ("threshold", *shares, "share of all")
    columns = ("threshold", "today", *(part for share in shares for part in (share, "95%")), "share of all")
    table = make_table(f"{label}: by threshold", *columns, numbers=(*numbers, "95%"))
    today = {round(cut, 3): name for name, cut in result.cuts.get(label, {}).items() if cut <= 1}
    for point in result.curve(label):
        parts = [text(s) for s in (point.precision, point.recall, point.safe_hit) for text in (percent, interval)]
        table.add_row(f"{point.threshold:.3f}", today.get(round(point.threshold, 3), ""), *parts, percent(point.load))
    return table
