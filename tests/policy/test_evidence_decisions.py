"""What several sources of evidence mean for a decision, and what it means when one of them fails."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.events import Decision, Evidence, Reason, ScoredEvent, Status, Verdict
from moderation.labels import Joining, LabelCatalogue
from moderation.policy import PolicySet, examine_text
from tests.catalogue import CATALOGUE
from tests.evidence import evidence, image_evidence
from tests.policy.making import CLEAN, NOW, event, rules

AWAY = Status.MODEL_UNAVAILABLE
TEXT_AWAY = evidence("text", status=AWAY, detail="the reader is away")
IMAGE_AWAY = evidence("image", status=AWAY, detail="the model is away")


def with_text(joining: Joining = Joining.MAX, *, only: tuple[str, ...] = ("image", "text")) -> LabelCatalogue:
    """The shipped catalogue, in which a text reader may score `political` too."""
    labels = [
        replace(label, sources=only, joining=joining) if label.name == "political" else label
        for label in CATALOGUE.labels
    ]
    return replace(CATALOGUE, labels=tuple(labels))


def policies(text: str, labels: LabelCatalogue | None = None) -> PolicySet:
    examination = examine_text({"acme.yaml": text}, Path(), labels or with_text())
    assert not examination.mistakes
    return PolicySet(examination.policies)


def decide(text: str, *found: Evidence, labels: LabelCatalogue | None = None, **changes: Any) -> Decision:
    asked = event(**changes).model_copy(update={"evidence": found})
    ((decision,),) = policies(text, labels).decide([asked], NOW)
    return decision


def image(**scores: float) -> Evidence:
    return image_evidence({**CLEAN, **scores})


LIMIT = "client: acme\nthresholds: {political: {review: 0.4, block: 0.9}}\n"


def test_the_reason_says_which_source_the_score_came_from() -> None:
    decision = decide(LIMIT, image(political=0.2), evidence("text", {"political": 0.93}))
    first = decision.reasons[0]
    assert (first.score, first.source, first.part, first.detail) == (0.93, "text", None, "from text")
    assert decision.adtech is not None
    assert "political 0.93 from text, limit 0.90" in decision.adtech.audit_feedback[0]
    assert decision.statement is not None
    assert "from text" in decision.statement.facts
    assert decision.scores["political"] == 0.93


def test_the_political_section_says_it_too() -> None:
    text = "client: acme\npolitical: {threshold: 0.5}\n"
    decision = decide(text, image(), evidence("text", {"political": 0.93}))
    assert decision.reasons[0].detail == "nobody declared it political; political 0.93 from text"


def test_the_image_model_goes_without_saying() -> None:
    first = decide(LIMIT, image(political=0.95)).reasons[0]
    assert (first.source, first.detail) == ("image", None)


def test_a_part_raises_its_label_and_the_reason_says_so() -> None:
    found = image_evidence({**CLEAN, "violence": 0.2, "violence.weapon": 0.8})
    first = decide("client: acme\nthresholds: {violence: {block: 0.5}}\n", found).reasons[0]
    assert (first.score, first.part) == (0.8, "violence.weapon")
    assert first.detail == "from image, by its part violence.weapon"


def test_joined_sources_are_both_named() -> None:
    found = image(political=0.7), evidence("text", {"political": 0.7})
    first = decide(LIMIT, *found, labels=with_text(Joining.NOISY_OR)).reasons[0]
    assert (first.rule, first.source) == ("thresholds.creative.political.block", "image+text")
    assert first.score == pytest.approx(0.91)


def test_a_decision_sums_up_who_was_asked() -> None:
    decision = decide(LIMIT, image(), TEXT_AWAY)
    assert [(each.source, each.status) for each in decision.evidence] == [("image", Status.OK), ("text", AWAY)]
    assert decision.model is not None
    assert [each.stamp for each in decision.evidence] == [decision.model.text, None]


class TestAFailedSource:
    def test_it_does_not_matter_where_another_source_scored_the_label(self) -> None:
        assert decide(LIMIT, image(), TEXT_AWAY).verdict is Verdict.ALLOW

    def test_where_only_it_may_score_the_label_the_client_answers_for_errors(self) -> None:
        decision = decide(LIMIT + "on_error: block\n", image(), TEXT_AWAY, labels=with_text(only=("text",)))
        assert (decision.verdict, rules(decision)) == (Verdict.BLOCK, ["on_error.MODEL_UNAVAILABLE"])
        assert decision.reasons[0].detail == "text: the reader is away"

    def test_a_live_reader_does_not_turn_an_error_into_a_missing_label(self) -> None:
        text = "client: acme\nsuitability: low\non_missing_label: allow\non_error: block\n"
        decision = decide(text, IMAGE_AWAY, evidence("text", {"political": 0.01}))
        assert rules(decision) == ["on_error.MODEL_UNAVAILABLE"]
        assert decision.verdict is Verdict.BLOCK

    def test_a_policy_that_names_none_of_its_labels_does_not_care(self) -> None:
        decision = decide(LIMIT, IMAGE_AWAY, evidence("text", {"political": 0.1}))
        assert decision.verdict is Verdict.ALLOW

    @pytest.mark.parametrize(
        "when",
        ['"violence" in scores && scores.violence > 0.5', '["violence"].exists(x, x in scores && scores[x] > 0.5)'],
    )
    def test_a_rule_that_reads_its_labels_does_not_allow_in_silence(self, when: str) -> None:
        text = f"client: acme\non_error: block\nrules: {{own: {{when: '{when}', verdict: block}}}}\n"
        decision = decide(text, IMAGE_AWAY, evidence("text", {"political": 0.01}))
        assert (decision.verdict, rules(decision)) == (Verdict.BLOCK, ["on_error.MODEL_UNAVAILABLE"])
        assert decide(text, image()).verdict is Verdict.ALLOW

    def test_a_rule_that_reads_no_score_does_not_care(self) -> None:
        text = "client: acme\non_error: block\nrules: {own: {when: 'crid == \"x\"', verdict: block}}\n"
        assert decide(text, IMAGE_AWAY, evidence("text", {"political": 0.1})).verdict is Verdict.ALLOW

    def test_a_label_that_no_source_scored_is_missing(self) -> None:
        found = image_evidence({label: score for label, score in CLEAN.items() if label != "political"})
        decision = decide(LIMIT, found)
        assert rules(decision) == ["on_missing_label"]
        assert decision.reasons[0].detail == "nothing scored political"

    def test_where_every_source_failed_the_image_was_not_examined(self) -> None:
        decision = decide(LIMIT, IMAGE_AWAY, TEXT_AWAY, status=AWAY, detail="the model is away")
        assert rules(decision) == ["on_error.MODEL_UNAVAILABLE"]
        assert decision.verdict is Verdict.REVIEW


ANY = "client: acme\nsuitability: low\npolitical: {threshold: 0.3}\nuncertainty: 0.9\n"
READ = policies(ANY)
statuses = st.sampled_from([Status.OK, AWAY, Status.MODEL_REJECTED])


@st.composite
def sources(draw: st.DrawFn) -> tuple[Evidence, ...]:
    found = []
    for source in draw(st.lists(st.sampled_from(["image", "text", "pack"]), unique=True)):
        status = draw(statuses)
        labels = draw(st.lists(st.sampled_from(CATALOGUE.names), unique=True))
        scores = {label: draw(st.floats(0, 0.2)) for label in labels}
        known: dict[str, Any] = {"scores": scores, "uncertainty": 0.1} if status is Status.OK else {}
        found.append(evidence(source, status=status, **known))
    return tuple(found)


@given(sources())
def test_a_named_label_that_no_source_scored_is_never_allowed(found: tuple[Evidence, ...]) -> None:
    asked = event().model_copy(update={"evidence": found})
    ((decision,),) = READ.decide([asked], NOW)
    good = {each.source: each.scores for each in found if each.status is Status.OK}
    scored = {"violence", "adult", "political"} & good.get("image", {}).keys()
    scored |= {"political"} & good.get("text", {}).keys()
    if scored != {"violence", "adult", "political"}:
        assert decision.verdict is Verdict.REVIEW
    assert all(reason.detail or reason.score is not None for reason in decision.reasons)


@given(sources())
def test_what_is_encoded_is_what_the_model_writes(found: tuple[Evidence, ...]) -> None:
    asked: ScoredEvent = event(scores={"political": 0.95}).model_copy(update={"evidence": found})
    ((decision,),) = READ.decide([asked], NOW)
    ((encoded,),) = READ.decide_encoded([asked], NOW)
    assert encoded.value == decision.model_dump_json().encode()
    assert Decision.model_validate_json(encoded.value) == decision
    assert all(isinstance(reason, Reason) for reason in decision.reasons)


def hash_of(text: str, labels: LabelCatalogue) -> str:
    return policies(text, labels).policies[0].hash


@pytest.mark.parametrize("text", [LIMIT, "client: acme\npolitical: {threshold: 0.5}\n"])
def test_a_policy_that_limits_a_label_gets_a_new_hash_when_its_sources_are_joined_otherwise(text: str) -> None:
    found = {hash_of(text, labels) for labels in (CATALOGUE, with_text(), with_text(Joining.NOISY_OR))}
    assert len(found) == 3


def test_so_does_one_that_reads_scores_in_a_rule() -> None:
    text = "client: acme\nrules: {own: {when: 'scores.political > 0.5', verdict: block}}\n"
    assert hash_of(text, CATALOGUE) != hash_of(text, with_text())


def test_a_part_that_is_joined_otherwise_changes_the_hash_of_its_label() -> None:
    labels = [
        replace(label, sources=("image", "text")) if label.name == "violence.weapon" else label
        for label in CATALOGUE.labels
    ]
    changed = replace(CATALOGUE, labels=tuple(labels))
    text = "client: acme\nthresholds: {violence: {block: 0.5}}\n"
    assert hash_of(text, CATALOGUE) != hash_of(text, changed)
    assert hash_of(LIMIT, CATALOGUE) == hash_of(LIMIT, changed)
