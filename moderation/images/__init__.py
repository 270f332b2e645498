"""Untrusted image bytes → checked sRGB views that a model can score.

Serving and training both read pixels here. The order is always: count the bytes, check the magic bytes, read
the size and the number of frames from the header, refuse, and only then decode.
"""

from moderation.images.limits import Limits
from moderation.images.views import PREPROCESSING, Views, single_view, views

__all__ = ["PREPROCESSING", "Limits", "Views", "single_view", "views"]
