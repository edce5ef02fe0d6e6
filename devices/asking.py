"""What a meter is asked about itself: who it is, and what its clock shows. An absent answer and a lost one differ."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo

from devices import profiles
from devices.errors import DecodeError
from devices.meters import MeterIdentity, named
from devices.profiles import date_time
from devices.transport import Link, RadioError, Silent

log = logging.getLogger(__name__)

MANUFACTURER, MODEL, SERIAL, FIRMWARE, BATTERY = "2a29", "2a24", "2a25", "2a26", "2a19"
# A&D and Roche put Date Time into their own service; others have the Current Time Service.
CLOCKS = {"2a08": date_time.encode_date_time, "2a2b": date_time.encode_current_time}
CLOCK_SET_ABOVE_S = 60


@dataclass(frozen=True)
class ClockTold:
    """How far a meter's clock is behind ours, in seconds; None when it has none or shows none. `is_answered` is False
    when it may have one that was not heard.
    """

    offset_s: int | None
    is_answered: bool = True

    @property
    def is_far_off(self) -> bool:
        """Whether the clock is worth setting."""
        return self.offset_s is not None and abs(self.offset_s) > CLOCK_SET_ABOVE_S


def parse_clock(characteristic: str, raw: bytes) -> datetime | None:
    """Return the meter's wall clock, or None when it shows no whole date."""
    try:
        shown = profiles.decode(characteristic, raw)["datetime"]
    except DecodeError:
        return None
    return datetime.fromisoformat(shown) if shown else None


async def read_clock(link: Link, now: Callable[[], datetime], zone: tzinfo) -> ClockTold:
    """Return what the meter's clock shows. Raises RadioError when the link is lost."""
    is_answered = True
    for characteristic in CLOCKS:
        try:
            shown = parse_clock(characteristic, await read_quietly(link, characteristic) or b"")
        except Silent:
            is_answered = False
            continue
        if shown is not None:
            return ClockTold(round((now().astimezone(zone) - shown.replace(tzinfo=zone)).total_seconds()))
    return ClockTold(None, is_answered)


async def set_clock(link: Link, shown: datetime) -> bool:
    """Set the meter's clock to a wall clock's time; say whether it took it."""
    for characteristic, encode in CLOCKS.items():
        if link.offers(characteristic):
            try:
                await link.write(characteristic, encode(shown))
                return True
            except RadioError:
                log.info("a meter does not let its clock be set")
    return False


async def read_serial(link: Link) -> tuple[str | None, bool]:
    """Return the serial number, None when the meter tells none; and whether that is the meter's own word. Raises
    RadioError when the link is lost.
    """
    try:
        return named(_text(await read_quietly(link, SERIAL))), True
    except Silent:
        return None, False


async def read_identity(link: Link, advertised: str, serial: str | None) -> MeterIdentity:
    """Return who the meter says it is; one that tells no model is known by the name it shows itself with."""
    manufacturer, model, firmware = [_text(await _or_none(link, name)) for name in (MANUFACTURER, MODEL, FIRMWARE)]
    return MeterIdentity(named(manufacturer), named(model) or advertised or None, serial, firmware)


async def read_battery(link: Link) -> int | None:
    """Return how full the battery is, in per cent; many meters do not tell."""
    told = await _or_none(link, BATTERY)
    return told[0] if told else None


async def read_quietly(link: Link, characteristic: str) -> bytes | None:
    """Return a value, or None when the meter will not give it. Raises Silent when no answer came, RadioError when the
    link is lost.
    """
    try:
        return await link.read(characteristic)
    except Silent:
        raise
    except RadioError:
        if link.lost.is_set():
            raise
        return None


async def _or_none(link: Link, characteristic: str) -> bytes | None:
    try:
        return await read_quietly(link, characteristic)
    except Silent:
        if link.lost.is_set():
            raise
        return None


def _text(value: bytes | None) -> str | None:
    return value.decode("utf-8", "replace").replace("\0", " ").strip() or None if value else None
