"""Words of closed lists: verdicts, tiers, surfaces and switches, by what other systems call them."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from moderation.documents.mistakes import nearest


def _words(meant: str, words: str) -> dict[str, str]:
    return dict.fromkeys(words.split(), meant)


_VERDICTS: Final[Mapping[str, str]] = {
    **_words("block", "ban banned blacklist blocked blocking blocklist decline declined deny denied denylist"),
    **_words("block", "disallow disallowed drop exclude excluded forbid forbidden kill no refuse refused"),
    **_words("block", "reject rejected remove stop suppress"),
    **_words("allow", "accept accepted allowed allowlist approve approved grant ignore include ok okay"),
    **_words("allow", "pass passed permit permitted run safe serve whitelist yes"),
    **_words("review", "ask check escalate flag flagged hold human inspect look manual moderate pending"),
    **_words("review", "person queue quarantine reviewed suspend warn warning"),
}
_TIERS: Final[Mapping[str, str]] = {
    **_words("low", "strict stricter strictest strong tight conservative cautious careful safe safest"),
    **_words("low", "sensitive limited maximum max zero minimal family kids"),
    **_words("medium", "normal standard default moderate middle mid med average balanced regular"),
    **_words("high", "relaxed loose looser liberal expanded hi"),
    **_words("floor", "lax open tolerant full none all loosest minimum min"),
}
_TIER_MEANS: Final[Mapping[str, str]] = {
    "low": "low is the strictest: it keeps away even low risk",
    "medium": "medium is the middle tier",
    "high": "high keeps away only high risk",
    "floor": "floor is the most tolerant",
}
_SURFACES: Final[Mapping[str, str]] = {
    **_words("creative", "ad ads advert banner banners creatives display"),
    **_words("page", "article articles app content inventory pages publisher site sites web website"),
}
_SWITCHES: Final[Mapping[str, str]] = {
    **_words("true", "true yes y on 1 enabled enable"),
    **_words("false", "false no n off 0 disabled disable"),
}


def verdict_hint(word: str, known: Iterable[str]) -> str:
    """`deny` → write block."""
    return _by_table(word, _VERDICTS, tuple(known))


def tier_hint(word: str, known: Iterable[str]) -> str:
    """`strict` → write low; tiers are named after the mildest risk kept away, which surprises."""
    meant = _TIERS.get(_bare(word))
    return f"{_TIER_MEANS[meant]}; write {meant}" if meant else _by_table(word, {}, tuple(known))


def surface_hint(word: str, known: Iterable[str]) -> str:
    """`banner` → write creative."""
    return _by_table(word, _SURFACES, tuple(known))


def switch_hint(word: object) -> str:
    """`"yes"` → write true."""
    meant = _SWITCHES.get(_bare(str(word)))
    return f"write {meant}, without quotes" if meant else ""


def list_verdict_hint(key: str) -> str:
    """`lists.blacklist` → write block."""
    meant = _VERDICTS.get(_bare(key))
    return f"write {meant}" if meant else ""


def _by_table(word: str, table: Mapping[str, str], known: tuple[str, ...]) -> str:
    bare = _bare(word)
    if bare in known:
        return f"write {bare}"
    meant = table.get(bare)
    return f"write {meant}" if meant in known else nearest(word, known)


def _bare(word: str) -> str:
    """Lower case, without anything but letters and digits: `Not-OK!` → `notok`."""
    return re.sub(r"[\W_]", "", word).lower()
