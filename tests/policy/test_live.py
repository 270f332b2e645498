"""Policies that follow their files, with a real watcher on real files."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from watchfiles import watch

from moderation.events import Verdict
from moderation.policy import LivePolicies, PolicyEvent, PolicyEventKind, PolicyMistakes, watching
from moderation.policy import live as live_module
from moderation.policy.load import examine
from tests.policy.making import decide, write

STRICT = "client: acme\nthresholds: {violence: {block: 0.5}}\n"
LAX = "client: acme\nthresholds: {violence: {block: 0.9}}\n"
BROKEN = "client: acme\nthresholds: {violence: {block: 90}}\n"
DEADLINE_S = 60


@contextmanager
def living(folder: Path) -> Iterator[tuple[LivePolicies, list[PolicyEvent]]]:
    events: list[PolicyEvent] = []
    live = LivePolicies(folder, events.append)
    live.start()
    try:
        yield live, events
    finally:
        live.stop()


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def verdict(live: LivePolicies) -> Verdict:
    return decide(live.current(), clients=("acme",), scores={"violence": 0.7}).verdict


def test_a_broken_file_at_the_start_is_refused(tmp_path: Path) -> None:
    live = LivePolicies(write(tmp_path, acme=BROKEN), lambda _: None)
    with pytest.raises(PolicyMistakes):
        live.start()
    with pytest.raises(RuntimeError):
        live.current()


def test_a_change_is_swapped_in_and_reported(tmp_path: Path) -> None:
    with living(write(tmp_path, acme=LAX)) as (live, events):
        before = live.current()
        assert verdict(live) is Verdict.ALLOW
        write(tmp_path, acme=STRICT)
        wait_for(lambda: events)
        assert verdict(live) is Verdict.BLOCK
        assert decide(before, scores={"violence": 0.7}).verdict is Verdict.ALLOW, "a snapshot never changes"
        (change,) = events
        assert (change.kind, change.client, change.file) == (PolicyEventKind.CHANGED, "acme", f"{tmp_path}/acme.yaml")
        assert change.previous_hash == before.policies[0].hash
        assert change.hash == live.current().policies[0].hash


def test_a_broken_change_keeps_the_last_good_policy_and_raises_an_alarm_once(tmp_path: Path) -> None:
    with living(write(tmp_path, acme=STRICT, other="client: other\n")) as (live, events):
        before = live.current()
        write(tmp_path, acme=BROKEN)
        wait_for(lambda: events)
        assert live.current().hash == before.hash
        assert verdict(live) is Verdict.BLOCK
        (alarm,) = events
        assert (alarm.kind, alarm.client) == (PolicyEventKind.REFUSED, "acme")
        assert alarm.hash == before.policy("acme").hash  # type: ignore[union-attr]
        assert [m.path for m in alarm.mistakes] == ["thresholds.violence.block"]
        assert "not percent" in alarm.model_dump_json()
        live.refresh()
        assert len(events) == 1, "the same mistakes are told once"
        write(tmp_path, other="client: other\nsuitability: low\n")
        wait_for(lambda: len(events) > 1)
        assert events[1].client == "other", "one client's mistake costs the others nothing"
        assert verdict(live) is Verdict.BLOCK
        write(tmp_path, acme=LAX)
        wait_for(lambda: verdict(live) is Verdict.ALLOW)


def test_the_alarm_ends_when_the_file_is_right_again_even_if_nothing_changed(tmp_path: Path) -> None:
    with living(write(tmp_path, acme=STRICT)) as (live, events):
        write(tmp_path, acme=BROKEN)
        wait_for(lambda: events)
        write(tmp_path, acme=STRICT)
        wait_for(lambda: len(events) > 1)
        live.refresh()
        assert [(e.kind, e.file) for e in events] == [
            (PolicyEventKind.REFUSED, f"{tmp_path}/acme.yaml"),
            (PolicyEventKind.REPAIRED, f"{tmp_path}/acme.yaml"),
        ]


def test_an_unexpected_error_is_reported_once_and_does_not_end_the_following(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(*_: object) -> Any:
        raise ArithmeticError("nobody thought of this")

    with living(write(tmp_path, acme=STRICT)) as (live, events):
        monkeypatch.setattr(live_module, "examine", raising)
        write(tmp_path, acme=LAX)
        wait_for(lambda: events)
        time.sleep(3 * watching.QUIET_S)
        (alarm,) = events
        assert alarm.kind is PolicyEventKind.REFUSED
        assert "ArithmeticError: nobody thought of this" in alarm.mistakes[0].problem
        assert verdict(live) is Verdict.BLOCK
        monkeypatch.setattr(live_module, "examine", examine)
        wait_for(lambda: verdict(live) is Verdict.ALLOW)
        wait_for(lambda: events[-1].kind is PolicyEventKind.REPAIRED)


def test_a_folder_that_cannot_be_watched_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_watch_left(folder: Path, **options: Any) -> Iterator[object]:
        raise OSError(28, "OS file watch limit reached")

    monkeypatch.setattr(watching, "watch", no_watch_left)
    with living(write(tmp_path, acme=STRICT)) as (live, events):
        write(tmp_path, acme=LAX)
        wait_for(lambda: verdict(live) is Verdict.ALLOW)
        assert [event.kind for event in events] == [PolicyEventKind.CHANGED]


def test_a_broken_parent_keeps_every_child(tmp_path: Path) -> None:
    write(tmp_path, holding="organisation: holding\nthresholds: {violence: {block: 0.5}}\n")
    write(tmp_path, acme="client: acme\nextends: holding\n", bravo="client: bravo\nextends: holding\n")
    with living(tmp_path) as (live, events):
        write(tmp_path, holding="organisation: holding\nthresholds: {violence: {block: high}}\n")
        wait_for(lambda: len(events) >= 2)
        assert {(e.kind, e.client) for e in events} == {
            (PolicyEventKind.REFUSED, "acme"),
            (PolicyEventKind.REFUSED, "bravo"),
        }
        assert verdict(live) is Verdict.BLOCK


def test_a_broken_list_file_keeps_its_policy(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("bad.example\n")
    write(tmp_path, acme="client: acme\nlists: {block: {domain: {files: [bad.txt]}}}\n")
    with living(tmp_path) as (live, events):
        (tmp_path / "bad.txt").write_text("not a domain\n")
        wait_for(lambda: events)
        assert (events[0].kind, events[0].client) == (PolicyEventKind.REFUSED, "acme")
        assert decide(live.current(), context={"domain": "bad.example"}).verdict is Verdict.BLOCK
        (tmp_path / "bad.txt").write_text("bad.example\nworse.example\n")
        wait_for(lambda: decide(live.current(), context={"domain": "worse.example"}).verdict is Verdict.BLOCK)


def test_a_list_file_that_goes_away_keeps_its_policy(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("bad.example\n")
    write(tmp_path, acme="client: acme\nlists: {block: {domain: {files: [bad.txt]}}}\n")
    with living(tmp_path) as (live, events):
        (tmp_path / "bad.txt").unlink()
        wait_for(lambda: events)
        assert decide(live.current(), context={"domain": "bad.example"}).verdict is Verdict.BLOCK


def test_new_and_removed_policies_come_and_go(tmp_path: Path) -> None:
    with living(write(tmp_path, acme=LAX)) as (live, events):
        write(tmp_path, bravo="client: bravo\n")
        wait_for(lambda: live.current().clients == ("acme", "bravo"))
        (tmp_path / "bravo.yaml").unlink()
        wait_for(lambda: live.current().clients == ("acme",))
        wait_for(lambda: len(events) == 2)
        assert [(e.kind, e.client) for e in events] == [
            (PolicyEventKind.CHANGED, "bravo"),
            (PolicyEventKind.REMOVED, "bravo"),
        ]


def test_an_emptied_folder_keeps_what_there_was(tmp_path: Path) -> None:
    with living(write(tmp_path, acme=STRICT)) as (live, events):
        (tmp_path / "acme.yaml").unlink()
        wait_for(lambda: events)
        assert events[0].kind is PolicyEventKind.REFUSED
        assert verdict(live) is Verdict.BLOCK


def test_readers_always_see_a_whole_snapshot_while_files_change(tmp_path: Path) -> None:
    write(tmp_path, acme=STRICT)
    failures: list[BaseException] = []
    done = threading.Event()
    with living(tmp_path) as (live, _):

        def read() -> None:
            try:
                while not done.is_set():
                    assert verdict(live) in {Verdict.ALLOW, Verdict.BLOCK}
            except BaseException as error:
                failures.append(error)
                raise

        reader = threading.Thread(target=read)
        reader.start()
        for text in (LAX, BROKEN, STRICT, "client: [", LAX) * 2:
            write(tmp_path, acme=text)
            live.refresh()
        done.set()
        reader.join()
        assert not failures
        assert verdict(live) is Verdict.ALLOW


def test_what_changes_before_the_watch_begins_is_not_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(folder: Path, **options: Any) -> Iterator[object]:
        write(tmp_path, acme=STRICT)
        yield from watch(folder, **options)

    monkeypatch.setattr(watching, "watch", late)
    with living(write(tmp_path, acme=LAX)) as (live, _):
        wait_for(lambda: verdict(live) is Verdict.BLOCK)


def test_stopping_ends_the_thread(tmp_path: Path) -> None:
    with living(write(tmp_path, acme=LAX)) as (live, _):
        assert any(thread.name == "policies" for thread in threading.enumerate())
    assert not any(thread.name == "policies" for thread in threading.enumerate())
    assert live.current().clients == ("acme",)
