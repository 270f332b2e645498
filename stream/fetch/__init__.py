"""Fetching images by URL without becoming a stranger's way into the network this runs in."""

from stream.fetch.fetcher import Fetcher, FetchLimits

__all__ = ["FetchLimits", "Fetcher"]
