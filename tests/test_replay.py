"""A replay is named after its instant, and says so when it decides nothing."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from stream import replay
from stream.replay import ReplaySummary
from stream.settings import Settings
from stream.start_decide import Replayed, replay_group

HASH = "ab" * 32
UTC_1422 = datetime(2026, 11, 25, 14, 22, tzinfo=UTC)
BERLIN = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        (datetime(2026, 11, 25, 15, 22, tzinfo=BERLIN), True),
        (datetime(2026, 11, 25, 19, 52, tzinfo=timezone(timedelta(hours=5, minutes=30))), True),
        (datetime(2026, 11, 25, 14, 22, tzinfo=BERLIN), False),
        (UTC_1422 + timedelta(seconds=1), False),
        (UTC_1422 + timedelta(milliseconds=1), False),
        (UTC_1422 + timedelta(microseconds=1), False),
        (datetime(2026, 11, 26, 0, 22, tzinfo=timezone(timedelta(hours=10))), True),
    ],
)
def test_a_group_stands_for_one_instant(other: datetime, is_same: bool) -> None:
    names = {replay_group("adjudicate", HASH, instant) for instant in (UTC_1422, other)}
    assert (len(names) == 1) is is_same


def test_the_name_says_the_instant_in_utc() -> None:
    since = datetime(2026, 11, 25, 14, 22, tzinfo=BERLIN)
    assert replay_group("adjudicate", HASH, since) == "adjudicate-replay-abababababab-20261125T132200.000000Z"


def test_other_policies_are_another_replay() -> None:
    assert replay_group("a", HASH, UTC_1422) != replay_group("a", "cd" * 32, UTC_1422)


def summarized(monkeypatch: pytest.MonkeyPatch, replayed: Replayed, decisions: int) -> str:
    """What a replay prints, with the broker played: what it read, whether its group is new, what it decided."""
    monkeypatch.setattr(replay, "await_topics", lambda *_: None)
    monkeypatch.setattr(replay, "run_replay", lambda *_: replayed)
    monkeypatch.setattr(replay, "summarize", lambda *_: ReplaySummary(decisions, decisions))
    return str(replay.replay(Settings(policies=Path("pol")), datetime(2026, 11, 25, 14, 22, tzinfo=BERLIN)))


@pytest.mark.parametrize(
    ("replayed", "why"),
    [
        (Replayed(0, is_new=True), "topic scores holds no score from 2026-11-25T13:22:00+00:00 or later"),
        (
            Replayed(0, is_new=False),
            "a replay since 2026-11-25T13:22:00+00:00 by these policies has decided",
        ),
        (Replayed(7, is_new=True), "no policy in pol concerns the 7 scores that were read"),
    ],
)
def test_a_replay_that_decides_nothing_says_why(monkeypatch: pytest.MonkeyPatch, replayed: Replayed, why: str) -> None:
    assert f"0 events decided again: 0 decisions, 0 changed; {why}" in summarized(monkeypatch, replayed, 0)


def test_a_replay_that_decides_has_nothing_to_explain(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ";" not in summarized(monkeypatch, Replayed(7, is_new=True), 7)
