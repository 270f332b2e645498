"""One meaning, one form: whatever the spelling, in an event or in a list; and any text at all has an answer."""

import unicodedata
from collections.abc import Callable
from typing import Literal
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from moderation.events import AdContext
from moderation.normal import (
    Incomparable,
    Normal,
    Page,
    categories,
    country,
    declares_politics,
    domain,
    domains,
    identifier,
    normal,
    page,
    page_key,
)
from moderation.policy.compile.lists import EntryMistake, canonical

INVISIBLE = ["\ufeff", "\u200b", "\u00ad", "\u2060", "\u200e", "\u202e", "\u2066", "\u180e", "\x00", "\u200d", "\u200c"]
PLAIN = "casino.example"


@pytest.mark.parametrize(
    "spelled",
    [
        "casino.example",
        "CASINO.Example",
        "casino.example.",
        " casino.example\n",
        "casino.example:443",
        "casino.example:8080",
        "casino.example/",
        "casino.example/win?x=1#top",
        "//casino.example/x",
        "https://casino.example",
        "https://user:secret@casino.example:8443/a/b",
        "user@casino.example",
        "HTTP://CASINO.EXAMPLE/",
        "https:\\\\casino.example\\win",
        "https:/casino.example",
        "https:casino.example",
        "https%3A%2F%2Fcasino.example%2Fwin",
        "https://casino%2Eexample/",
        "https://%63asino.example/",
        "casino。example",
        "casino．example",
        "ｃａｓｉｎｏ.example",
        '"casino.example"',
        "<https://casino.example/>",
        "“casino.example”",
        "‘https://casino.example/’",
        "«casino.example»",
        "`casino.example`",
        "*.casino.example",
        ".casino.example",
        "casino.example,",
        "ftp://casino.example/x",
        "android-app://casino.example/x",
        *(f"cas{mark}ino.example" for mark in INVISIBLE),
        *(f"{mark}casino.example{mark}" for mark in INVISIBLE),
    ],
)
def test_a_domain_is_its_host(spelled: str) -> None:
    assert domains(spelled) == (PLAIN,)


@pytest.mark.parametrize(
    ("spelled", "names"),
    [
        ("casino.example,other.example", (PLAIN, "other.example")),
        ("other.example ; casino.example", ("other.example", PLAIN)),
        ("https://casino.example/a,https://other.example/b", (PLAIN, "other.example")),
        ("casino.example other.example casino.example", (PLAIN, "other.example")),
        ("casino.example，other.example", (PLAIN, "other.example")),
        ("casino.example、other.example；", (PLAIN, "other.example")),
        ('"casino.example, other.example"', (PLAIN, "other.example")),
        ("https://casino.example/one,two/three", (PLAIN,)),
        ("https://casino.example/my page", (PLAIN,)),
        ("", ()),
        (" . ", ()),
        ("\ufeff", ()),
    ],
)
def test_several_domains_in_one_text(spelled: str, names: tuple[str, ...]) -> None:
    assert domains(spelled) == names


