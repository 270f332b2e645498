"""Findings are counted, with their partitions, the first and the last, before some of them are listed."""

from stream.findings_summary import summarize
from stream.history import Asked, History
from stream.verify import Findings, Miscount, Misplaced

ASKED = [Asked((topic, offset % 2, offset), f"e{offset}") for topic in ("pages",) for offset in range(40)]


def test_nothing_found_is_said_so() -> None:
    assert summarize(History(), Findings()) == "no findings"


def test_each_kind_is_counted_by_partition_before_a_few_are_listed() -> None:
    doubled = tuple(Miscount(f"e{number}", "acme", 1, 2) for number in range(10, 30))
    text = summarize(History(asked=ASKED), Findings(doubled=doubled), listed=2)
    assert text.splitlines() == [
        f"doubled: 20; first {_doubled('e10')}; last {_doubled('e29')}",
        "  pages/0: 10 records, offsets 10 to 28",
        "  pages/1: 10 records, offsets 11 to 29",
        f"  - {_doubled('e10')}",
        f"  - {_doubled('e11')}",
        "  - and 18 more",
    ]


def _doubled(event_id: str) -> str:
    return f"event_id={event_id} client=acme expected=1 found=2"


def test_what_is_missing_beside_worse_may_be_late_only() -> None:
    missing = (Miscount("e1", "acme", 1, 0),)
    both = Findings(missing=missing, doubled=(Miscount("e2", "acme", 1, 2),))
    assert "may be late only" in summarize(History(asked=ASKED), both)
    assert "may be late only" not in summarize(History(asked=ASKED), Findings(missing=missing))


def test_places_and_unknown_events_are_named_too() -> None:
    found = Findings(
        unanswered=(Misplaced(("pages", 0, 4), "e4", 0),),
        stray=(Miscount("ghost", "acme", 0, 1),),
        unreadable=(("decisions.allow", 1, 7),),
    )
    text = summarize(History(asked=ASKED), found)
    assert "unanswered: 1;" in text
    assert "  pages/0: 1 records, offsets 4 to 4" in text
    assert "  - event_id=ghost client=acme expected=0 found=1" in text
    assert "  decisions.allow/1: 1 records, offsets 7 to 7" in text
