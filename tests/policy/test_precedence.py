"""Who wins when several rules fire: the order that docs/policies.md states."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from moderation.events import Status, Verdict
from tests.policy.making import NOW, SHA, decide, event, loaded, rules

VIOLENT = {"violence": 0.95}
RISKY = {"violence": 0.6}
LIMITS = "thresholds: {violence: {review: 0.5, block: 0.9}}"


def test_the_most_severe_answer_wins_and_every_rule_is_told(tmp_path: Path) -> None:
    policies = loaded(
        tmp_path,
        acme=f"""
            client: acme
            {LIMITS}
            uncertainty: 0.5
            lists: {{review: {{domain: [odd.example]}}}}
            rules: {{big: {{when: "impressions != null", verdict: review}}}}
        """,
    )
    decision = decide(policies, scores=VIOLENT, uncertainty=0.9, context={"domain": "odd.example", "impressions": 1})
    assert decision.verdict is Verdict.BLOCK
    assert rules(decision) == [
        "thresholds.creative.violence.block",
        "lists.review.domain",
        "rules.big",
        "thresholds.creative.violence.review",
        "on_uncertain",
    ]


def test_guards_come_first_among_equals(tmp_path: Path) -> None:
    policies = loaded(
        tmp_path,
        acme="client: acme\non_error: block\nlists: {block: {crid: [c1]}}\nsuitability: low",
    )
    decision = decide(policies, status=Status.TOO_LARGE, context={"crid": "c1"})
    assert rules(decision) == ["on_error.TOO_LARGE", "lists.block.crid"]


@pytest.mark.parametrize(
    ("listed", "context"),
    [
        ("crid: [c1]", {"crid": "c1"}),
        ("adomain: [shop.example]", {"adomain": ["www.shop.example"]}),
        ("domain: [news.example]", {"domain": "news.example"}),
        ("page_url: [news.example/ok/*]", {"page_url": "https://news.example/ok/story"}),
    ],
)
def test_trust_in_a_name_lifts_a_review_by_score_but_never_a_block(
    tmp_path: Path, listed: str, context: dict[str, object]
) -> None:
    policies = loaded(tmp_path, acme=f"client: acme\n{LIMITS}\nlists: {{allow: {{{listed}}}}}")
    lifted = decide(policies, scores=RISKY, context=context)
    assert lifted.verdict is Verdict.ALLOW
    assert lifted.reasons[0].rule == f"lists.allow.{listed.partition(':')[0]}"
    assert lifted.reasons[1].rule == "thresholds.creative.violence.review"
    assert lifted.reasons[1].detail == "lifted by an allowance"
    assert decide(policies, scores=VIOLENT, context=context).verdict is Verdict.BLOCK


def test_an_image_somebody_has_seen_is_lifted_from_a_block_by_score(tmp_path: Path) -> None:
    policies = loaded(tmp_path, acme=f"client: acme\n{LIMITS}\nlists: {{allow: {{content_sha256: [{SHA}]}}}}")
    decision = decide(policies, scores=VIOLENT)
    assert (decision.verdict, rules(decision)[0]) == (Verdict.ALLOW, "lists.allow.content_sha256")
    assert decide(policies, scores=VIOLENT, content_sha256="cd" * 32).verdict is Verdict.BLOCK


@pytest.mark.parametrize("allowed", ["domain: [news.example]", f"content_sha256: [{SHA}]"])
def test_no_allowance_lifts_a_list_a_rule_a_guard_or_politics(tmp_path: Path, allowed: str) -> None:
    policies = loaded(
        tmp_path,
        acme=f"""
            client: acme
            lists:
              block: {{crid: [bad]}}
              review: {{crid: [odd]}}
              allow: {{{allowed}}}
            rules: {{night: {{when: 'page_url.contains("/night/")', verdict: review}}}}
            political: {{threshold: 0.5}}
            thresholds: {{adult: {{block: 0.9}}}}
            max_score_age_days: 10
        """,
    )

    def verdict(**changes: object) -> Verdict:
        context = {"domain": "news.example", **changes.pop("context", {})}  # type: ignore[dict-item]
        return decide(policies, context=context, **changes).verdict

    assert verdict() is Verdict.ALLOW
    assert verdict(context={"crid": "bad"}) is Verdict.BLOCK
    assert verdict(context={"crid": "odd"}) is Verdict.REVIEW
    assert verdict(context={"page_url": "https://news.example/night/1"}) is Verdict.REVIEW
    assert verdict(scores={"political": 0.5}) is Verdict.REVIEW
    assert verdict(scores={"adult": None}) is Verdict.REVIEW
    assert verdict(status=Status.MODEL_UNAVAILABLE) is Verdict.REVIEW
    assert verdict(scored_at=datetime(2026, 1, 1, tzinfo=UTC)) is Verdict.REVIEW


def test_an_allow_list_of_advertisers_must_know_them_all(tmp_path: Path) -> None:
    policies = loaded(tmp_path, acme=f"client: acme\n{LIMITS}\nlists: {{allow: {{adomain: [a.example, b.example]}}}}")
    assert decide(policies, scores=RISKY, context={"adomain": ["a.example", "b.example"]}).verdict is Verdict.ALLOW
    assert decide(policies, scores=RISKY, context={"adomain": ["a.example", "c.example"]}).verdict is Verdict.REVIEW


def test_one_listed_advertiser_is_enough_to_block(tmp_path: Path) -> None:
    policies = loaded(tmp_path, acme="client: acme\nlists: {block: {adomain: [bad.example]}}")
    assert decide(policies, context={"adomain": ["good.example", "x.bad.example"]}).verdict is Verdict.BLOCK


def test_a_rule_that_allows_lifts_as_trust_does(tmp_path: Path) -> None:
    policies = loaded(
        tmp_path, acme=f"client: acme\n{LIMITS}\nrules: {{ours: {{when: 'seat == \"s1\"', verdict: allow}}}}"
    )
    assert decide(policies, scores=RISKY, context={"seat": "s1"}).verdict is Verdict.ALLOW
    assert decide(policies, scores=VIOLENT, context={"seat": "s1"}).verdict is Verdict.BLOCK


POLITICAL = """
    client: news
    thresholds: {political: {review: 0.8, block: 0.95}}
    political:
      threshold: 0.6
      countries:
        "FR": {threshold: 0.4, undeclared: block}
        "US": {declared: review}
      blackouts:
        vote: {countries: ["FR"], from: 2026-11-20, until: 2026-11-22}
