"""Policy folders that are replaced under a running worker: Kubernetes volumes, links, renames."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from moderation.events import Verdict
from moderation.policy import PolicyEventKind, examine, load
from moderation.policy.folder import fingerprint, policy_files
from tests.policy.making import decide, write
from tests.policy.test_live import BROKEN, LAX, STRICT, living, verdict, wait_for
from tests.policy.volumes import Volume


def test_a_configmap_holds_each_policy_once(tmp_path: Path) -> None:
    volume = Volume(tmp_path / "policies", {"acme.yaml": STRICT, "acme.cases.yaml": "cases: []\n"})
    found = examine(volume.folder)
    assert found.mistakes == ()
    assert found.files == (str(volume.folder / "acme.yaml"),)


def test_a_configmap_with_folders_is_walked_through_its_links(tmp_path: Path) -> None:
    lists = "client: bravo\nlists: {block: {domain: {files: [bad.txt]}}}\n"
    files = {"acme.yaml": STRICT, "eu/bravo.yaml": lists, "eu/bad.txt": "bad.example\n"}
    volume = Volume(tmp_path / "policies", files)
    assert load(volume.folder).clients == ("acme", "bravo")


def test_the_reproduction_of_the_case_passes(tmp_path: Path) -> None:
    data = tmp_path / "..2026_11_25_14_00_00.123456789"
    data.mkdir()
    (data / "acme.yaml").write_text("client: acme\nsuitability: medium\n", "utf-8")
    (tmp_path / "..data").symlink_to(data.name)
    (tmp_path / "acme.yaml").symlink_to("..data/acme.yaml")
    found = examine(tmp_path)
    assert (len(found.files), found.mistakes) == (1, ())


def test_hidden_folders_are_not_walked_but_may_be_the_folder_itself(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    write(tmp_path / ".git", old=STRICT)
    write(tmp_path, acme=STRICT)
    assert policy_files(tmp_path) == [tmp_path / "acme.yaml"]
    assert policy_files(tmp_path / ".git") == [tmp_path / ".git/old.yaml"]


def test_two_names_of_one_file_are_one_policy_under_the_name_that_is_no_link(tmp_path: Path) -> None:
    write(tmp_path, zeta=STRICT)
    (tmp_path / "alias.yaml").symlink_to("zeta.yaml")
    assert policy_files(tmp_path) == [tmp_path / "zeta.yaml"]


def test_a_folder_that_links_to_itself_ends(tmp_path: Path) -> None:
    write(tmp_path, acme=STRICT)
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "gone.yaml").symlink_to("nowhere.yaml")
    assert policy_files(tmp_path) == [tmp_path / "acme.yaml"]


def test_the_fingerprint_differs_after_a_swap_to_the_same_text(tmp_path: Path) -> None:
    volume = Volume(tmp_path / "policies", {"acme.yaml": STRICT})
    before = fingerprint(volume.folder)
    assert before == fingerprint(volume.folder)
    volume.swap({"acme.yaml": STRICT})
    assert fingerprint(volume.folder) != before


def test_a_swap_goes_live_with_added_and_removed_files(tmp_path: Path) -> None:
    volume = Volume(tmp_path / "policies", {"acme.yaml": LAX, "old.yaml": "client: old\n"})
    with living(volume.folder) as (live, _):
        volume.swap({"acme.yaml": STRICT, "new.yaml": "client: new\n"})
        wait_for(lambda: live.current().clients == ("acme", "new"))
        assert verdict(live) is Verdict.BLOCK


def test_a_broken_swap_keeps_the_last_good_policy_and_the_next_repairs_it(tmp_path: Path) -> None:
    volume = Volume(tmp_path / "policies", {"acme.yaml": STRICT})
    with living(volume.folder) as (live, events):
        volume.swap({"acme.yaml": BROKEN})
        wait_for(lambda: events)
        assert (events[0].kind, events[0].file) == (PolicyEventKind.REFUSED, f"{volume.folder}/acme.yaml")
        assert verdict(live) is Verdict.BLOCK
        volume.swap({"acme.yaml": LAX})
        wait_for(lambda: verdict(live) is Verdict.ALLOW)


def pair(number: int) -> dict[str, str]:
    """Two policies that belong together: both say the same version."""
    return {f"{name}.yaml": f"client: {name}\nversion: v{number}\nsuitability: low\n" for name in ("acme", "bravo")}


def test_swaps_under_load_never_show_half_of_one_and_half_of_the_next(tmp_path: Path) -> None:
    volume = Volume(tmp_path / "policies", pair(0))
    mixed: list[set[str]] = []
    done = threading.Event()
    with living(volume.folder) as (live, events):

        def read() -> None:
            while not done.is_set():
                snapshot = live.current()
                decide(snapshot, clients=("acme",), scores={"violence": 0.7})
                if len(versions := {policy.version for policy in snapshot.policies}) > 1:
                    mixed.append(versions)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for number in range(1, 21):
            volume.swap(pair(number))
            time.sleep(0.03)
        wait_for(lambda: {policy.version for policy in live.current().policies} == {"v20"})
        done.set()
        for reader in readers:
            reader.join()
    assert mixed == []
    assert not [event for event in events if event.kind is PolicyEventKind.REFUSED]


def renamed_away(folder: Path) -> None:
    folder.rename(folder.with_name("old"))
    folder.mkdir()
    write(folder, acme=STRICT)


def deleted_and_made_anew(folder: Path) -> None:
    """A file system may give the new folder the inode of the old one."""
    shutil.rmtree(folder)
    folder.mkdir()
    write(folder, acme=STRICT)


def replaced_by_a_link(folder: Path) -> None:
    other = folder.with_name("elsewhere")
    other.mkdir()
    write(other, acme=STRICT)
    shutil.rmtree(folder)
    folder.symlink_to(other)


@pytest.mark.parametrize("replace", [renamed_away, deleted_and_made_anew, replaced_by_a_link])
def test_a_folder_is_followed_by_its_name(tmp_path: Path, replace: Callable[[Path], None]) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    with living(write(folder, acme=LAX)) as (live, events):
        replace(folder)
        wait_for(lambda: verdict(live) is Verdict.BLOCK)
        write(folder, acme=LAX)
        wait_for(lambda: verdict(live) is Verdict.ALLOW)
        assert not [event for event in events if event.kind is PolicyEventKind.REFUSED]


def test_a_link_that_is_pointed_elsewhere_is_followed(tmp_path: Path) -> None:
    for name, text in (("one", LAX), ("two", STRICT)):
        (tmp_path / name).mkdir()
        write(tmp_path / name, acme=text)
    folder = tmp_path / "current"
    folder.symlink_to("one")
    with living(folder) as (live, _):
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").rename(folder)
        wait_for(lambda: verdict(live) is Verdict.BLOCK)


def test_a_file_behind_a_link_is_followed_although_the_kernel_says_nothing(tmp_path: Path) -> None:
    folder, outside = tmp_path / "policies", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    write(outside, acme=LAX)
    (folder / "acme.yaml").symlink_to(outside / "acme.yaml")
    with living(folder) as (live, _):
        write(outside, acme=STRICT)
        wait_for(lambda: verdict(live) is Verdict.BLOCK)


def test_a_folder_that_stays_away_raises_an_alarm_that_ends_when_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    with living(write(folder, acme=STRICT)) as (live, events):
        folder.rename(tmp_path / "away")
        wait_for(lambda: events)
        assert "there is no such folder" in events[0].mistakes[0].problem
        assert verdict(live) is Verdict.BLOCK
        os.rename(tmp_path / "away", folder)  # noqa: PTH104
        wait_for(lambda: events[-1].kind is PolicyEventKind.REPAIRED)
