"""An encoder of the profiles that shares no code with the decoders: it writes what a meter would send."""

from __future__ import annotations

import struct
from datetime import datetime


def sfloat(mantissa: int, exponent: int = 0) -> bytes:
    return struct.pack("<H", ((exponent & 0xF) << 12) | (mantissa & 0xFFF))


def when(at: datetime) -> bytes:
    return struct.pack("<H5B", at.year, at.month, at.day, at.hour, at.minute, at.second)


def pressure(
    systolic: bytes, diastolic: bytes, mean: bytes, *, kpa: bool = False, at: datetime | None = None,
    pulse: bytes | None = None, user: int | None = None, status: int | None = None,
) -> bytes:  # fmt: skip
    parts = [(2, when(at) if at else None), (4, pulse), (8, None if user is None else bytes([user]))]
    parts.append((16, None if status is None else struct.pack("<H", status)))
    flags = int(kpa) + sum(bit for bit, piece in parts if piece is not None)
    return bytes([flags]) + systolic + diastolic + mean + b"".join(piece for _bit, piece in parts if piece is not None)


def glucose(
    sequence: int, at: datetime, *, offset: int | None = None, value: bytes | None = None, mol: bool = True,
    kind: int = 1, location: int = 1, status: int | None = None, context: bool = False,
) -> bytes:  # fmt: skip
    flags = (offset is not None) | (value is not None) << 1 | mol << 2 | (status is not None) << 3 | context << 4
    out = struct.pack("<BH", flags, sequence) + when(at)
    out += struct.pack("<h", offset) if offset is not None else b""
    out += value + bytes([location << 4 | kind]) if value is not None else b""
    return out + (struct.pack("<H", status) if status is not None else b"")