"""


@pytest.mark.parametrize(
    ("score", "context", "day", "verdict", "rule"),
    [
        (0.59, {"country": "DE"}, 1, "allow", None),
        (0.60, {"country": "DE"}, 1, "review", "political.undeclared"),
        (0.60, {"country": "DE", "declared_political": False}, 1, "review", "political.undeclared"),
        (0.60, {"country": "DE", "declared_political": True}, 1, "allow", "political.declared"),
        (0.60, {"country": "DE", "cattax": 8, "cat": ["1476"]}, 1, "allow", "political.declared"),
        (0.60, {"country": "DE", "cattax": 7, "cat": ["387"]}, 1, "allow", "political.declared"),
        (0.60, {"country": "DE", "cattax": 7, "cat": ["1476"]}, 1, "review", "political.undeclared"),
        (0.85, {"country": "DE", "declared_political": True}, 1, "allow", "political.declared"),
        (0.96, {"country": "DE", "declared_political": True}, 1, "block", "thresholds.creative.political.block"),
        (0.40, {"country": "FR"}, 1, "block", "political.undeclared"),
        (0.01, {"country": "US", "declared_political": True}, 1, "review", "political.declared"),
        (0.40, {"country": "FR", "declared_political": True}, 1, "allow", "political.declared"),
        (0.40, {"country": "FRA", "declared_political": True}, 22, "block", "political.blackouts.vote"),
        (0.01, {"country": "FR", "declared_political": True}, 20, "block", "political.blackouts.vote"),
        (0.01, {"country": "FR"}, 20, "allow", None),
        (0.70, {"declared_political": True}, 21, "review", "political.blackouts.vote"),
        (0.70, {"country": "DE", "declared_political": True}, 21, "allow", "political.declared"),
        (0.70, {"country": "FR", "declared_political": True}, 23, "allow", "political.declared"),
    ],
)
def test_political_is_score_by_declaration_by_country_by_date(
    tmp_path: Path, score: float, context: dict[str, object], day: int, verdict: str, rule: str | None
) -> None:
    policies = loaded(tmp_path, news=POLITICAL)
    now = datetime(2026, 11, day, 23, 59, tzinfo=UTC)
    (decision,) = policies.decide([event(scores={"political": score}, context=context, scored_at=now)], now)[0]
    assert (decision.verdict.value, next(iter(rules(decision)), None)) == (verdict, rule)


def test_a_declaration_does_not_lift_other_reviews(tmp_path: Path) -> None:
    policies = loaded(tmp_path, news=f"client: news\n{LIMITS}\npolitical: {{threshold: 0.5}}")
    decision = decide(policies, scores=RISKY, context={"declared_political": True})
    assert decision.verdict is Verdict.REVIEW


def test_perceptual_hashes_escalate_within_their_distance(tmp_path: Path) -> None:
    known = "f" * 64
    policies = loaded(
        tmp_path,
        acme=f"client: acme\nlists: {{block: {{perceptual_hash: {{entries: ['{known}'], distance: 4}}}}}}",
        bravo=f"client: bravo\nlists: {{review: {{perceptual_hash: ['{known}']}}}}",
    )

    def verdicts(perceptual_hash: str | None) -> list[str]:
        return [d.verdict.value for d in policies.decide([event(perceptual_hash=perceptual_hash)], NOW)[0]]

    assert verdicts(known) == ["block", "review"]
    assert verdicts("0" + known[1:]) == ["block", "review"]
    assert verdicts("00" + known[2:]) == ["allow", "review"]
    assert verdicts("0" * 7 + "8" + known[8:]) == ["allow", "review"]  # 31 bits
    assert verdicts("0" * 8 + known[8:]) == ["allow", "allow"]  # 32 bits
    assert verdicts(None) == ["allow", "allow"]
