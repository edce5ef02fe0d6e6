"""What a meter really sent, for the doctor who asks: the packet, whose clock said what, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from telemed.clock import parse_iso

SHOWN_RAW = 512  # characters of a packet; a longer one is no measurement


@dataclass(frozen=True)
class Truth:
    """A reading as it came. `meter_time` is what the meter's clock said, in its own words; `offset_s` how far that clock
    was behind ours; `effective_at` the corrected moment, None when nobody knows. Empty where a value was typed in.
    """

    raw: str
    characteristic: str
    unit: str
    meter: str
    serial: str
    meter_time: str
    received_at: datetime | None
    offset_s: int | None
    effective_at: datetime | None
    time_quality: str


def truth_of(record: Mapping[str, Any], time_quality: str) -> Truth:
    """Return what the sealed record of a reading says about where it came from."""
    meter = record.get("meter") or {}
    name = " ".join(part for part in (meter.get("manufacturer"), meter.get("model")) if part)
    return Truth(
        raw=_grouped(str(record.get("raw") or "")[:SHOWN_RAW]),
        characteristic=str(record.get("characteristic") or ""),
        unit=str((record.get("decoded") or {}).get("unit") or ""),
        meter=name,
        serial=str(meter.get("serial") or ""),
        meter_time=str(record.get("meter_time") or "").replace("T", " "),
        received_at=_moment(record.get("received_at")),
        offset_s=record.get("offset_s"),
        effective_at=_moment(record.get("effective_at")),
        time_quality=time_quality,
    )


def _grouped(raw: str) -> str:
    """Return hex in groups of two bytes, which a person can compare and a narrow page can break."""
    return " ".join(raw[at : at + 4] for at in range(0, len(raw), 4))


def _moment(text: Any) -> datetime | None:
    return parse_iso(text) if isinstance(text, str) and text else None
