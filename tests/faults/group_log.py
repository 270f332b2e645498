"""Reads the brokers' own log of groups, `__consumer_offsets`, in which every commit of an offset stands."""

import struct
from datetime import UTC, datetime
from typing import Final, NamedTuple

from confluent_kafka import Message

_OFFSET_KEYS: Final = (0, 1)
_WITH_EPOCH: Final = 3
"""From this version of a value on, the leader's epoch follows the offset."""
_COMPACT: Final = 4
"""From this version of a value on, a text's length is one more than it is, as a varint."""


class Commit(NamedTuple):
    """One offset committed, or taken away where `offset` is None."""

    place: int
    at_ms: int
    group: str
    partition: str
    offset: int | None
    metadata: str
    is_aborted: bool = False

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.at_ms / 1000, UTC).time().isoformat("milliseconds")
        fate = " not committed" if self.is_aborted else ""
        return f"{at} {self.group} {self.partition} -> {self.offset} {self.metadata}{fate}"


def commit_of(message: Message) -> Commit | None:
    """None for records of other kinds."""
    key, value = message.key(), message.value()
    if not isinstance(key, bytes) or struct.unpack_from(">h", key)[0] not in _OFFSET_KEYS:
        return None
    group, at = _text(key, 2)
    topic, at = _text(key, at)
    partition = f"{topic}/{struct.unpack_from('>i', key, at)[0]}"
    offset, metadata = _value(value) if isinstance(value, bytes) else (None, "")
    return Commit(message.offset() or 0, message.timestamp()[1], group, partition, offset, metadata)


def _value(value: bytes) -> tuple[int, str]:
    version, offset = struct.unpack_from(">hq", value)
    at = 14 if version >= _WITH_EPOCH else 10
    metadata = _compact(value, at) if version >= _COMPACT else _text(value, at)[0]
    # The client sends the text with the byte that ends it in C.
    return offset, metadata.removesuffix("\0")


def _compact(data: bytes, at: int) -> str:
    length, shift = 0, 0
    while True:
        length |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return data[at : at + length - 1].decode(errors="replace")


def _text(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">h", data, at)
    return data[at + 2 : at + 2 + length].decode(errors="replace"), at + 2 + length
