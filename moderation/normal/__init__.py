"""Normal forms: one spelling for every meaning, for values of events and entries of lists alike.

Each kind of value has one function that gives its normal form, or `Incomparable` with the reason. All are
pure, idempotent and never raise. A value without a normal form is never compared as if it had one: where a client's
list or rule needs it, the engine answers review.
"""

from moderation.normal.categories import categories, declares_politics, political_categories
from moderation.normal.context import NormalContext, normal
from moderation.normal.countries import country
from moderation.normal.hosts import domain, domains
from moderation.normal.pages import Page, page, page_key
from moderation.normal.result import Incomparable, Normal
from moderation.normal.text import identifier, visible

__all__ = [
    "Incomparable",
    "Normal",
    "NormalContext",
    "Page",
    "categories",
    "country",
    "declares_politics",
    "domain",
    "domains",
    "identifier",
    "normal",
    "page",
    "page_key",
    "political_categories",
    "visible",
]