@pytest.mark.parametrize(
    ("spelled", "ascii_form"),
    [
        ("straße.example", "xn--strae-oqa.example"),
        ("STRASSE.example", "strasse.example"),
        ("STRAẞE.example", "xn--strae-oqa.example"),
        ("βόλος.example", "xn--nxasmm1c.example"),
        ("ΒΌΛΟΣ.example", "xn--nxasmq6b.example"),
        ("نامه\u200cای.example", "xn--mgba3gch31f060k.example"),
        ("نامهای.example", "xn--mgba3gch31f.example"),
        ("XN--STRAE-OQA.example", "xn--strae-oqa.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("i❤.example", "xn--i-7iq.example"),
    ],
)
def test_idna_is_uts_46_non_transitional(spelled: str, ascii_form: str) -> None:
    assert domain(spelled) == canonical("adomain", spelled) == ascii_form


@pytest.mark.parametrize(
    ("spelled", "address"),
    [
        ("http://203.0.113.7/x", "203.0.113.7"),
        ("203.0.113.7:80", "203.0.113.7"),
        ("http://3405803783/", "203.0.113.7"),
        ("http://0xcb007107/", "203.0.113.7"),
        ("http://0313.0.0161.07/", "203.0.113.7"),
        ("http://203.0.28935/", "203.0.113.7"),
        ("[2001:DB8:0:0::1]:443", "[2001:db8::1]"),
        ("2001:db8::1", "[2001:db8::1]"),
        ("http://[::ffff:203.0.113.7]/", "203.0.113.7"),
        ("http://[fe80::1%25eth0]/", "[fe80::1]"),
    ],
)
def test_addresses_have_one_notation(spelled: str, address: str) -> None:
    assert domain(spelled) == domain(address) == canonical("domain", address) == address


@pytest.mark.parametrize(
    "spelled",
    [
        "casino",
        "null",
        "1207472156",
        "-",
        "a..example",
        "casino.example:port",
        "a\ufffd.example",
        "1.2.3.4.5",
        "256.0.0.1",
        "[::1",
        "xn--" + "a" * 70 + ".example",
        "xn--casino-.example",
        "xn--a-ecp.xn--ls8h=.example",
        "xn--BCHER-2PA.example",
        "casino‐online.example",
        "casino“s.example",
        "casino…example",
        "a" * 300 + ".example",
        "ca sino",
        "???",
        "https://",
        "data:image/png;base64,AAAA",
        "a/../b",
    ],
)
def test_what_names_no_domain_is_not_comparable_and_says_so_in_one_line(spelled: str) -> None:
    found = domains(spelled)[0]
    assert isinstance(found, Incomparable)
    assert "\n" not in found.reason
    assert len(found.reason) < 200


@pytest.mark.parametrize(
    ("spelled", "key"),
    [
        ("https://News.example/a/b/?q=1#top", "news.example/a/b"),
        ("news.example/a/./x/../b//", "news.example/a/b"),
        ("http://news.example:80/a/%62", "news.example/a/b"),
        ("https://u:p@news.example:8443/a/b", "news.example/a/b"),
        ("https://news.example/%7Euser/%e4%bd%a0", "news.example/~user/%E4%BD%A0"),
        ("https://news.example/~user/你", "news.example/~user/%E4%BD%A0"),
        ("https://news.example/cafe\u0301", "news.example/caf%C3%A9"),
        ("https://news.example/cafe%CC%81", "news.example/caf%C3%A9"),
        ("https://news.example/a%2fb", "news.example/a%2Fb"),
        ("https://news.example/100%", "news.example/100%25"),
        ("https://news.example/a b", "news.example/a%20b"),
        ("https://news.example/a\u200b%E2%80%8B\u00ad", "news.example/a"),
        ("https:\\\\news.example\\a\\b", "news.example/a/b"),
        ("https://news.example/../../a", "news.example/a"),
        ("news.example", "news.example"),
        ("https://news.example/%ff", "news.example/%FF"),
        ("https://[2001:DB8::1]/a", "[2001:db8::1]/a"),
        ("news.example/Case/counts", "news.example/Case/counts"),
    ],
)
def test_a_page_is_its_host_and_path(spelled: str, key: str) -> None:
    assert page_key(spelled) == canonical("page_url", spelled) == canonical("page_url", key) == key


@pytest.mark.parametrize(
    "joined",
    [
        "https://news.example/a, https://b.example/",
        "https://news.example/a|http://b.example",
        "a.example/b http://c.example",
    ],
)
def test_several_pages_in_one_text_are_not_comparable(joined: str) -> None:
    assert isinstance(page(joined), Incomparable)
    assert page_key("https://archive.example/web/https://news.example/a") == "archive.example/web/https:/news.example/a"


def test_expressions_keep_scheme_and_the_slash_at_the_end() -> None:
    found = page("HTTP://News.example/a/../b/?q")
    assert isinstance(found, Page)
    assert found.url == "http://news.example/b/"


@pytest.mark.parametrize(
    ("spelled", "code"),
    [
        ("NO", "NO"),
        ("no", "NO"),
        (" nor ", "NO"),
        ("NOR", "NO"),
        ("\ufeffNO", "NO"),
        ("ＮＯ", "NO"),
        ('"NO"', "NO"),
        ("UK", "GB"),
        ("uk", "GB"),
        ("GBR", "GB"),
        ("EL", "GR"),
        ("GRC", "GR"),
        ("", ""),
        (" ", ""),
    ],
)
def test_countries_are_alpha_2(spelled: str, code: str) -> None:
    assert country(spelled) == code


@pytest.mark.parametrize(
    "code",
    [
        "ZZ",
        "XX",
        "EU",
        "A1",
        "A2",
        "T1",
        "O1",
        "AP",
        "--",
        "578",
        "47",
        "SU",
        "YU",
        "AN",
        "Norway",
        "en-NO",
        "??",
        "x" * 99,
    ],
)
def test_codes_that_name_no_country(code: str) -> None:
    assert isinstance(country(code), Incomparable)
    context = normal(AdContext(country=code))
    assert context.country is None
    assert "names no country" in context.problems["country"]


@pytest.mark.parametrize(
    "spelled",
    [
        "CR-1001",
        "\ufeffCR-1001\r\n",
        " CR-1001\u00a0",
        '"CR-1001"',
        "“CR-1001”",
        "`CR-1001`",
        "CR‑1001",
        "CR‐1001",
        "ＣＲ－１００１",
        "ï»¿CR-1001",
        "CR\u200b-\u00ad1001",
        "\u202aCR-1001\u202c",
        "\tCR-1001\x00",
    ],
)
def test_ids_are_what_people_see(spelled: str) -> None:
    assert identifier(spelled) == canonical("crid", spelled) == "CR-1001"


def test_case_of_an_id_counts_and_a_damaged_id_is_not_comparable() -> None:
    assert identifier("cr-1001") != identifier("CR-1001")
    assert isinstance(identifier("CR-\ufffd1001"), Incomparable)
    with pytest.raises(EntryMistake):
        canonical("crid", "CR-\ufffd1001")


@pytest.mark.parametrize(
    ("cattax", "spelled"),
    [
        (None, "IAB11-4"),
        (1, "IAB11-4"),
        (1, "iab11-4"),
        (1, "IAB 11-4"),
        (1, "IAB11_4"),
        (1, "IAB11–4"),
        (1, "IAB11"),
        (1, " IAB11-4 "),
        (1, "IAB011-04"),
        (1, "IAB1,IAB11-4"),
        (1, "IAB1，IAB11-4"),
        (1, "“IAB11-4”"),
        (2, "386"),
        (2, "387"),
        (2, "388"),
        (2, "389"),
        (2, "174"),
        (5, "386"),
        (6, "387"),
        (6, "0386"),
        (7, "386"),
        (7, "387"),
        (7, "388"),
        (7, "8YPBBL"),
        (7, "8ypbbl"),
        (9, "386"),
        (9, "387"),
        (8, "1474"),
        *((8, str(number)) for number in range(1475, 1482)),
    ],
)
def test_categories_that_mean_politics(cattax: int | None, spelled: str) -> None:
    assert declares_politics(cattax, categories([spelled])) is True


@pytest.mark.parametrize(
    ("cattax", "spelled"),
    [
        (None, "IAB1"),
        (1, "IAB11-5"),
        (1, "IAB12"),
        (2, "379"),
        (5, "380"),
        (7, "381"),
        (8, "1473"),
        (8, "1482"),
        (3, "129"),
        (9, "v9i3On"),
    ],
)
def test_categories_that_mean_something_else(cattax: int | None, spelled: str) -> None:
    assert declares_politics(cattax, categories([spelled])) is False


@pytest.mark.parametrize(
    ("cattax", "spelled"),
    [
        (None, "386"),
        (1, "1474"),
        (7, "IAB11-4"),
        (7, "1474"),
        (8, "386"),
        (0, "1"),
        (4, "1"),
        (10, "386"),
        (500, "x"),
        (-1, "x"),
        (1, "Politics"),
    ],
)
def test_categories_that_nobody_can_read(cattax: int | None, spelled: str) -> None:
    assert isinstance(declares_politics(cattax, categories([spelled])), Incomparable)


def test_no_category_is_no_declaration_whatever_the_taxonomy() -> None:
    assert declares_politics(999, ()) is False


FORMS: dict[str, Callable[[str], Normal]] = {
    "identifier": identifier,
    "domain": domain,
    "page": page_key,
    "country": country,
}
PIECES = st.sampled_from(
    [
        "casino",
        "example",
        ".",
        "/",
        "//",
        ":",
        "@",
        "?",
        "#",
        "%",
        "%2e",
        "%2F",
        "%C3",
        "xn--",
        "https:",
        "\\",
        "[",
        "]",
        "*",
        " ",
        ",",
        "ß",
        "ς",
        "\u200d",
        "\u200c",
        "\u0308",
        "\ufeff",
        "。",
        "0x7f",
        "1",
        "..",
        '"',
        "\ufffd",
        "\u0345",
        "ﾊﾞ",
        "\ud800",
    ]
)
ANY_TEXT = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join))


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(sorted(FORMS)), ANY_TEXT)
@example("identifier", "\"'\"'")
@example("page", "a.example/%25%32%65")
@example("domain", "a\u200d.example")
def test_a_normal_form_is_its_own_normal_form(kind: str, text: str) -> None:
    found = FORMS[kind](text)
    if isinstance(found, str):
        assert FORMS[kind](found) == found
    else:
        assert "\n" not in found.reason


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT)
def test_any_text_has_an_answer(text: str) -> None:
    assert isinstance(domains(text), tuple)
    assert isinstance(categories([text]), tuple)
    sent = text.encode("utf-8", "replace").decode()
    context = AdContext(crid=sent, adomain=(sent,), domain=sent, page_url=sent, country=sent[:300], cat=(sent,))
    assert context.crid == sent
    assert normal(context) == normal(context)


