"""How many packets a second the decoders read, against `struct.unpack` of the same layout over the same packets."""

from __future__ import annotations

import json
import statistics
import struct
import time
from collections.abc import Callable
from functools import partial

from bench.figure import Figure
from devices import profiles

PACKETS, TURN = 60_000, 1_000
# With every optional field, as the supported meters send them, and each packet unlike the one before.
BLOOD_PRESSURE = struct.Struct("<B3HHBBBBBHBH")
GLUCOSE = struct.Struct("<BHHBBBBBhHBH")


def figures() -> list[Figure]:
    """Return `decode_bp` and `decode_glucose`, packets a second."""
    bp = [
        BLOOD_PRESSURE.pack(0x1E, 110 + at % 90, 60 + at % 50, 80, *_moment(at), 60 + at % 60, 1, 0)
        for at in range(PACKETS)
    ]
    glucose = [GLUCOSE.pack(0x0B, at, *_moment(at), at % 120, 0xB000 | 70 + at % 250, 0x11, 0) for at in range(PACKETS)]
    return [
        _figure("decode_bp", "2a35", BLOOD_PRESSURE, bp),
        _figure("decode_glucose", "2a18", GLUCOSE, glucose),
    ]


def _moment(at: int) -> tuple[int, int, int, int, int, int]:
    return 2026, 11, 1 + at % 28, at % 24, at % 60, 0


def _figure(name: str, characteristic: str, layout: struct.Struct, packets: list[bytes]) -> Figure:
    """Return the median ratio of many short turns side by side: this machine's speed changes within a second."""
    decode = partial(profiles.decode, characteristic)
    json.dumps(decode(packets[0]), default=str)  # refuse at once what cannot be read
    ours, bare, ratios = [], [], []
    for at in range(0, PACKETS, TURN):
        bare.append(_rate(layout.unpack, packets[at : at + TURN]))
        ours.append(_rate(decode, packets[at : at + TURN]))
        ratios.append(ours[-1] / bare[-1])
    goal = "at least 1/12 = 0.083 of struct.unpack of the same layout"
    value, yardstick = statistics.median(ours), statistics.median(bare)
    return Figure(name, value, "packets a second", yardstick, statistics.median(ratios), goal)


def _rate(read: Callable[[bytes], object], packets: list[bytes]) -> float:
    begun = time.perf_counter()
    for raw in packets:
        read(raw)
    return len(packets) / (time.perf_counter() - begun)
