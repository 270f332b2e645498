"""What a changed policy flips: counted right, whatever the order and the size of the recording."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from moderation.errors import ConfigurationError
from moderation.events import Decision, Reason, ScoredEvent, Verdict
from moderation.policy import PolicySet, load
from moderation.policy.tools.diff import EXAMPLES, Campaign, difference
from moderation.policy.tools.diff_words import changes, headline, per_day
from moderation.policy.tools.heaviest import Heaviest
from moderation.policy.tools.overlay import client_of, examine_overlaid
from tests.evidence import image_scores
from tests.policy.making import NOW, event
from tests.policy_tools.recordings import recording


class Cut:
    """A policy set of one rule: adult from a cut up is blocked."""

    def __init__(self, cut: float, client: str = "acme", shadow: bool = False) -> None:
        self.cut, self.client, self.shadow = cut, client, shadow

    def decide(self, events: Sequence[ScoredEvent], now: datetime) -> list[list[Decision]]:
        return [[self._decision(each, now)] for each in events]

    def _decision(self, each: ScoredEvent, now: datetime) -> Decision:
        blocked = image_scores(each)["adult"] >= self.cut
        passing = f"adult < {self.cut}"
        reasons = (Reason(rule="cut", verdict=Verdict.BLOCK, would_pass=passing),) if blocked else ()
        return Decision(
            decision_id=uuid4(),
            event_id=each.event_id,
            client=self.client,
            surface=each.surface,
            scores=image_scores(each),
            verdict=Verdict.BLOCK if blocked else Verdict.ALLOW,
            reasons=reasons,
            status=each.status,
            policy=None,
            shadow=self.shadow,
            scored_at=each.scored_at,
            decided_at=now,
        )


def test_the_same_policy_flips_nothing(folder: Path) -> None:
    policies = load(Path("policies"))
    found = difference(policies, policies, recording()[0], NOW)
    assert found.events == 400
    assert (found.flipped.events, found.flips, found.examples) == (0, {}, [])
    assert found.decided.events == 800


def test_flips_are_counted_by_rule_and_weighed_by_impressions() -> None:
    events = [
        event("low", {"adult": 0.2}, impressions=5),
        event("mid", {"adult": 0.6}, impressions=700),
        event("unweighed", {"adult": 0.7}, content_sha256=None),
        event("high", {"adult": 0.9}, impressions=9),
    ]
    found = difference(Cut(0.8), Cut(0.5), events, NOW)
    assert (found.flipped.events, found.flipped.impressions) == (2, 700)
    ((flip, weight),) = found.ranked()
    assert flip == ("acme", "allow", "block", "nothing fired", "cut")
    assert (weight.events, weight.impressions, found.without_impressions) == (2, 700, 1)
    assert [example.shown.event_id for example in found.examples] == ["mid", "unweighed"]
    assert found.examples[0].would_pass == "adult < 0.5"


def test_the_way_back_is_the_same_with_sides_changed() -> None:
    events = recording()[0]
    events = [each for each in events if image_scores(each)]
    there, back = (difference(Cut(a), Cut(b), events, NOW) for a, b in ((0.3, 0.6), (0.6, 0.3)))
    assert there.flipped == back.flipped
    assert {(f.before, f.after) for f in there.flips} == {("block", "allow")}
    assert {(f.before, f.after) for f in back.flips} == {("allow", "block")}


def test_only_the_heaviest_examples_are_kept() -> None:
    events = [event(f"e{n}", {"adult": 0.6}, impressions=n, crid=f"c{n}") for n in range(3 * EXAMPLES)]
    found = difference(Cut(0.8), Cut(0.5), events, NOW)
    assert [example.weight.impressions for example in found.examples] == list(
        range(3 * EXAMPLES - 1, 2 * EXAMPLES - 1, -1)
    )


def test_a_creative_is_one_example_however_often_it_is_shown() -> None:
    events = [event(f"e{n}", {"adult": 0.6}, crid=f"c{n % 2}", impressions=n, campaign="spring") for n in range(10)]
    found = difference(Cut(0.8), Cut(0.5), events, NOW)
    shown = [
        (each.shown.crid, each.shown.event_id, each.weight.events, each.weight.impressions) for each in found.examples
    ]
    assert shown == [("c1", "e9", 5, 25), ("c0", "e8", 5, 20)]


def test_memory_is_bounded_and_the_heaviest_creative_survives() -> None:
    heaviest = Heaviest[str, Campaign](kept=10)
    for number in range(10_000):
        key = "big" if number % 10 == 0 else f"c{number}"
        heaviest.get(key, lambda key=key: Campaign("acme", key)).weight.add(1000 if key == "big" else 1)  # type: ignore[misc]
        assert len(heaviest) <= 20
    (first, *_) = heaviest.ranked()
    assert (first.name, first.weight.events, first.weight.impressions) == ("big", 1000, 1_000_000)


def test_campaigns_are_named_with_what_changes_for_them() -> None:
    events = [
        event("a", {"adult": 0.6}, campaign="spring", impressions=10),
        event("b", {"adult": 0.7}, campaign="spring", impressions=20),
        event("c", {"adult": 0.7}, campaign="autumn", impressions=5),
        event("d", {"adult": 0.1}, campaign="quiet", impressions=99),
        event("e", {"adult": 0.7}, impressions=1),
    ]
    found = difference(Cut(0.8), Cut(0.5), events, NOW)
    assert [campaign.as_json() for campaign in found.campaigns.ranked()] == [
        {"client": "acme", "campaign": name, **weight, "flips": [{"before": "allow", "after": "block", **weight}]}
        for name, weight in (
            ("spring", {"events": 2, "impressions": 30}),
            ("autumn", {"events": 1, "impressions": 5}),
        )
    ]


class TestWords:
    """What changes, in impressions."""

    EVENTS = (
        event("calm", {"adult": 0.1}, impressions=700, occurred_at=NOW),
        event("mid", {"adult": 0.6}, impressions=300, occurred_at=NOW + timedelta(days=10)),
    )

    def test_totals_and_shares_before_and_after(self) -> None:
        found = difference(Cut(0.8), Cut(0.5), self.EVENTS, NOW)
        rows = [
            (c.verdict, c.before.impressions, c.share_before, c.after.impressions, c.share_after, round(c.points))
            for c in changes(found)
        ]
        assert rows == [
            ("allow", 1000, 1.0, 700, 0.7, -30),
            ("review", 0, 0.0, 0, 0.0, 0),
            ("block", 0, 0.0, 300, 0.3, 30),
        ]

    def test_the_headline_says_what_changes(self) -> None:
        found = difference(Cut(0.8), Cut(0.5), self.EVENTS, NOW)
        assert headline(found) == (
            "Of 1,000 impressions, 300 (30.0%) get another verdict: 300 more are blocked, 300 fewer are allowed."
        )
        assert per_day(found) == "The recording covers 10.0 days: 30 impressions change a day."

    def test_without_impressions_events_are_counted(self) -> None:
        found = difference(Cut(0.8), Cut(0.5), [event("a", {"adult": 0.6}), event("b")], NOW)
        assert headline(found).startswith("Of 2 events, 1 (50.0%) get another verdict: 1 more are blocked")
        assert per_day(found) == ""

    def test_nothing_changes(self) -> None:
        found = difference(Cut(0.5), Cut(0.5), self.EVENTS, NOW)
        assert headline(found) == "No verdict changes on 1,000 impressions."

    def test_a_client_on_one_side_only_shows_as_none(self) -> None:
        found = difference(Cut(0.5, "old"), Cut(0.5, "new"), self.EVENTS, NOW)
        assert [c.verdict for c in changes(found, "old")] == ["allow", "review", "block", "none"]
        assert found.moved("none", "block").impressions == 300


def test_a_client_on_one_side_only_has_no_verdict_on_the_other() -> None:
    found = difference(Cut(0.5, "old"), Cut(0.5, "new"), [event("e", {"adult": 0.6})], NOW)
    assert set(found.verdicts) == {("old", "block", "none"), ("new", "none", "block")}


def test_shadow_decisions_are_left_out() -> None:
    found = difference(Cut(0.5), Cut(0.5, shadow=True), [event("e", {"adult": 0.6})], NOW)
    assert set(found.verdicts) == {("acme", "block", "none")}


class TestOverlay:
    """A file tried out in the place of its namesake."""

    def test_a_candidate_takes_the_place_of_its_namesake_and_inherits(self, folder: Path) -> None:
        found = examine_overlaid(Path("candidate.yaml"), Path("policies"))
        assert found.mistakes == ()
        assert [policy.key for policy in found.policies] == ["acme", "zeta"]
        assert PolicySet(found.policies).policy("acme").version == "8"  # type: ignore[union-attr]

    def test_a_shadow_is_tried_as_if_live(self, folder: Path) -> None:
        text = Path("candidate.yaml").read_text("utf-8")
        Path("policies/acme-next.yaml").write_text(text + "shadow: true\n", "utf-8")
        found = examine_overlaid(Path("policies/acme-next.yaml"))
        assert [(policy.key, policy.version, policy.shadow) for policy in found.policies] == [
            ("acme", "8", False),
            ("zeta", "unversioned", False),
        ]

    def test_mistakes_name_the_file_that_was_given(self, folder: Path) -> None:
        Path("candidate.yaml").write_text("client: acme\nsuitability: mild\n", "utf-8")
        (mistake,) = examine_overlaid(Path("candidate.yaml"), Path("policies")).mistakes
        assert (mistake.file, mistake.line) == ("candidate.yaml", 2)

    def test_list_files_are_found_where_the_namesake_stands(self, folder: Path) -> None:
        Path("policies/eu").mkdir()
        Path("policies/eu/bad.txt").write_text("bad.example\n", "utf-8")
        lists = "lists:\n  block:\n    adomain: {files: [bad.txt]}\n"
        Path("policies/eu/euro.yaml").write_text("client: euro\nsuitability: low\n" + lists, "utf-8")
        Path("candidate.yaml").write_text("client: euro\nsuitability: high\n" + lists, "utf-8")
        assert examine_overlaid(Path("candidate.yaml"), Path("policies")).mistakes == ()

    def test_a_name_that_somebody_else_has_is_no_hindrance(self, folder: Path) -> None:
        other = Path("elsewhere/zeta.yaml")
        other.parent.mkdir()
        other.write_text("client: theta\nsuitability: low\n", "utf-8")
        assert [policy.key for policy in examine_overlaid(other, Path("policies")).policies] == [
            "acme",
            "theta",
            "zeta",
        ]

    @pytest.mark.parametrize(
        ("text", "client"),
        [
            ("client: acme\n", "acme"),
            ("campaign: spring\nextends: acme\n", "acme"),
            ("organisation: house\n", None),
            ("- nothing\n", None),
        ],
    )
    def test_whose_policy_a_file_is(self, folder: Path, text: str, client: str | None) -> None:
        Path("candidate.yaml").write_text(text, "utf-8")
        assert client_of(Path("candidate.yaml")) == client

    def test_a_place_that_is_not_there_is_named(self, folder: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"nowhere\.yaml: cannot be read"):
            examine_overlaid(Path("nowhere.yaml"))