LABELS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8)
NAMES = st.builds(
    lambda labels, last: ".".join([*labels, last]),
    st.lists(LABELS, min_size=1, max_size=3),
    st.sampled_from(["example", "test", "co.uk"]),
)


@st.composite
def spelled_domain(draw: st.DrawFn) -> tuple[str, str]:
    """A domain, and another spelling of it."""
    name = draw(NAMES)
    other = draw(st.sampled_from([str.lower, str.upper, str.title]))(name)
    at = draw(st.integers(0, len(other)))
    other = other[:at] + draw(st.sampled_from(["", *INVISIBLE])) + other[at:]
    head = draw(st.sampled_from(["", "//", "http://", "https://", "HTTPS://u:p@", "https:\\\\", " "]))
    tail = draw(st.sampled_from(["", ".", "/", ":443", ":8080/", "/a/b?c=d#e", ".:80", " "]))
    return name, head + other + tail


@given(spelled_domain())
def test_every_spelling_of_a_domain_meets_its_entry(drawn: tuple[str, str]) -> None:
    entry, sent = drawn
    assert domains(sent) == (canonical("adomain", entry),) == (canonical("domain", entry),)


SEGMENTS = st.text("abcXYZ019-._~é你 !$&'()+=", min_size=1, max_size=6).filter(
    lambda s: s.strip() == s and set(s) != {"."}
)


