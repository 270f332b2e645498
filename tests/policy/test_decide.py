"""What a decision says, rule by rule."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from moderation.events import Decision, Status, Surface, Verdict, decision_id
from tests.policy.making import CLEAN, MODEL, NOW, SHA, decide, event, loaded, rules


def test_a_score_at_its_threshold_fires_and_just_below_passes(tmp_path: Path) -> None:
    policies = loaded(tmp_path, acme="client: acme\nthresholds: {violence: {review: 0.4, block: 0.8}}")
    assert decide(policies, scores={"violence": 0.8}).verdict is Verdict.BLOCK
    assert decide(policies, scores={"violence": 0.7999999999999999}).verdict is Verdict.REVIEW
    assert decide(policies, scores={"violence": 0.4}).verdict is Verdict.REVIEW
    assert decide(policies, scores={"violence": 0.39999999999999997}).verdict is Verdict.ALLOW


def test_a_reason_says_what_was_measured_and_what_would_pass(tmp_path: Path) -> None:
    policies = loaded(tmp_path, acme="client: acme\nthresholds: {violence: {review: 0.4, block: 0.805}}")
    block, review = decide(policies, scores={"violence": 0.9}).reasons
    assert block.rule == "thresholds.creative.violence.block"
    assert (block.label, block.score, block.threshold) == ("violence", 0.9, 0.805)
    assert block.would_pass == "violence < 0.805"
    assert review.would_pass == "violence < 0.40"


def test_a_decision_carries_everything_it_was_made_of(tmp_path: Path) -> None:
    policies = loaded(tmp_path, acme="client: acme\nversion: 1.10\nthresholds: {violence: {block: 0.8}}")
    decision = decide(policies, scores={"violence": 0.9}, context={"crid": "c", "country": "DE"}, occurred_at=NOW)
    policy = policies.policy("acme")
    assert policy is not None and decision.policy == policy.stamp
    assert decision.policy.version == "1.10"
    assert decision.decision_id == decision_id("e1", "acme", policy.hash)
    assert (decision.event_id, decision.client, decision.surface) == ("e1", "acme", Surface.CREATIVE)
    assert (decision.model, decision.content_sha256, decision.status) == (MODEL, SHA, Status.OK)
    assert decision.scores == {**CLEAN, "violence": 0.9}
    assert (decision.uncertainty, decision.context.crid) == (0.1, "c")
    assert (decision.occurred_at, decision.scored_at, decision.decided_at) == (NOW, NOW, NOW)
    assert decision.statement is not None
    assert decision.statement.automated_decision
    assert "thresholds.creative.violence.block" in decision.statement.ground
    assert "0.900" in decision.statement.facts
    assert decision.adtech is not None and decision.adtech.audit_status == 4


def test_a_review_is_not_an_automated_decision_and_an_allow_needs_no_statement(tmp_path: Path) -> None:
    policies = loaded(tmp_path, acme="client: acme\nthresholds: {violence: {review: 0.4}}")
    reviewed = decide(policies, scores={"violence": 0.9})
    assert reviewed.statement is not None and not reviewed.statement.automated_decision
    assert decide(policies).statement is None


def test_an_unknown_client_is_reviewed_once_and_known_ones_are_decided(tmp_path: Path) -> None:
    policies = loaded(tmp_path, acme="client: acme\nsuitability: low")
    decisions = policies.decide([event(clients=("acme", "nobody", "acme", "nobody"))], NOW)[0]
    assert [(d.client, d.verdict, rules(d)) for d in decisions] == [
        ("acme", Verdict.ALLOW, []),
        ("nobody", Verdict.REVIEW, ["unknown_client"]),
    ]
    assert decisions[1].policy is None


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.OK])
def test_what_was_not_examined_gets_on_error_with_its_status(tmp_path: Path, status: Status) -> None:
    policies = loaded(
        tmp_path,
        plain="client: plain\nsuitability: low",
        strict="client: strict\nsuitability: low\non_error: block",
        lax="client: lax\nsuitability: low\non_error: allow",
    )
    decisions = {d.client: d for d in policies.decide([event(status=status, detail="why")], NOW)[0]}
    assert {c: d.verdict for c, d in decisions.items()} == {
        "plain": Verdict.REVIEW,
        "strict": Verdict.BLOCK,
        "lax": Verdict.ALLOW,
    }
    for decision in decisions.values():
        assert rules(decision) == [f"on_error.{status.value}"]
        assert decision.reasons[0].detail == "why"


@pytest.mark.parametrize(("country", "verdict"), [("NO", "review"), ("DE", "allow")])
def test_a_label_that_one_country_alone_names_is_missed_there(tmp_path: Path, country: str, verdict: str) -> None:
    political = 'political: {countries: {"NO": {threshold: 0.5}}}'
    policies = loaded(tmp_path, acme=f"client: acme\n{political}\n")
    assert decide(policies, scores={"political": None}, country=country).verdict == verdict


def test_a_missing_label_is_never_zero_and_concerns_only_who_names_it(tmp_path: Path) -> None:
    policies = loaded(
        tmp_path,
        names="client: names\nthresholds: {violence.weapon: {block: 0.9}}\non_missing_label: block",
        other="client: other\nthresholds: {adult: {block: 0.9}}",
    )
    found = {d.client: d for d in policies.decide([event(scores={"violence.weapon": None})], NOW)[0]}
    assert found["names"].verdict is Verdict.BLOCK
    assert found["names"].reasons[0].rule == "on_missing_label"
    assert found["names"].reasons[0].label == "violence.weapon"
    assert found["other"].verdict is Verdict.ALLOW


def test_a_label_switched_off_with_never_is_not_missed(tmp_path: Path) -> None:
    policies = loaded(
        tmp_path,
        acme="client: acme\nsuitability: low\nthresholds: {political: {review: never, block: never}}",
    )
    assert decide(policies, scores={"political": None}).verdict is Verdict.ALLOW


def test_uncertain_images_get_on_uncertain_also_where_nothing_was_reported(tmp_path: Path) -> None:
    policies = loaded(tmp_path, acme="client: acme\nuncertainty: 0.7\non_uncertain: block")
    assert decide(policies, uncertainty=0.69).verdict is Verdict.ALLOW
    assert rules(decide(policies, uncertainty=0.7)) == ["on_uncertain"]
    assert decide(policies, uncertainty=0.7).verdict is Verdict.BLOCK
    assert rules(decide(policies, uncertainty=None)) == ["on_uncertain"]


def test_dates_of_a_policy_include_their_last_day(tmp_path: Path) -> None:
    policies = loaded(tmp_path, acme="client: acme\nvalid_from: 2026-11-01\nvalid_until: 2026-11-30\non_expired: block")
    moments = {
        datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC): ["on_expired.policy"],
        datetime(2026, 11, 1, tzinfo=UTC): [],
        datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC): [],
        datetime(2026, 12, 1, tzinfo=UTC): ["on_expired.policy"],
    }
    for now, expected in moments.items():
        assert rules(policies.decide([event()], now)[0][0]) == expected


def test_old_scores_expire(tmp_path: Path) -> None:
    policies = loaded(tmp_path, acme="client: acme\nmax_score_age_days: 30")
    assert decide(policies, scored_at=NOW - timedelta(days=30)).verdict is Verdict.ALLOW
    old = decide(policies, scored_at=NOW - timedelta(days=30, seconds=1))
    assert (old.verdict, rules(old)) == (Verdict.REVIEW, ["on_expired.scores"])


def test_surface_and_market_override_from_general_to_specific(tmp_path: Path) -> None:
    policies = loaded(
        tmp_path,
        acme="""
            client: acme
            thresholds: {violence: {block: 0.9}}
            surfaces: {page: {thresholds: {violence: {block: 0.8}}}}
            markets:
              "NO":
                thresholds: {violence: {block: 0.7}}
                surfaces: {page: {thresholds: {violence: {block: 0.6}}}}
        """,
    )
    for surface, country, threshold, rule in [
        ("creative", None, 0.9, "thresholds.creative.violence.block"),
        ("creative", "DE", 0.9, "thresholds.creative.violence.block"),
        ("page", "DE", 0.8, "thresholds.page.violence.block"),
        ("creative", "NO", 0.7, "markets.NO.thresholds.creative.violence.block"),
        ("page", "NOR", 0.6, "markets.NO.thresholds.page.violence.block"),
    ]:
        context = {"country": country}
        at = decide(policies, surface=surface, context=context, scores={"violence": threshold})
        assert (at.verdict, rules(at)) == (Verdict.BLOCK, [rule])
        below = decide(policies, surface=surface, context=context, scores={"violence": threshold - 0.001})
        assert below.verdict is Verdict.ALLOW


def test_an_expression_that_errs_gets_on_error_and_never_an_allow(tmp_path: Path) -> None:
    rule = "rules: {first: {when: 'cat[0] == \"386\"', verdict: allow}}"
    policies = loaded(
        tmp_path,
        lax=f"client: lax\non_error: allow\n{rule}",
        plain=f"client: plain\n{rule}",
        strict=f"client: strict\non_error: block\n{rule}",
    )
    found = {d.client: d for d in policies.decide([event()], NOW)[0]}
    assert {c: d.verdict for c, d in found.items()} == {
        "lax": Verdict.REVIEW,
        "plain": Verdict.REVIEW,
        "strict": Verdict.BLOCK,
    }
    for decision in found.values():
        assert rules(decision) == ["on_error.rules.first"]
        assert "the expression erred" in (decision.reasons[0].detail or "")
    assert decide(policies, clients=("plain",), context={"cat": ["386"]}).verdict is Verdict.ALLOW


def test_an_expression_over_a_label_that_was_not_scored_errs(tmp_path: Path) -> None:
    policies = loaded(
        tmp_path,
        acme="client: acme\nrules: {guns: {when: 'scores[\"violence.weapon\"] < 0.5', verdict: allow}}",
    )
    assert rules(decide(policies)) == ["rules.guns"]
    missing = decide(policies, scores={"violence.weapon": None})
    assert (missing.verdict, rules(missing)) == (Verdict.REVIEW, ["on_error.rules.guns"])


@pytest.mark.parametrize(
    ("when", "fires"),
    [
        ('surface == "creative"', True),
        ('country == "NO"', True),
        ('"shop.example" in adomain', True),
        ('cattax == 8 && cat.exists(c, c == "1474")', True),
        ("declared_political == true", True),
        ("impressions != null && impressions > 1000", True),
        ('page_url == "https://news.example/story"', True),
        ('domain.endsWith(".example") && crid == "c1" && seat == "s" && campaign == "p" && deal == ""', True),
        ("uncertainty < 0.2 && scores.violence < 0.1", True),
        ("width == 300 && height == 250 && frames == 1 && format == 'PNG'", True),
        ("now.getFullYear() == 2026", True),
        ('country in ["DE", "FR"]', False),
    ],
)
def test_expressions_see_the_event(tmp_path: Path, when: str, fires: bool) -> None:
    policies = loaded(tmp_path, acme=f"client: acme\nrules:\n  r:\n    when: |\n      {when}\n    verdict: review")
    decision = decide(
        policies,
        image={"format": "PNG", "width": 300, "height": 250},
        context={
            "country": "NOR",
            "adomain": ["Shop.example"],
            "cattax": 8,
            "cat": ["1474"],
            "declared_political": True,
            "impressions": 2000,
            "page_url": "https://news.example/story?user=1",
            "domain": "news.example",
            "crid": "c1",
            "seat": "s",
            "campaign": "p",
        },
    )
    assert rules(decision) == (["rules.r"] if fires else [])


def test_audit_sampling_is_for_ever_and_near_its_share(tmp_path: Path) -> None:
    policies = loaded(
        tmp_path,
        marks="client: marks\naudit: {share: 0.25}",
        sends="client: sends\naudit: {share: 0.25, answer: review, salt: other}",
    )
    events = [event(event_id=str(n), content_sha256=f"{n * 2654435761 % 2**256:064x}"[::-1]) for n in range(2000)]
    first = policies.decide(events, NOW)
    again = policies.decide([e.model_copy(update={"event_id": "x"}) for e in events], NOW + timedelta(days=900))
    for client in (0, 1):
        drawn = [row[client].audit_sample for row in first]
        assert drawn == [row[client].audit_sample for row in again]
        assert 0.2 < sum(drawn) / len(drawn) < 0.3
    assert [row[0].audit_sample for row in first] != [row[1].audit_sample for row in first]
    assert {row[0].verdict for row in first} == {Verdict.ALLOW}
    for marked, sent in first:
        assert marked.client == "marks"
        assert (sent.verdict is Verdict.REVIEW) == sent.audit_sample
        assert rules(sent) == (["audit.sample"] if sent.audit_sample else [])


def test_a_known_image_is_drawn_as_it_was_when_this_was_written(tmp_path: Path) -> None:
    policies = loaded(tmp_path, acme="client: acme\naudit: {share: 0.5}")
    drawn = [decide(policies, content_sha256=f"{n:064x}"[::-1]).audit_sample for n in range(16)]
    assert "".join("x" if each else "." for each in drawn) == DRAWN_FOR_EVER


DRAWN_FOR_EVER = "...xxxx..xxx.xx."


def test_shadow_policies_decide_beside_the_live_one(tmp_path: Path) -> None:
    policies = loaded(
        tmp_path,
        acme="client: acme\nthresholds: {violence: {block: 0.9}}",
        candidate="client: acme\nextends: acme\nshadow: true\nthresholds: {violence: {block: 0.5}}",
    )
    live, shadow = policies.decide([event(scores={"violence": 0.7})], NOW)[0]
    assert (live.verdict, live.shadow) == (Verdict.ALLOW, False)
    assert (shadow.verdict, shadow.shadow, shadow.client) == (Verdict.BLOCK, True, "acme")
    assert live.decision_id != shadow.decision_id
    assert policies.clients == ("acme",)


def test_a_shadow_without_a_live_policy_leaves_the_client_unknown(tmp_path: Path) -> None:
    policies = loaded(tmp_path, new="client: new\nshadow: true\nsuitability: low", acme="client: acme")
    decisions = policies.decide([event(clients=("new",))], NOW)[0]
    assert sorted((d.shadow, d.verdict, d.client) for d in decisions) == [
        (False, Verdict.REVIEW, "new"),
        (True, Verdict.ALLOW, "new"),
    ]


def test_a_campaign_decides_in_its_clients_place(tmp_path: Path) -> None:
    policies = loaded(
        tmp_path,
        acme="client: acme\nthresholds: {violence: {block: 0.5}}",
        spring="campaign: spring\nextends: acme\nthresholds: {violence: {block: 0.9}}",
        other="client: other",
    )
    for clients in ((), ("acme", "other")):
        decisions = policies.decide(
            [event(clients=clients, scores={"violence": 0.7}, context={"campaign": "spring"})], NOW
        )[0]
        found = {d.client: d for d in decisions}
        assert len(decisions) == 2
        assert found["acme"].verdict is Verdict.ALLOW
        assert found["acme"].policy is not None and found["acme"].policy.client == "acme/spring"
    assert {d.client: d.verdict for d in policies.decide([event(scores={"violence": 0.7})], NOW)[0]} == {
        "acme": Verdict.BLOCK,
        "other": Verdict.ALLOW,
    }


def test_an_event_that_names_nobody_goes_to_whom_it_concerns(tmp_path: Path) -> None:
    policies = loaded(
        tmp_path,
        all="client: all",
        pages="client: pages\napplies_to: {surfaces: [page]}",
        north='client: north\napplies_to: {countries: ["NO", "SE"], seats: [s1]}',
    )

    def concerned(**changes: Any) -> list[str]:
        clients = [d.client for d in policies.decide([event(**changes)], NOW)[0]]
        assert list(policies.find_clients(event(**changes))) == clients
        return clients

    assert concerned() == ["all"]
    assert concerned(surface="page") == ["all", "pages"]
    assert concerned(context={"country": "NOR", "seat": "s1"}) == ["all", "north"]
    assert concerned(context={"country": "NO", "seat": "s2"}) == ["all"]
    assert concerned(context={"country": "DE", "seat": "s1"}) == ["all"]
    assert concerned(clients=("north", "pages", "stranger")) == ["north", "pages", "stranger"]


def test_a_shadow_policy_makes_no_client_concerned(tmp_path: Path) -> None:
    policies = loaded(tmp_path, acme="client: acme", next="client: acme\nshadow: true")
    assert policies.find_clients(event()) == ("acme",)


def test_encoded_decisions_are_the_decisions(tmp_path: Path) -> None:
    policies = loaded(
        tmp_path,
        acme='client: "ac\\"me é"\nversion: "ü\\\\"\nsuitability: low\naudit: {share: 0.5}\nuncertainty: 0.9',
        shadow='client: "ac\\"me é"\nshadow: true\nsuitability: high',
        other="client: other\nlists: {block: {crid: [bad]}, allow: {domain: [good.example]}}\nsuitability: low",
    )
    events = [
        event(event_id='a "quoted" é', detail="x\ny"),
        event(scores={"violence": 0.3}, context={"domain": "good.example"}),
        event(scores={"violence": 0.99, "adult": 0.99}, occurred_at=NOW, uncertainty=0.95),
        event(status=Status.TIMEOUT, detail="slow", content_sha256=None),
        event(clients=("nobody", "other"), context={"crid": "bad", "cat": ["386"], "cattax": 7}),
        event(scores={"violence": None}, surface="page"),
    ]
    for redecision in (False, True):
        models = policies.decide(events, NOW, redecision=redecision)
        encoded = policies.decide_encoded(events, NOW, redecision=redecision)
        for model_row, encoded_row in zip(models, encoded, strict=True):
            for model, written in zip(model_row, encoded_row, strict=True):
                assert written.value == model.model_dump_json().encode()
                assert Decision.model_validate_json(written.value) == model
                assert Decision.model_validate(model.model_dump()) == model
                assert model.redecision is redecision
                assert (written.verdict, written.shadow, written.client, written.decision_id) == (
                    model.verdict,
                    model.shadow,
                    model.client,
                    str(model.decision_id),
                )


def test_no_events_no_decisions(tmp_path: Path) -> None:
    assert loaded(tmp_path, acme="client: acme").decide([], NOW) == []


@pytest.mark.parametrize(
    ("declared", "advice"), [("allow", "political < 0.60, or declared"), ("block", "political < 0.60")]
)
def test_declaring_is_advised_only_where_it_would_help(tmp_path: Path, declared: str, advice: str) -> None:
    political = f"{{threshold: 0.60, declared: {declared}, undeclared: block}}"
    policies = loaded(tmp_path, acme=f"client: acme\npolitical: {political}")
    assert decide(policies, scores={"political": 0.9}).reasons[0].would_pass == advice
