"""Image decoding in processes that may die."""

from stream.decode.poison import FilePoisonList, NoPoison, PoisonList
from stream.decode.pool import DecodePool

__all__ = ["DecodePool", "FilePoisonList", "NoPoison", "PoisonList"]
