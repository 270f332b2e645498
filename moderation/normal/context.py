"""An event's ad-tech facts as they are compared: every value once, in its normal form.

`problems` has each field without a normal form, with the reason. The event itself keeps the sent values.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from moderation.events import AdContext
from moderation.normal.categories import DEFAULT_CATTAX, categories, declares_politics
from moderation.normal.countries import country
from moderation.normal.hosts import domains
from moderation.normal.pages import Page, page
from moderation.normal.result import Incomparable, Normal
from moderation.normal.text import identifier

IDS: Final = ("crid", "seat", "campaign", "deal")
_NO_PROBLEMS: Final[Mapping[str, str]] = {}
_NONE_UNLISTED: Final[Mapping[str, int]] = {"adomain": 0, "domain": 0}


class NormalContext(NamedTuple):
    """Normal forms of an `AdContext`; empty where a value is absent or not comparable.

    adomain, domain: what lists compare; `domain` is the page's host where the event names no other.
    own_domain:      the publisher's domains that the event itself names.
    unlisted:        values of `adomain` and `domain` that are not comparable, by field: no list knows them.
    political:       whether a declared category means politics, or why that is unknown.
    problems:        field → why it cannot be compared.
    """

    crid: str
    seat: str
    campaign: str
    deal: str
    adomain: tuple[str, ...]
    domain: tuple[str, ...]
    own_domain: tuple[str, ...]
    page: Page | None
    country: str | None
    cattax: int | None
    cat: tuple[str, ...]
    political: bool | Incomparable
    unlisted: Mapping[str, int]
    problems: Mapping[str, str]


def normal(context: AdContext) -> NormalContext:
    """Never raises. Costs a dictionary look-up per value that was seen before."""
    problems: dict[str, str] = {}
    crid, seat, campaign, deal = (_id(name, getattr(context, name), problems) for name in IDS)
    where = _noted("country", country(context.country), problems) if context.country else ""
    named = _page(context, problems)
    adomain, lost_adomain = _domains("adomain", context.adomain, problems)
    own, lost_own = _domains("domain", (context.domain,) if context.domain else (), problems)
    domain, lost_domain = _publisher(own, lost_own, named, problems)
    cat = categories(context.cat) if context.cat else ()
    political = declares_politics(context.cattax, cat) if cat else False
    if isinstance(political, Incomparable):
        problems["cat"] = political.reason
    return NormalContext(
        crid=crid,
        seat=seat,
        campaign=campaign,
        deal=deal,
        adomain=adomain,
        domain=domain,
        own_domain=own,
        page=named,
        country=where or None,
        cattax=DEFAULT_CATTAX if cat and context.cattax is None else context.cattax,
        cat=cat,
        political=political,
        unlisted={"adomain": lost_adomain, "domain": lost_domain} if lost_adomain or lost_domain else _NONE_UNLISTED,
        problems=problems or _NO_PROBLEMS,
    )


def _id(name: str, value: str | None, problems: dict[str, str]) -> str:
    return _noted(name, identifier(value), problems) if value else ""


def _noted(name: str, found: Normal, problems: dict[str, str]) -> str:
    if isinstance(found, Incomparable):
        problems[name] = found.reason
        return ""
    return found


def _page(context: AdContext, problems: dict[str, str]) -> Page | None:
    found = page(context.page_url) if context.page_url else None
    if isinstance(found, Incomparable):
        problems["page_url"] = found.reason
        return None
    return found


def _domains(name: str, values: tuple[str, ...], problems: dict[str, str]) -> tuple[tuple[str, ...], int]:
    """The comparable ones, each once, and how many others there are."""
    if not values:
        return (), 0
    found: dict[str, None] = {}
    lost = 0
    for value in values:
        for each in domains(value):
            if isinstance(each, Incomparable):
                problems.setdefault(name, each.reason)
                lost += 1
            else:
                found[each] = None
    return tuple(found), lost


def _publisher(
    own: tuple[str, ...], lost: int, named: Page | None, problems: dict[str, str]
) -> tuple[tuple[str, ...], int]:
    """The publisher's domains; the page's host replaces a domain that is absent or empty."""
    if own:
        return own, lost
    if named:
        problems.pop("domain", None)
        return (named.host,), 0
    if not lost and "page_url" in problems:
        problems["domain"] = problems["page_url"]
        return (), 1
    return (), lost
