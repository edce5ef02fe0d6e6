"""The bytes of one packet, against what its flags promise. Too few bytes are `truncated`, too many `trailing`."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any

from devices.errors import DecodeError
from devices.profiles import medfloat

Fields = tuple[Any, ...]


def unpack(layout: Struct, raw: bytes, is_trailing_allowed: bool = False) -> tuple[int, ...]:
    """Return the fields of a packet whose whole layout is known. Raises DecodeError."""
    if len(raw) == layout.size:
        return layout.unpack(raw)
    if len(raw) < layout.size:
        raise DecodeError("truncated", f"{len(raw)} of at least {layout.size} bytes")
    if not is_trailing_allowed:
        raise DecodeError("trailing", f"{len(raw) - layout.size} bytes after the last field")
    return layout.unpack_from(raw)


def filled(fields: Fields, flags: int, fixed: int, optional: Sequence[tuple[int, int]]) -> Fields:
    """Return the fields with None for each optional one that the flags do not promise. `optional` are flag and number of
    fields, in the packet's order, after the `fixed` ones.
    """
    at, found = fixed, list(fields[:fixed])
    for flag, count in optional:
        found += fields[at : at + count] if flags & flag else [None] * count
        at += count if flags & flag else 0
    return tuple(found)


class Payload:
    """A packet that is taken off from the front, for layouts that differ too much for a table."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    def take(self, count: int) -> bytes:
        """Return the next bytes. Raises DecodeError when there are not enough."""
        piece = self._raw[self._at : self._at + count]
        if len(piece) < count:
            raise DecodeError("truncated", f"{len(self._raw)} of at least {self._at + count} bytes")
        self._at += count
        return piece

    def u8(self) -> int:
        """Return the next byte."""
        return self.take(1)[0]

    def u16(self) -> int:
        """Return the next two bytes, little endian."""
        return int.from_bytes(self.take(2), "little")

    def sfloat(self) -> medfloat.Value:
        """Return the next two bytes as a number, or the name of a special one."""
        return medfloat.value_of(self.u16())

    def end(self) -> None:
        """Check that all was read. Raises DecodeError."""
        left = len(self._raw) - self._at
        if left:
            raise DecodeError("trailing", f"{left} bytes after the last field")
