"""`explain` and `backtest` answer as the decider does, for every policy of a folder and every event."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moderation.events import Decision, ScoredEvent, Verdict
from moderation.policy import EffectivePolicy, PolicySet, load
from moderation.policy.tools.backtest import Backtest, backtest
from moderation.policy.tools.explain import explain
from moderation.policy.tools.truth_table import Truth, Truths
from tests.policy import strategies
from tests.policy.making import NOW, event

SHIPPED = Path(__file__).parents[2] / "policies"
CLIENTS = ("family-brand", "game-advertiser", "news-publisher")
CAMPAIGN = """campaign: spring
extends: news-publisher
thresholds: {adult: {review: 0.2, block: 0.3}}
rules: {spring: {when: 'campaign == "spring" && impressions == null', verdict: review}}
"""
UNREADABLE = "spring\ufffd"


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> PolicySet:
    """The shipped policies, and one for a campaign."""
    folder = tmp_path_factory.mktemp("policies")
    for file in SHIPPED.glob("*.yaml"):
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "spring.yaml").write_text(CAMPAIGN, "utf-8")
    return load(folder)


@st.composite
def events(draw: st.DrawFn) -> ScoredEvent:
    drawn = draw(strategies.events())
    campaign = draw(st.sampled_from([None, "spring", " spring ", "autumn", UNREADABLE]))
    country = draw(st.sampled_from([None, "NO", "DE", "USA", "ZZ", "--"]))
    clients = draw(st.sampled_from([(), CLIENTS, (CLIENTS[2],), ("nobody",)]))
    context = drawn.context.model_copy(update={"campaign": campaign, "country": country})
    return drawn.model_copy(update={"context": context, "clients": clients})


def find_policy(policies: PolicySet, decision: Decision) -> EffectivePolicy | None:
    """The policy that made a decision; none where the client is unknown."""
    return next((each for each in policies.policies if decision.policy and each.hash == decision.policy.hash), None)


def run_backtest(policies: PolicySet, policy: EffectivePolicy, about: ScoredEvent) -> Backtest:
    return backtest(policies, policy, [about], Truths("event_id", {about.event_id: Truth({"adult": True})}), NOW)


def test_explain_and_backtest_decide_what_the_decider_decides(policies: PolicySet) -> None:
    seen: set[tuple[str, str | None]] = set()

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(events())
    def check(about: ScoredEvent) -> None:
        for decision in policies.decide([about], NOW)[0]:
            policy = find_policy(policies, decision)
            if policy is None:
                continue
            assert explain(policies, policy, about, NOW).decision == decision
            tested = run_backtest(policies, policy, about)
            assert tested.outcome.events(decision.verdict.value, "unsafe") == 1
            assert set(tested.rules) == {reason.rule for reason in decision.reasons}
            seen.add((policy.client, policy.campaign))

    check()
    assert seen == {*((client, None) for client in CLIENTS), ("news-publisher", "spring")}


def test_a_campaign_that_cannot_be_compared_is_reviewed_by_all_of_them(policies: PolicySet) -> None:
    """The client has a policy for a campaign, and this may be that campaign."""
    about = event(clients=("news-publisher",), campaign=UNREADABLE, declared_political=False)
    ((decision,),) = policies.decide([about], NOW)
    assert (decision.verdict, decision.reasons[0].rule) == (Verdict.REVIEW, "incomparable.campaign")
    policy = policies.policy("news-publisher")
    assert policy
    explained = explain(policies, policy, about, NOW)
    assert (explained.decision.verdict, explained.rows[0].rule) == (Verdict.REVIEW, "incomparable.campaign")
    tested = run_backtest(policies, policy, about)
    assert tested.outcome.events("review", "unsafe") == 1


def test_a_policy_that_does_not_decide_the_event_is_asked_as_if_it_did(policies: PolicySet) -> None:
    policy = policies.policy("news-publisher", "spring")
    assert policy
    explained = explain(policies, policy, event(clients=("nobody",), campaign="autumn"), NOW)
    assert (explained.event.clients, explained.event.context.campaign) == (("news-publisher",), "spring")
    assert explained.decision.policy == policy.stamp
