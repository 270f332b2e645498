"""Numbers written as a text, a percentage or with a decimal comma."""

import re
from typing import Final

_PERCENT: Final = 100
_NUMBER: Final = re.compile(r"[-+]?(?:\d[\d ’'_\u00a0\u202f]*)?(?:[.,]\d+)?")
_UNITS: Final = re.compile(r"\s*(?:days?|bits?|d|percent|per cent|pct)\s*", re.IGNORECASE)
_OFF_WORDS: Final = frozenset({"off", "none", "null", "no", "disabled", "infinity", "inf", ".inf", "nie", "-"})


def plain_number(text: str) -> float | None:
    """The number that a text means: `0,40`, `.4`, `40 %`, `1'000`; None where it is none."""
    bare = text.strip().strip("\"'").strip()
    is_percent = bare.endswith(("%", "٪"))
    digits = _digits(bare.rstrip("%٪ "))
    return None if digits is None else float(digits) / (_PERCENT if is_percent else 1)


def _digits(bare: str) -> str | None:
    """With a decimal point and without what groups thousands, else as it was written."""
    text = bare.replace("−", "-")
    if not text or not _NUMBER.fullmatch(text):
        return None
    plain = re.sub(r"[ ’'_\u00a0\u202f+]", "", text).replace(",", ".")
    return re.sub(r"^(-?)\.", r"\g<1>0.", plain)


def probability_hint(value: object, what: str = "thresholds") -> str:
    """What to write for a threshold or a share that is no number from 0 to 1."""
    if isinstance(value, str):
        return _text_hint(value, what)
    if isinstance(value, int | float) and 1 < value <= _PERCENT:
        return f"{what} are not percent: write {value / _PERCENT:g}"
    return ""


def whole_number_hint(value: object) -> str:
    """What to write where a whole number is meant."""
    if not isinstance(value, str):
        return ""
    number = plain_number(_UNITS.sub("", value))
    return f"write {number:g}, without quotes or unit" if number is not None and number == int(number) else ""


def _text_hint(text: str, what: str) -> str:
    bare = text.strip().lower()
    if bare in _OFF_WORDS or bare == "never":
        return "write never to switch it off"
    number = plain_number(_UNITS.sub("", text))
    if number is None or number < 0:
        return ""
    if number <= 1 and not re.search(r"[%٪]", text):
        return f"write {_digits(bare) or f'{number:g}'}{_why(bare)}"
    share = number if number <= 1 else number / _PERCENT
    return f"{what} are not percent: write {share:g}" if share <= 1 else ""


def _why(text: str) -> str:
    if "," in text:
        return ": decimals take a point"
    return ": a number takes no quotes" if re.fullmatch(r"\d+(\.\d+)?", text) else ""


def split_decimal(line: str, column: int) -> str:
    """`{review: 0,40}` is read as two keys; the hint for the second, at `column` (from 1) of its line."""
    before, after = line[: column - 1], line[column - 1 :]
    whole, fraction = re.search(r"(\d+)\s*,\s*$", before), re.match(r"\d+", after)
    return f"write {whole[1]}.{fraction[0]}: decimals take a point" if whole and fraction else ""