@st.composite
def spelled_page(draw: st.DrawFn) -> tuple[str, str]:
    """A page, and another spelling of it."""
    name, segments = draw(NAMES), draw(st.lists(SEGMENTS, min_size=1, max_size=3))
    out = []
    for segment in segments:
        out += draw(st.sampled_from([[], [""], ["."], ["x", ".."]]))
        form = unicodedata.normalize(draw(st.sampled_from(["NFC", "NFD"])), segment)
        escaped = "".join(
            c if draw(st.booleans()) and c.isascii() else _escape(c, draw(st.booleans())) if _is_free(c) else c
            for c in form
        )
        out.append(escaped)
    head = draw(st.sampled_from(["", "https://", "http://u:p@"]))
    host = draw(st.sampled_from([name, name.upper(), f"{name}:443"]))
    tail = draw(st.sampled_from(["", "/", "?q=1", "#top", "/?a=/b"]))
    return f"{name}/{'/'.join(segments)}", f"{head}{host}/{'/'.join(out)}{tail}"


def _is_free(character: str) -> bool:
    return not character.isascii() or character.isalnum() or character in "-._~ "


def _escape(character: str, upper: bool) -> str:
    escaped = "".join(f"%{byte:02X}" for byte in character.encode()) if character.isascii() else quote(character)
    return escaped if upper else escaped.lower()


@settings(deadline=None)
@given(spelled_page())
@example(("a.example/+  é", "a.example/+%20%20%c3%a9"))
def test_every_spelling_of_a_page_meets_its_entry(drawn: tuple[str, str]) -> None:
    entry, sent = drawn
    assert page_key(sent) == canonical("page_url", entry)
    assert canonical("page_url", f"{entry}/*") == f"{page_key(sent)}/*"


IDS = st.text(
    st.characters(categories=["L", "N", "P", "S"], exclude_characters="\"'\ufffd"), min_size=1, max_size=12
).filter(lambda text: identifier(text) == text)


@given(
    IDS,
    st.sampled_from(INVISIBLE),
    st.integers(0, 12),
    st.sampled_from(["NFC", "NFD"]),
    st.sampled_from(["", " ", "\r\n", "\u00a0"]),
)
def test_every_spelling_of_an_id_meets_its_entry(
    entry: str, mark: str, at: int, form: Literal["NFC", "NFD"], end: str
) -> None:
    spelled = unicodedata.normalize(form, entry)
    sent = end + spelled + mark + end if at > len(spelled) else end + spelled[:at] + mark + spelled[at:] + end
    assert identifier(sent) == canonical("crid", entry)
