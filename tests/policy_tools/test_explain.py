"""Why: every rule that was looked at, what fired, and the margin."""

from pathlib import Path
from textwrap import dedent

from moderation.events import Status, Verdict
from moderation.policy import load
from moderation.policy.engine.rules.registry import RULES
from moderation.policy.tools.explain import Explanation, explain
from tests.policy.making import NOW, event


def explained(scores: dict[str, float] | None = None, **fields: object) -> Explanation:
    policies = load(Path("policies"))
    policy = policies.policy("acme")
    assert policy
    return explain(policies, policy, event("e", scores, **fields), NOW)


def test_every_rule_in_force_is_looked_at_once(folder: Path) -> None:
    found = explained({"violence.weapon": 0.7})
    names = [row.rule for row in found.rows]
    assert len(names) == len(set(names))
    in_force = {
        rule for rule in RULES.list_rules(found.policy) if ".page." not in rule and not rule.startswith("markets.")
    }
    assert in_force <= set(names)


def test_what_fired_stands_first_and_has_its_margin_and_its_place(folder: Path) -> None:
    first = explained({"violence.weapon": 0.7}).rows[0]
    assert (first.rule, first.fired, first.verdict) == (
        "thresholds.creative.violence.weapon.block",
        True,
        Verdict.BLOCK,
    )
    assert first.margin is not None
    assert round(first.margin, 6) == 0.1
    assert first.origin == "policies/acme.yaml:5"


def test_what_did_not_fire_follows_with_the_nearest_first(folder: Path) -> None:
    found = explained({"adult": 0.35})
    quiet = [row for row in found.rows if not row.fired and row.margin is not None]
    assert quiet[0].rule == "thresholds.creative.adult.review"
    margins = [row.margin for row in quiet if row.margin is not None]
    assert margins == sorted(margins, reverse=True)


def test_inherited_tiers_say_which_file_and_which_tier(folder: Path) -> None:
    origins = {row.rule: row.origin for row in explained().rows}
    assert origins["thresholds.creative.adult.block"] == "policies/house.yaml:2 (suitability medium)"


def test_a_market_has_its_own_thresholds(folder: Path) -> None:
    rules = {row.rule for row in explained(country="NOR").rows}
    assert "markets.NO.thresholds.creative.adult.block" in rules
    assert "thresholds.creative.adult.block" not in rules


def test_what_was_not_examined_has_no_margins(folder: Path) -> None:
    found = explained(status=Status.FETCH_FAILED)
    assert (found.rows[0].rule, found.rows[0].fired) == ("on_error.FETCH_FAILED", True)
    assert all(row.margin is None for row in found.rows)


def test_the_event_is_put_to_the_policy_whoever_it_names(folder: Path) -> None:
    found = explained(clients=("somebody-else",))
    assert found.decision.client == "acme"


def test_every_kind_of_rule_is_told_with_its_line(tmp_path: Path) -> None:
    text = """\
        client: acme
        uncertainty: 0.5
        political:
          threshold: 0.6
          undeclared: block
        on_error: block
    """
    (tmp_path / "acme.yaml").write_text(dedent(text), encoding="utf-8")
    policy = load(tmp_path).policy("acme")
    assert policy is not None
    lines = {rule: str(policy.written_in(rule)).rpartition(":")[2] for rule in RULES_AND_LINES}
    assert lines == RULES_AND_LINES
    assert policy.written_in("nothing.of.the.kind") is None


RULES_AND_LINES = {"political.undeclared": "5", "on_error.DECODE_FAILED": "6", "uncertainty": "2"}
