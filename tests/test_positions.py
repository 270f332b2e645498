"""Where a group goes on: every answer of the brokers has one consequence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import PositionLost
from stream.kafka.positions import Committed, Plan, committed_with, metadata_of, plan_topic

NONE = Committed(None)
UNKNOWN = None


def plan(owned: set[int], *found: Committed | None) -> Plan:
    return plan_topic("g", "t", owned, dict(enumerate(found)))


def test_committed_offsets_are_where_to_go_on() -> None:
    assert plan({1}, Committed(5, 2), Committed(7, 2)) == Plan({1: 7}, set(), 2)


def test_the_owner_of_partition_0_begins_a_new_topic_as_a_whole() -> None:
    assert plan({0, 2}, NONE, NONE, NONE) == Plan({}, {0, 1, 2}, 3)


def test_other_members_wait_for_the_owner_of_partition_0() -> None:
    assert plan({1, 2}, NONE, NONE, NONE) == Plan({}, set(), 0)


def test_nothing_begins_while_any_partition_is_not_established() -> None:
    assert plan({0, 1}, NONE, NONE, UNKNOWN) == Plan({}, set(), 0)


def test_what_is_stable_is_read_although_another_partition_is_not() -> None:
    assert plan({0, 1}, Committed(5, 2), UNKNOWN) == Plan({0: 5}, set(), 2)


def test_a_partition_added_later_is_begun_by_its_owner() -> None:
    assert plan({2}, Committed(5, 2), Committed(5, 2), NONE, NONE) == Plan({}, {2}, 3)


def test_a_partition_added_later_is_not_begun_while_the_claim_may_be_higher() -> None:
    assert plan({2}, Committed(5, 2), UNKNOWN, NONE) == Plan({}, set(), 2)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param((Committed(5, 3), NONE, Committed(5, 3)), id="below the claim"),
        pytest.param((UNKNOWN, NONE, Committed(5, 3)), id="below the claim, another not established"),
        pytest.param((Committed(5), NONE, Committed(5)), id="no claim, but others have offsets"),
    ],
)
def test_an_offset_that_must_be_there_and_is_not_is_named(found: tuple[Committed | None, ...]) -> None:
    with pytest.raises(PositionLost, match=r"group g .* topic t .* no offset of it for t/1;.*--topic t:PARTITION"):
        plan({1, 2}, *found)


def test_offsets_that_a_tool_has_set_need_no_claim() -> None:
    assert plan({0, 1}, Committed(5), Committed(6)) == Plan({0: 5, 1: 6}, set(), 2)


@pytest.mark.parametrize("metadata", ["", None, "7", "[]", "{", '{"begun": "x"}', '{"other": 1}', "null"])
def test_metadata_of_others_is_no_claim(metadata: str | None) -> None:
    assert committed_with(5, metadata) == Committed(5)


@pytest.mark.parametrize("topic_id", ["", "FIEZ9DGaQ_-2E8m3LnAZ8Q"])
def test_a_claim_survives_its_commit(topic_id: str) -> None:
    assert committed_with(5, metadata_of(12, topic_id)) == Committed(5, 12, topic_id)


# -- a topic that was deleted and made anew ---------------------------------------------------


def plan_new(owned: set[int], *found: Committed | None) -> Plan:
    """Where the topic that is there now is called "new"."""
    return plan_topic("g", "t", owned, dict(enumerate(found)), "new")


OLD, NEW = Committed(7, 3, "old"), Committed(5, 3, "new")


def test_a_topic_made_anew_is_begun_as_a_whole_by_the_owner_of_partition_0() -> None:
    assert plan_new({0, 2}, OLD, OLD, OLD) == Plan({}, {0, 1, 2}, 3)
    assert plan_new({1, 2}, OLD, OLD, OLD) == Plan({}, set(), 0)


def test_more_partitions_than_before_are_begun_with_the_others() -> None:
    assert plan_new({0}, OLD, OLD, OLD, NONE, NONE) == Plan({}, {0, 1, 2, 3, 4}, 5)


def test_nothing_of_a_topic_made_anew_is_begun_while_any_partition_is_not_established() -> None:
    assert plan_new({0, 1}, OLD, OLD, UNKNOWN) == Plan({}, set(), 0)


def test_an_offset_committed_late_for_the_old_topic_is_begun_by_its_owner() -> None:
    """A member that had not seen the new topic yet has overwritten what another had begun."""
    assert plan_new({1, 2}, NEW, NEW, OLD) == Plan({1: 5}, {2}, 3)
    assert plan_new({0, 1}, NEW, NEW, OLD) == Plan({0: 5, 1: 5}, set(), 3)


def test_an_offset_committed_late_is_waited_for_while_another_is_not_established() -> None:
    assert plan_new({2}, UNKNOWN, NEW, OLD) == Plan({}, set(), 3)


def test_an_offset_that_names_no_topic_is_believed() -> None:
    """A tool has set it, or a worker of an earlier release."""
    assert plan_new({0, 1}, Committed(5), Committed(6, 2)) == Plan({0: 5, 1: 6}, set(), 2)
    assert plan_new({0, 1}, Committed(5), OLD) == Plan({0: 5}, {1}, 2)


def test_brokers_without_topic_ids_change_nothing() -> None:
    assert plan_topic("g", "t", {0}, {0: OLD}, "") == Plan({0: 7}, set(), 3)


def test_an_offset_of_the_new_topic_can_be_lost_too() -> None:
    with pytest.raises(PositionLost, match="no offset of it for t/1;"):
        plan_new({1, 2}, NEW, NONE, OLD)


answers = st.none() | st.builds(
    Committed, st.none() | st.integers(0, 9), st.integers(0, 5), st.sampled_from(["", "old", "new"])
)


@given(st.lists(answers, min_size=1, max_size=6), st.sets(st.integers(0, 5)))
def test_no_position_is_guessed(found: list[Committed | None], owned: set[int]) -> None:
    """A partition starts only at its stable offset; it begins only if every partition's answer is stable."""
    owned &= set(range(len(found)))
    try:
        result = plan_new(owned, *found)
    except PositionLost:
        return
    for number, offset in result.starts.items():
        each = found[number]
        assert each is not None
        assert each.offset == offset
        assert each.topic_id != "old"
    stale = {number for number, each in enumerate(found) if each is not None and each.is_stale("new")}
    if result.begins:
        assert None not in found
        claims = [each.claim for number, each in enumerate(found) if each is not None and number not in stale]
        assert min(result.begins - stale, default=9) >= max(claims, default=0)
        assert all(each.offset is None for number in result.begins - stale if (each := found[number]))
