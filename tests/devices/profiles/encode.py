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


def beurer(systolic: int, diastolic: int, at: datetime, pulse: int, user: int, status: int) -> bytes:
    head = b"\x56" + struct.pack("<HHH", systolic, diastolic, 0) + when(at)
    return head + struct.pack(">H", pulse) + bytes([user]) + struct.pack(">H", status)


def context(
    sequence: int, *, extended: int | None = None, carbohydrate: tuple[int, bytes] | None = None,
    meal: int | None = None, tester_health: int | None = None, exercise: tuple[int, int] | None = None,
    medication: tuple[int, bytes] | None = None, litres: bool = False, hba1c: bytes | None = None,
) -> bytes:  # fmt: skip
    parts = [
        (0x80, None if extended is None else bytes([extended])),
        (0x01, None if carbohydrate is None else bytes([carbohydrate[0]]) + carbohydrate[1]),
        (0x02, None if meal is None else bytes([meal])),
        (0x04, None if tester_health is None else bytes([tester_health])),
        (0x08, None if exercise is None else struct.pack("<HB", *exercise)),
        (0x10, None if medication is None else bytes([medication[0]]) + medication[1]),
        (0x40, hba1c),
    ]
    flags = sum(bit for bit, piece in parts if piece is not None) | (0x20 if litres else 0)
    return struct.pack("<BH", flags, sequence) + b"".join(piece for _bit, piece in parts if piece is not None)
