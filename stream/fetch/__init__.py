"""Fetching images by URL, guarded against requests into the internal network."""

from stream.fetch.fetcher import Fetcher, FetchLimits

__all__ = ["FetchLimits", "Fetcher"]
