"""The registry of rule kinds: no kind allows in silence, and one entry is enough to add one."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moderation.adtech import find_family, rule_table
from moderation.events import ImageFacts, Reason, ScoredEvent, Verdict
from moderation.policy import EffectivePolicy, PolicySet
from moderation.policy.engine.arrays import PolicyArrays
from moderation.policy.engine.batch import Batch
from moderation.policy.engine.facts import Facts
from moderation.policy.engine.judge import judge
from moderation.policy.engine.rules.kind import Group, Prefilter, RuleKind
from moderation.policy.engine.rules.registry import RULES, RuleRegistry
from moderation.policy.tools.backtest import backtest
from moderation.policy.tools.cases import run_cases
from moderation.policy.tools.explain import Explanation, explain
from moderation.policy.tools.truth_table import Truth, Truths
from tests.catalogue import CATALOGUE, LABELS
from tests.policy import strategies
from tests.policy.making import NOW, SHA, decide, event, loaded, rules, write

Written = dict[str, Any]
NEAR = "f" * 64
DISTANCES = st.sampled_from([0, 31, 64])
HASHES = st.builds(lambda distance: {"entries": [NEAR], "distance": distance}, DISTANCES)
BLACKOUTS = {"vote": {"countries": ["NO"], "from": "2026-11-20", "until": "2026-11-30"}}

POLICIES_OF: Mapping[str, st.SearchStrategy[Written]] = {
    "NotExamined": st.fixed_dictionaries({"on_error": strategies.answers}),
    "FailedSources": st.fixed_dictionaries(
        {"suitability": st.just("low"), "on_error": strategies.answers, "rules": strategies.rules}
    ),
    "MissingLabels": st.fixed_dictionaries(
        {"thresholds": st.just({"violence": {"block": 0.9}, "adult": {"block": 1}})}
    ),
    "PolicyDates": st.fixed_dictionaries({"valid_from": st.sampled_from(["2026-11-15", "2026-11-21"])}),
    "ScoreAge": st.fixed_dictionaries({"max_score_age_days": st.integers(1, 40)}),
    "Doubts": st.fixed_dictionaries({"political": st.just({"declared": "block", "blackouts": BLACKOUTS})}),
    "EntryLists": st.fixed_dictionaries({"lists": strategies.lists()}),
    "PerceptualHashes": st.fixed_dictionaries(
        {
            "lists": st.dictionaries(
                st.sampled_from(["block", "review"]),
                st.builds(lambda hashes: {"perceptual_hash": hashes}, HASHES),
                min_size=1,
                max_size=1,
            )
        }
    ),
    "CelRules": st.fixed_dictionaries({"rules": strategies.rules}),
    "Blackouts": st.fixed_dictionaries(
        {"political": st.fixed_dictionaries({"threshold": st.floats(0, 1), "blackouts": st.just(BLACKOUTS)})}
    ),
    "PoliticalAnswers": st.fixed_dictionaries({"political": strategies.political}),
    "Thresholds": st.fixed_dictionaries(strategies.layers),
    "Uncertainty": st.fixed_dictionaries({"uncertainty": st.one_of(st.floats(0, 1), st.just("never"))}),
    "AuditReview": st.fixed_dictionaries(
        {
            "audit": st.fixed_dictionaries(
                {"share": st.sampled_from([0.0, 0.3, 1.0]), "answer": st.sampled_from(["mark", "review"])}
            )
        }
    ),
}
"""Policies in which a kind of rules has something to say. A new kind needs an entry here."""
MOMENTS = st.sampled_from([NOW, datetime(2026, 11, 10, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)])


def test_every_kind_is_drawn_here() -> None:
    assert set(POLICIES_OF) == {kind.name for kind in RULES.kinds}, "give the new kind its policies in POLICIES_OF"


def policies_with(kind: RuleKind) -> st.SearchStrategy[dict[str, Written]]:
    one = st.builds(lambda any_policy, own: {**any_policy, **own}, strategies.policies, POLICIES_OF[kind.name])
    return st.fixed_dictionaries(dict.fromkeys(strategies.CLIENTS, one))


def find_firing(
    kind: RuleKind, policies: Iterable[EffectivePolicy], batch: list[ScoredEvent], now: datetime
) -> Iterator[tuple[int, int]]:
    """The pairs in which a kind gives a reason, asked without any pre-filter."""
    for row, policy in enumerate(policies):
        for index, each in enumerate(batch):
            if list(kind.fire(policy, Facts(each, now, CATALOGUE))):
                yield index, row


def find_forgotten(
    kind: RuleKind, policies: tuple[EffectivePolicy, ...], batch: list[ScoredEvent], now: datetime
) -> list[tuple[int, int]]:
    """The pairs in which a kind would give a reason, and that its pre-filter leaves out."""
    arrays = PolicyArrays(policies, LABELS)
    asked = Batch([Facts(each, now, CATALOGUE) for each in batch], arrays)
    mask = np.broadcast_to(kind.prefilter(arrays)(asked), asked.shape)
    return [pair for pair in find_firing(kind, policies, batch, now) if not mask[pair]]


@pytest.mark.parametrize("kind", RULES.kinds, ids=lambda kind: kind.name)
def test_prefiltered_decisions_are_the_unfiltered_ones(kind: RuleKind) -> None:
    fired = 0

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(policies_with(kind), st.lists(strategies.events(), min_size=1, max_size=4), MOMENTS)
    def check(written: dict[str, Written], batch: list[ScoredEvent], now: datetime) -> None:
        nonlocal fired
        policies = strategies.compiled(written)
        fired += len(list(find_firing(kind, policies.policies, batch, now)))
        assert not find_forgotten(kind, policies.policies, batch, now)
        assert_decided_unfiltered(policies, batch, now)

    check()
    assert fired, f"{kind.name} never fired: its policies in POLICIES_OF say nothing"


def assert_decided_unfiltered(policies: PolicySet, batch: list[ScoredEvent], now: datetime) -> None:
    """Every decision is what all kinds answer for its pair alone, without pre-filter, index or `is_in_force`."""
    for each, decisions in zip(batch, policies.decide(batch, now), strict=True):
        for decision in decisions:
            policy = policies.policy(decision.client)
            if policy is not None:
                judgement = judge(policy, Facts(each, now, CATALOGUE), RULES.kinds)
                assert (decision.verdict, decision.reasons, decision.audit_sample) == judgement


def test_reasons_are_named_as_their_kind_says() -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(strategies.policies, strategies.events(), MOMENTS)
    def check(written: Written, each: ScoredEvent, now: datetime) -> None:
        (policy,) = strategies.compiled({"acme": written}).policies
        for kind in RULES.kinds:
            for reason in kind.fire(policy, Facts(each, now, CATALOGUE)):
                assert any(f"{reason.rule}.".startswith(f"{prefix}.") for prefix in kind.prefixes)

    check()


def test_every_family_of_the_adtech_table_belongs_to_a_kind() -> None:
    owned = {find_family(kind.family or prefix) for kind in RULES.kinds for prefix in kind.prefixes}
    without_policy = {"unknown_client"}
    assert {row for row in rule_table() if not any(row.startswith(f"{family}") for family in owned)} == without_policy


class NarrowImages(RuleKind):
    """The image is narrower than the policy accepts."""

    prefixes = ("narrow_image",)
    family = "rules"

    def list_rules(self, policy: EffectivePolicy) -> Iterable[str]:
        return ("narrow_image",)

    def fire(self, policy: EffectivePolicy, facts: Facts) -> Iterator[Reason]:
        if facts.event.image and facts.event.image.width < 50:
            yield Reason(rule="narrow_image", verdict=Verdict.BLOCK, detail="narrower than 50 pixels")


def explained(policies: PolicySet, about: ScoredEvent) -> Explanation:
    """By the only policy of a set."""
    (policy,) = policies.policies
    return explain(policies, policy, about, NOW)


NARROW = ImageFacts(format="PNG", width=20, height=20, frames=1)
WITH_NARROW = RuleRegistry((*RULES.kinds, NarrowImages()))


class TestAKindAddedWithOneEntry:
    """`NarrowImages` has nothing but what a kind must have."""

    def test_the_documentation_shows_it(self) -> None:
        page = (Path(__file__).parent.parent.parent / "docs/changing.md").read_text(encoding="utf-8")
        assert inspect.getsource(NarrowImages) in page

    def test_it_decides(self, tmp_path: Path) -> None:
        policies = PolicySet(loaded(tmp_path, acme="client: acme").policies, WITH_NARROW)
        decision = decide(policies, image=NARROW)
        assert (decision.verdict, rules(decision)) == (Verdict.BLOCK, ["narrow_image"])
        assert decide(policies).verdict is Verdict.ALLOW

    def test_it_has_adtech_terms(self, tmp_path: Path) -> None:
        policies = PolicySet(loaded(tmp_path, acme="client: acme").policies, WITH_NARROW)
        decision = decide(policies, image=NARROW)
        assert decision.adtech and (decision.adtech.audit_status, decision.adtech.loss_code) == (4, 202)
        (encoded,) = policies.decide_encoded([event(image=NARROW)], NOW)[0]
        assert encoded.value == decision.model_dump_json().encode()

    def test_it_is_explained(self, tmp_path: Path) -> None:
        policies = PolicySet(loaded(tmp_path, acme="client: acme").policies, WITH_NARROW)
        (quiet,) = explained(policies, event()).rows
        (fired,) = explained(policies, event(image=NARROW)).rows
        assert (quiet.rule, quiet.fired) == ("narrow_image", False)
        assert (fired.rule, fired.fired, fired.detail) == ("narrow_image", True, "narrower than 50 pixels")

    def test_a_backtest_counts_it_in_its_group(self, tmp_path: Path) -> None:
        grouped = type("Grouped", (NarrowImages,), {"group": Group.SCORES})
        policies = loaded(tmp_path, acme="client: acme").policies
        known = Truths("event_id", {"e1": Truth({"adult": False})})
        for kind, source in ((NarrowImages(), "rules"), (grouped(), "scores")):
            with_kind = PolicySet(policies, RuleRegistry((*RULES.kinds, kind)))
            result = backtest(with_kind, policies[0], [event(image=NARROW)], known, NOW)
            counted = [name for name, outcome in result.by_source.items() if outcome.whole.events]
            assert counted == [source]
            assert result.by_scores.events("block", "safe") == (source == "scores")

    def test_it_counts_in_the_coverage_of_cases(self, tmp_path: Path) -> None:
        image = "{format: PNG, width: 20, height: 20, frames: 1}"
        policies = loaded(tmp_path, acme="client: acme")
        write(tmp_path, acme__cases="cases:\n- {name: wide, expect: allow}")
        assert self._run(policies) == ["narrow_image"]
        write(tmp_path, acme__cases=f"cases:\n- {{name: narrow, expect: block, image: {image}}}")
        assert self._run(policies) == []

    @staticmethod
    def _run(policies: PolicySet) -> list[str]:
        with_narrow = PolicySet(policies.policies, WITH_NARROW)
        result = run_cases(with_narrow, policies.policies[0], NOW, rules=WITH_NARROW)
        assert result.passed
        return result.uncovered

    def test_it_needs_adtech_terms(self) -> None:
        nameless = type("Nameless", (NarrowImages,), {"family": None})
        with pytest.raises(ValueError, match=r"Nameless: adtech_data/rules\.tsv has no row for 'narrow_image'"):
            RuleRegistry((nameless(),))

    def test_a_prefilter_that_forgets_is_found(self, tmp_path: Path) -> None:
        class Forgetful(NarrowImages):
            def prefilter(self, arrays: PolicyArrays) -> Prefilter:
                return lambda batch: batch.no_pair()

        policies = loaded(tmp_path, acme="client: acme").policies
        batch = [event(), event(image=NARROW)]
        assert find_forgotten(Forgetful(), policies, batch, NOW) == [(1, 0)]
        assert find_forgotten(NarrowImages(), policies, batch, NOW) == []


class TestLists:
    def test_reasons_come_in_the_order_of_the_language(self, tmp_path: Path) -> None:
        listed = f"{{content_sha256: [{SHA}], domain: [news.example], crid: [c1], adomain: [shop.example]}}"
        policies = loaded(tmp_path, acme=f"client: acme\nlists: {{block: {listed}}}")
        context = {"crid": "c1", "adomain": ["shop.example"], "domain": "news.example"}
        kinds = ("crid", "adomain", "domain", "content_sha256")
        assert rules(decide(policies, context=context)) == [f"lists.block.{kind}" for kind in kinds]

    def test_a_reason_names_the_most_specific_entry_whoever_else_lists_it(self, tmp_path: Path) -> None:
        for name, entry in (("a", "example.com"), ("b", "shop.example.com")):
            (tmp_path / f"{name}.txt").write_text(f"{entry}\n", encoding="utf-8")
        own = "client: acme\nlists: {block: {domain: {files: [a.txt, b.txt]}}}"
        other = "client: aaa\nlists: {block: {domain: {files: [a.txt]}}}"
        context = {"domain": "www.shop.example.com"}
        for policies in (loaded(tmp_path, acme=own), loaded(tmp_path, aaa=other)):
            decision = decide(policies, clients=("acme",), context=context)
            assert decision.reasons[0].detail == "domain shop.example.com"


class TestExplain:
    def test_entries_of_hash_files_are_counted(self, tmp_path: Path) -> None:
        (tmp_path / "bad.txt").write_text(f"{NEAR}\n{'0' * 64}\n", encoding="utf-8")
        text = f"client: acme\nlists: {{block: {{perceptual_hash: {{entries: ['{'a' * 64}'], files: [bad.txt]}}}}}}"
        policies = loaded(tmp_path, acme=text)
        assert [row.detail for row in explained(policies, event()).rows] == ["no match (3 entries)"]

    POLITICAL = """
        client: acme
        political:
          threshold: 0.6
          undeclared: review
          countries:
            "FR": {threshold: 0.4, undeclared: block, declared: review}
          blackouts:
            vote: {countries: ["FR"], from: 2026-11-20, until: 2026-11-30}
    """

    @pytest.mark.parametrize(
        ("country", "threshold", "undeclared", "line", "declared"),
        [("FR", 0.4, "block", 7, "review"), ("DE", 0.6, "review", 5, "allow")],
    )
    def test_political_answers_are_those_of_the_country(
        self, tmp_path: Path, country: str, threshold: float, undeclared: str, line: int, declared: str
    ) -> None:
        policies = loaded(tmp_path, acme=self.POLITICAL)
        rows = {row.rule: row for row in explained(policies, event(context={"country": country})).rows}
        row = rows["political.undeclared"]
        assert (row.threshold, row.verdict, row.score) == (threshold, undeclared, 0.01)
        assert (row.origin or "").endswith(f"acme.yaml:{line}")
        assert rows["political.declared"].verdict == declared

    def test_blackouts_say_where_and_when(self, tmp_path: Path) -> None:
        policies = loaded(tmp_path, acme=self.POLITICAL)

        def detail(country: str) -> str | None:
            rows = explained(policies, event(context={"country": country})).rows
            return next(row.detail for row in rows if row.rule == "political.blackouts.vote")

        assert detail("FR") == "FR, 2026-11-20 to 2026-11-30 (UTC): not political"
        assert detail("DE") == "FR, 2026-11-20 to 2026-11-30 (UTC): not here, or not now"

    def test_every_rule_that_cases_must_cover_has_a_row(self, tmp_path: Path) -> None:
        rest = f"""
            uncertainty: 0.5
            lists: {{review: {{crid: [c1]}}, block: {{perceptual_hash: ['{NEAR}']}}}}
            rules: {{big: {{when: "impressions != null", verdict: review}}}}
            thresholds: {{violence: {{block: 0.9}}}}
            applies_to: {{surfaces: [creative]}}
        """
        text = dedent(self.POLITICAL) + dedent(rest)
        policies = loaded(tmp_path, acme=text)
        shown = {row.rule for row in explained(policies, event()).rows}
        assert set(RULES.list_rules(policies.policies[0])) <= shown
