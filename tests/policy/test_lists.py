"""Entries made comparable, and large sets of them."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from moderation.events import AdContext, Verdict
from moderation.normal import normal
from moderation.policy import load
from moderation.policy.compile.lists import (
    DigestSet,
    EntryMistake,
    HashBank,
    canonical,
    pages,
    probes,
    read_list,
    suffixes,
)
from tests.policy.making import decide, rules, write


@pytest.mark.parametrize(
    ("kind", "written", "compared"),
    [
        ("adomain", "Shop.Example.", "shop.example"),
        ("domain", "bücher.example", "xn--bcher-kva.example"),
        ("crid", " Cr-1 ", "Cr-1"),
        ("page_url", "https://News.example/a/b/?q=1#top", "news.example/a/b"),
        ("page_url", "news.example/a/*", "news.example/a/*"),
        ("page_url", "https://u:p@News.example:443/a", "news.example/a"),
        ("content_sha256", "AB" * 32, "ab" * 32),
    ],
)
def test_entries_are_compared_in_one_form(kind: str, written: str, compared: str) -> None:
    assert canonical(kind, written) == compared


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("adomain", "https://shop.example"),
        ("adomain", "shop"),
        ("domain", "*.shop.example"),
        ("domain", "a b.example"),
        ("page_url", "/only/a/path"),
        ("page_url", "http://[::1"),
        ("adomain", "http://[::1"),
        ("domain", "//]shop.example"),
        ("content_sha256", "abc"),
        ("perceptual_hash", "g" * 64),
    ],
)
def test_entries_that_match_nothing_are_refused(kind: str, written: str) -> None:
    with pytest.raises(EntryMistake):
        canonical(kind, written)


def test_what_a_domain_and_a_page_match() -> None:
    assert list(suffixes("a.b.example.com")) == ["a.b.example.com", "b.example.com", "example.com"]
    assert list(suffixes("[2001:db8::1]")) == ["[2001:db8::1]"]
    assert list(pages("x.example/a/b")) == ["x.example/a/b", "x.example/a/b/*", "x.example/a/*", "x.example/*"]


@pytest.mark.parametrize("domain", [None, "", "unknown"])
def test_a_page_without_a_domain_is_probed_by_its_host(domain: str | None) -> None:
    context = normal(AdContext(page_url="https://m.news.example/story", domain=domain))
    assert probes("domain", context, None) == [("m.news.example", "news.example")]


def test_a_port_hides_no_page(tmp_path: Path) -> None:
    policies = load(write(tmp_path, acme="client: acme\nlists: {block: {domain: [bad.example]}}\n"))
    assert decide(policies, context={"page_url": "https://bad.example:443/x"}).verdict is Verdict.BLOCK


@pytest.mark.parametrize(
    ("context", "rules_fired"),
    [
        ({"domain": "[x"}, ["incomparable.domain"]),
        ({"page_url": "http://x/%"}, ["incomparable.page_url", "incomparable.domain"]),
        ({"adomain": ["", ".", "\u2028"], "domain": " ", "page_url": ""}, []),
    ],
)
def test_odd_contexts_are_looked_at_and_empty_ones_say_nothing(
    tmp_path: Path, context: dict[str, object], rules_fired: list[str]
) -> None:
    text = "client: acme\nlists: {block: {domain: [a.example], adomain: [a.example], page_url: [a.example/*]}}"
    decision = decide(load(write(tmp_path, acme=text)), context=context)
    assert rules(decision) == rules_fired
    assert decision.verdict is (Verdict.REVIEW if rules_fired else Verdict.ALLOW)


def test_a_large_list_file_is_found_exactly_and_takes_sixteen_bytes_each(tmp_path: Path) -> None:
    write(tmp_path, acme="client: acme\nlists: {block: {content_sha256: {files: [bad.txt]}}}")
    hashes = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(20_000)]
    (tmp_path / "bad.txt").write_text("# known bad\n" + "\n".join(hashes[:10_000]) + "  # the last\n")
    policies = load(tmp_path)
    (named,) = policies.policies[0].lists
    ((_, digests),) = named.sets
    assert digests.digests.nbytes == 16 * 10_000
    for index in (0, 5_000, 9_999):
        assert decide(policies, content_sha256=hashes[index]).verdict is Verdict.BLOCK
    for index in (10_000, 19_999):
        assert decide(policies, content_sha256=hashes[index]).verdict is Verdict.ALLOW


def test_one_file_named_by_many_policies_is_read_and_held_once(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("bad.example\n")
    text = "client: {}\nlists: {{block: {{domain: {{files: [bad.txt]}}}}}}"
    policies = load(write(tmp_path, acme=text.format("acme"), bravo=text.format("bravo")))
    sets = [policy.lists[0].sets[0][1] for policy in policies.policies]
    assert sets[0] is sets[1]
    assert decide(policies, clients=("bravo",), context={"domain": "www.bad.example"}).verdict is Verdict.BLOCK


def test_a_digest_set_holds_what_it_was_given() -> None:
    digests = DigestSet.of(["a", "b", "a"])
    assert len(digests) == 2
    assert "a" in digests and "b" in digests and "c" not in digests
    assert "a" not in DigestSet.of([])


def test_hash_banks_match_a_bit_by_bit_count() -> None:
    draw = np.random.default_rng(7)
    hashes = [draw.bytes(32).hex() for _ in range(50)]
    probe = hashes[3]
    for distance in (0, 100, 128, 140, 256):
        by_hand = [i for i, h in enumerate(hashes) if (int(h, 16) ^ int(probe, 16)).bit_count() <= distance]
        assert HashBank.of(hashes, distance).near(probe).tolist() == by_hand


@pytest.mark.parametrize(
    "content",
    [
        "CR-1001\n",
        "\ufeffCR-1001\r\n",
        "\ufeff# from the exchange\r\nCR-1001\r\n",
        "\u200b# note\rCR-1001\r",
        "CR-1001 # fraud\nCR-2\t# too",
        "\tCR-1001\u00a0\u200b\n",
        "CR-1001,\nCR-2,\n",
        '"CR-1001";\n',
        "“CR-1001”\n",
        "CR\u20111001\n",
        '"a,b"\n"#c"\nCR-1001',
        "CR-2\u2028CR-1001",
    ],
)
def test_a_file_of_ids_is_read_as_people_see_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "ids.txt").write_bytes(content.encode())
    found = read_list(tmp_path / "ids.txt", "crid")
    assert not found.mistakes
    assert "CR-1001" in found.entries  # type: ignore[operator]


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        *(("crid", f"CR-1001{rest}") for rest in (",fraud", ";fraud", "\tfraud", "#fraud", " ; fraud", ",CR-1002")),
        *(("crid", line) for line in ("- CR-1001", "• CR-1001", '["CR-1001","CR-1002"]', '"CR-1001","fraud"')),
        ("page_url", "news.example/a\tnote"),
        ("adomain", "casino.example\tnote"),
        ("adomain", "xn--casino-.example"),
        ("adomain", "casino‐online.example"),
        ("content_sha256", "ab" * 32 + "\tnote"),
    ],
)
def test_a_line_that_may_hold_more_than_one_entry_is_refused(tmp_path: Path, kind: str, line: str) -> None:
    (tmp_path / "list.txt").write_text(f"{line}\n", "utf-8")
    assert len(read_list(tmp_path / "list.txt", kind).mistakes) == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_in_another_encoding_is_refused(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "list.txt").write_text("CR-1001\r\nCR-中\r\n", encoding)
    with pytest.raises(UnicodeDecodeError):
        read_list(tmp_path / "list.txt", "crid")
