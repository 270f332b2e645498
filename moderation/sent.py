"""Values as producers send them, taken where their meaning is certain and refused with the remedy where not.

Nothing here changes how a value is spelled: an event carries what was sent, so that its producer can join by
it. Only people's data is removed: query strings, fragments and credentials of URLs.
"""

import json
import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

_EXACT: Final = 2**53
"""Whole numbers below are exact in every JSON library; others may have lost digits on the way."""
_COUNTRY_KEPT: Final = 80
"""Characters of a country: a longer value names none."""
_CREDENTIALS: Final = re.compile(r"^((?:[a-z][a-z0-9+.\-]*:(?=[\\/])|https?:)?[\\/]*)[^/\\?#]*@", re.IGNORECASE)
_QUERY: Final = re.compile(r"[?#].*", re.DOTALL)
SEPARATORS: Final = r",;|\s，；｜、﹐﹔"
"""Between values that were joined in one text, for a class of a regular expression."""
_JOINED_QUERY: Final = re.compile(
    rf"[?#].*?(?=$|[{SEPARATORS}](?:[a-z][a-z0-9+.\-]*:)?//"
    rf"|[{SEPARATORS}][\w\-]+(?:\.[\w\-]+)+(?:[:/{SEPARATORS}]|$))",
    re.IGNORECASE | re.DOTALL,
)
"""Of one domain in a joined list: up to what can only be the next domain."""
_JOINED_CREDENTIALS: Final = re.compile(rf"(?:^|(?<=//)|(?<=[{SEPARATORS}]))[^/\\@{SEPARATORS}?#]*@")


def _refused(message: str) -> PydanticCustomError:
    return PydanticCustomError("as_sent", "{message}", {"message": message})


def text_of(value: Any) -> Any:
    """Ids of whole numbers as their digits; 7 and 7.0 are one number in JSON."""
    if isinstance(value, bool):
        raise _refused("a boolean is no id: send text, in quotes")
    if not isinstance(value, int | float):
        return value
    if isinstance(value, float) and not value.is_integer():
        raise _refused("a number with a fraction is no id: send the id as text, in quotes")
    if abs(value) >= _EXACT:
        raise _refused("a number of so many digits may have lost some: send the id as text, in quotes")
    return str(int(value))


def single(value: Any) -> Any:
    """A list of one value stands for the value, and an empty list for none."""
    if isinstance(value, list | tuple) and len(value) <= 1:
        return value[0] if value else None
    return value


def single_id(value: Any) -> Any:
    return text_of(single(value))


def listed(value: Any) -> Any:
    """`null` is an empty list, and one value is a list of one; `null` entries are dropped."""
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return _written_list(value) if value.lstrip().startswith("[") else (value,)
    if isinstance(value, list | tuple):
        return tuple(each for each in value if each is not None)
    return (value,) if isinstance(value, int | float) else value


def _written_list(text: str) -> Any:
    """A list that was written to JSON twice."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return (text,)
    return tuple(each for each in found if each is not None) if isinstance(found, list) else (text,)


def without_private_parts(url: Any) -> Any:
    """Query strings, fragments and credentials carry people's data and are removed here (GDPR)."""
    url = single(url)
    if not isinstance(url, str):
        return url
    return _CREDENTIALS.sub(r"\1", _QUERY.sub("", url)) or _nothing_left(url)


def domain_without_private_parts(value: Any) -> Any:
    """As above, of a domain that was sent as a URL, or of several that were joined.

    The number of an app stands where apps have no domain: it is kept, and names none.
    """
    value = single_id(value)
    if not isinstance(value, str) or not any(mark in value for mark in "?#@"):
        return value
    return _JOINED_CREDENTIALS.sub("", _JOINED_QUERY.sub("", value)) or _nothing_left(value)


def _nothing_left(value: str) -> str:
    """A mark that something was sent: nothing at all would read as absent."""
    return "?" if value.strip() else ""


def country_text(value: Any) -> Any:
    """Any value of a country is kept, and may name none."""
    value = single(value)
    return value if value is None else str(value)[:_COUNTRY_KEPT]


def empty_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def flag(value: Any) -> Any:
    """`true`, `yes`, `1` and `false`, `no`, `0`, as text too."""
    value = single(value)
    return empty_is_none(value.strip().lower() if isinstance(value, str) else value)


def whole_number(value: Any) -> Any:
    value = single(value)
    return empty_is_none(value.strip() if isinstance(value, str) else value)


def lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def given_id(value: Any) -> Any:
    """An id that its sender can find again."""
    value = text_of(value)
    if isinstance(value, str) and not value.strip():
        raise _refused("is blank: give every event an id of its own")
    return value


SentId = Annotated[str | None, BeforeValidator(single_id)]
SentNames = Annotated[tuple[Annotated[str, BeforeValidator(text_of)], ...], BeforeValidator(listed)]
SentUrl = Annotated[str | None, BeforeValidator(without_private_parts)]
SentDomain = Annotated[str | None, BeforeValidator(domain_without_private_parts)]
SentDomains = Annotated[
    tuple[Annotated[str, BeforeValidator(domain_without_private_parts)], ...], BeforeValidator(listed)
]
SentCountry = Annotated[str | None, BeforeValidator(country_text)]
SentFlag = Annotated[bool | None, BeforeValidator(flag)]
SentCount = Annotated[Annotated[int, Field(ge=0)] | None, BeforeValidator(whole_number)]
SentNumber = Annotated[int | None, BeforeValidator(whole_number)]
