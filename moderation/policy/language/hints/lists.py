"""One value where a list is meant, and a list where one value is."""

import re
from typing import Any, Final

_SIMPLE: Final = re.compile(r"[\w./@:+-]+")


def list_hint(text: str) -> str:
    """`a.example, b.example` → write [a.example, b.example]."""
    items = [item for item in re.split(r"[,;\s]+", text.strip()) if item]
    return f"write [{', '.join(map(_quoted, items))}]" if items else ""


def bare_hint(value: Any) -> str:
    """`[low]` → write low, without brackets; nothing for a mapping or several values."""
    one = value[0] if isinstance(value, list) and len(value) == 1 else None
    return f"write {_quoted(str(one))}, without brackets" if isinstance(one, str | int | float) else ""


def _quoted(item: str) -> str:
    """In the form for YAML: country codes, and texts that YAML would read as another type, get quotes."""
    bare = item.strip("\"'[]")
    is_plain = _SIMPLE.fullmatch(bare) and not re.fullmatch(r"[A-Za-z]{1,3}", bare)
    return bare if is_plain else f'"{bare}"'
