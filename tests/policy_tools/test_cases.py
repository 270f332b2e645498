"""Cases beside a policy: what passes, what fails and how it is told, what is no case at all."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from moderation.events import AdContext, Status, Surface
from moderation.policy import EffectivePolicy, PolicySet, load
from moderation.policy.tools.case_file import Case, Given, read_cases
from moderation.policy.tools.cases import PolicyResult, run_cases, scored_event
from tests.catalogue import CATALOGUE, LABELS
from tests.evidence import image_scores
from tests.policy.making import NOW

KNOWN = {"labels": CATALOGUE}
POLICIES = Path("policies")
CASES = POLICIES / "acme.cases.yaml"


def of(policies: PolicySet, client: str = "acme", campaign: str | None = None) -> EffectivePolicy:
    policy = policies.policy(client, campaign)
    assert policy
    return policy


def run(text: str | None = None, client: str = "acme") -> PolicyResult:
    if text is not None:
        CASES.write_text(text, "utf-8")
    policies = load(POLICIES)
    return run_cases(policies, of(policies, client), NOW)


def problems(expect: str, rest: str = "") -> list[str]:
    result = run(f"cases:\n  - name: x\n    scores: {{other: 0.01, adult: 0.9}}\n{rest}    expect: {expect}\n")
    assert not result.mistakes, [mistake.render() for mistake in result.mistakes]
    return list(result.results[0].problems)


def test_the_cases_pass_and_say_what_they_covered(folder: Path) -> None:
    result = run()
    assert result.passed
    assert [case.passed for case in result.results] == [True, True, True]
    assert "thresholds.creative.violence.weapon.block" not in result.uncovered
    assert "rules.heavy-campaigns" in result.uncovered
    assert 0 < result.coverage < 1


def test_a_policy_without_cases_fails_and_says_where_they_belong(folder: Path) -> None:
    CASES.unlink()
    result = run()
    assert not result.passed
    assert (result.mistakes[0].file, result.mistakes[0].problem) == (str(CASES), "acme has no cases")


@pytest.mark.parametrize("text", ["cases: []\n", "defaults: {status: OK}\n"])
def test_a_file_without_a_case_fails_too(folder: Path, text: str) -> None:
    result = run(text)
    assert not result.passed
    assert result.mistakes[0].problem == "there are no cases"


def test_a_wrong_verdict_says_what_decided_and_what_would_pass(folder: Path) -> None:
    assert problems("allow") == [
        "verdict: expected allow, got block by thresholds.creative.adult.block; would pass: adult < 0.70"
    ]


def test_a_wrong_rule_is_a_failure_of_its_own(folder: Path) -> None:
    assert problems("{verdict: block, rule: rules.heavy-campaigns}") == [
        "rule: expected rules.heavy-campaigns, got thresholds.creative.adult.block"
    ]


def test_a_rule_that_must_also_fire_is_missed(folder: Path) -> None:
    (problem,) = problems("{verdict: block, also: [rules.heavy-campaigns]}")
    assert problem.startswith("also: expected rules.heavy-campaigns to fire; fired: thresholds.creative.adult.block")


def test_an_audit_sample_can_be_expected(folder: Path) -> None:
    assert problems("{verdict: block, audit_sample: true}") == ["audit_sample: expected True, got False"]


def test_labels_that_are_not_given_are_not_scored_and_the_remedy_is_told(folder: Path) -> None:
    result = run("cases:\n  - name: x\n    scores: {adult: 0.01}\n    expect: allow\n")
    assert any("add `other: 0.01`" in problem for problem in result.results[0].problems)


def test_a_label_given_as_null_is_not_scored(folder: Path) -> None:
    result = run(
        "cases:\n  - name: x\n    scores: {other: 0.01, adult: null}\n"
        "    expect: {verdict: review, rule: on_missing_label}\n"
    )
    assert result.passed


def test_none_is_expected_where_the_policy_is_not_concerned(folder: Path) -> None:
    assert problems("none", "    clients: [zeta]\n") == []


def test_a_campaign_is_tested_in_its_campaign(folder: Path) -> None:
    (POLICIES / "spring.yaml").write_text("campaign: spring\nextends: acme\nsuitability: floor\n", "utf-8")
    (POLICIES / "spring.cases.yaml").write_text(
        "cases:\n  - name: x\n    scores: {other: 0.01, adult: 0.75}\n    expect: allow\n", "utf-8"
    )
    policies = load(POLICIES)
    assert run_cases(policies, of(policies, "acme", "spring"), NOW).passed


def test_a_shadow_policy_is_tested_by_its_own_decision(folder: Path) -> None:
    (POLICIES / "next.yaml").write_text("client: acme\nshadow: true\nsuitability: low\n", "utf-8")
    (POLICIES / "next.cases.yaml").write_text(
        "cases:\n  - name: x\n    scores: {other: 0.01, adult: 0.55}\n    expect: block\n", "utf-8"
    )
    policies = load(POLICIES)
    shadow = next(policy for policy in policies.policies if policy.shadow)
    assert run_cases(policies, shadow, NOW).passed


def test_dates_of_a_case_decide_when_it_is_decided(folder: Path) -> None:
    text = (POLICIES / "acme.yaml").read_text("utf-8") + "valid_until: 2026-12-31\n"
    (POLICIES / "acme.yaml").write_text(text, "utf-8")
    result = run(
        "defaults:\n  scores: {other: 0.01}\n  now: 2026-12-31\ncases:\n"
        "  - {name: still, expect: allow}\n"
        "  - {name: no longer, now: 2027-01-01, expect: {verdict: review, rule: on_expired.policy}}\n"
    )
    assert result.passed, [case.problems for case in result.results]


def test_a_case_wins_over_the_defaults_key_by_key(folder: Path) -> None:
    policy = of(load(POLICIES))
    defaults = Given.model_validate(
        {"surface": "page", "scores": {"other": 0.5, "adult": 0.2}, "context": {"country": "DE", "seat": "1"}},
        context=KNOWN,
    )
    own = {"name": "x", "scores": {"adult": 0.9}, "context": {"country": "FR"}, "expect": "allow"}
    case = Case.model_validate(own, context=KNOWN)
    event = scored_event(policy, defaults, case, datetime(2026, 1, 1, tzinfo=UTC))
    assert (event.surface, event.context.country, event.context.seat) == (Surface.PAGE, "FR", "1")
    assert image_scores(event) == {**dict.fromkeys(LABELS, 0.5), "adult": 0.9}
    assert event.clients == ("acme",)


@pytest.mark.parametrize(
    "sent",
    [
        {"crid": 8841, "seat": 512.0, "campaign": ["c"], "deal": None},
        {"adomain": "https://u:p@a.example:443/?q,b.example", "domain": ["a.example/x"], "page_url": "//a.example/?q"},
        {"adomain": '["a.example"]', "cat": 386, "cattax": "7", "country": ["uk"]},
        {"adomain": [None, "a.example"], "cat": None, "cattax": "", "country": 47},
        {"declared_political": "yes", "impressions": "12"},
        None,
    ],
)  # fmt: skip
def test_a_case_says_what_an_event_says(folder: Path, sent: Any) -> None:
    written = {"name": "x", "expect": "allow", "surface": " Creative", "clients": "acme", "context": sent}
    CASES.write_text(json.dumps({"cases": [written]}), "utf-8")
    source, cases = read_cases(CASES, CATALOGUE)
    assert cases is not None, [mistake.render() for mistake in source.mistakes]
    event = scored_event(of(load(POLICIES)), cases.defaults, cases.cases[0], NOW)
    assert event.context == AdContext.model_validate(sent or {})
    assert (event.surface, event.clients) == (Surface.CREATIVE, ("acme",))


def test_what_was_not_examined_has_no_scores(folder: Path) -> None:
    case = Case.model_validate({"name": "x", "status": "TIMEOUT", "expect": "review"})
    event = scored_event(of(load(POLICIES)), Given.model_validate({"scores": {"other": 0.5}}, context=KNOWN), case, NOW)
    assert (event.status, image_scores(event), event.uncertainty, event.model) == (Status.TIMEOUT, {}, None, None)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("cases:\n  - name: x\n    expect: perhaps\n", 3, "verdict"),
        ("cases:\n  - name: x\n    expect: deny\n", 3, "hint: write block"),
        ("cases:\n  - name: x\n    scores: {guns: 0.5}\n    expect: allow\n", 3, "did you mean 'violence.weapon'?"),
        ("cases:\n  - name: x\n    scores: {adlut: 0.5}\n    expect: allow\n", 3, "did you mean 'adult'?"),
        ("cases:\n  - name: x\n    scores: {adult: 80}\n    expect: allow\n", 3, "less than or equal to 1"),
        ("cases:\n  - name: x\n    expects: allow\n", 3, "unknown key 'expects'"),
        ("cases:\n  - name: x\n    context: {contry: DE}\n    expect: allow\n", 3, "unknown key 'contry'"),
        ("cases:\n  - scores: {}\n    expect: allow\n", 2, "'name' is missing"),
        ("case: []\n", 1, "unknown key 'case'"),
        ("- a list\n", 1, "this is not a file of cases"),
        ("cases:\n  - {name: x, expect: allow}\n  - {name: x, expect: allow}\n", 3, "'x' names two cases"),
        ("cases: [\n", 2, "not YAML"),
        ("cases: &all []\nmore: *all\n", 1, "the anchor &all is refused"),
    ],
)
def test_what_is_no_case_is_refused_at_its_place(folder: Path, text: str, line: int, said: str) -> None:
    CASES.write_text(text, "utf-8")
    source, _ = read_cases(CASES, CATALOGUE)
    assert any(mistake.line == line and said in mistake.render() for mistake in source.mistakes), [
        mistake.render() for mistake in source.mistakes
    ]


def test_all_mistakes_of_a_file_are_told_at_once(folder: Path) -> None:
    lines = ["cases:", "  - {name: a, expect: maybe}", "  - {nam: b, expect: allow}", "  - {name: y, expect: allow}"]
    CASES.write_text("\n".join(lines) + "\n", "utf-8")
    source, cases = read_cases(CASES, CATALOGUE)
    assert cases is None
    assert {mistake.line for mistake in source.mistakes} == {2, 3, 4}
