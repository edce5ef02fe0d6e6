"""Opening hours, join codes, what a status light says, how often a gateway asks. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from telemed.rules_typed import WIDE, tidy

MINSK = "Europe/Minsk"
JOIN_CODE_LIFE = timedelta(hours=24)
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # without I, O, 0, 1, which are misread
CODE_LENGTH = 12
SILENT_AFTER = timedelta(seconds=90)
TROUBLE_SHOWN = timedelta(days=1)
# Of tests/contract/gateway-status.json; any other is shown as offline.
OUTAGE_REASONS = ("offline", "server_error", "line_not_trusted", "line_hijacked")
# What a heartbeat can report; a word of a newer gateway is shown as the plainest trouble.
HEARD = (
    "joined", "ok", "no_radio", "radio_off", "disk_full", "chain_broken", "server_refuses", "clock_wrong", "pair_again",
)  # fmt: skip
POLL_DEMO_VISIT_S, POLL_OPEN_S, POLL_CLOSED_S = 0.5, 2.0, 10.0
PAIRED_SHOWN = timedelta(minutes=1)  # so long a pairing is news
BATTERY_LOW_PCT = 20
METER_CLOCK_OFF_S = 120  # above it the times of a meter's readings are corrected and the clerk is told
UNSEEN_DAYS = 3  # opening days; so long nobody may have measured, afterwards somebody must look
# What a gateway says of a meter that it does not get at, or not wholly; a word of a newer one is shown as the first.
TROUBLES = ("cannot_be_read", "other_meter", "records_missing")
UNHEARD = (*TROUBLES, "unseen_for_days", "unseen_this_morning")
REMARKS = (*UNHEARD, "battery_low", "strips_expired", "calibration_overdue", "meter_clock_wrong")


def country_of(zone: str) -> str:
    """Return the country of a region by its zone: Belarus has one of its own."""
    return "BY" if zone == MINSK else "RU"


def is_open_at(hours: Mapping[str, Sequence[str]], zone: str, moment: datetime) -> bool:
    """Tell whether a branch is open at a moment; hours are in its own zone, keyed "1" (Monday) to "7"."""
    there = moment.astimezone(ZoneInfo(zone))
    span = hours.get(str(there.isoweekday()))
    if not span:
        return False
    return time.fromisoformat(span[0]) <= there.time() < time.fromisoformat(span[1])


def open_days_since(hours: Mapping[str, Sequence[str]], zone: str, seen_at: datetime, now: datetime) -> int:
    """Return on how many of a branch's opening days after that of `seen_at` it has opened until now."""
    there = now.astimezone(ZoneInfo(zone))
    day, found = seen_at.astimezone(ZoneInfo(zone)).date(), 0
    while day < there.date() and found < UNSEEN_DAYS:
        day += timedelta(days=1)
        span = hours.get(str(day.isoweekday()))
        if span and (day < there.date() or time.fromisoformat(span[0]) <= there.time()):
            found += 1
    return found


def silence(
    seen_at: datetime, checked_at: datetime | None, hours: Mapping[str, Sequence[str]], zone: str, now: datetime
) -> str | None:
    """Return what is to be told of a meter seen last at `seen_at`: it must not pass for one with nothing to say.
    `checked_at`: when this day's morning check ended.
    """
    if open_days_since(hours, zone, seen_at, now) >= UNSEEN_DAYS:
        return "unseen_for_days"
    there = ZoneInfo(zone)
    is_missed = checked_at is not None and seen_at.astimezone(there).date() < checked_at.astimezone(there).date()
    return "unseen_this_morning" if is_missed else None


def spelled(code: str) -> str:
    """Return a join code in groups of four."""
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4))


def light(status: str, last_seen_at: datetime | None, now: datetime) -> str:
    """Return the one word of the gateway's light: ok, silent, or the problem it reports."""
    if last_seen_at is None or now - last_seen_at > SILENT_AFTER:
        return "silent"
    return status if status in HEARD else "server_refuses"


def outage_reason(code: str) -> str:
    """Return why a gateway was without the server, in a word that has its sentence."""
    return code if code in OUTAGE_REASONS else "offline"


def is_worth_showing(at: datetime, now: datetime) -> bool:
    """Tell whether the end of an outage, or a packet that nobody could read, is recent enough to matter to the clerk."""
    return now - at < TROUBLE_SHOWN


def next_poll_s(*, visit_is_open: bool, branch_is_open: bool, demo: bool) -> float:
    """Return after how many seconds the gateway asks again."""
    if visit_is_open and demo:
        return POLL_DEMO_VISIT_S
    return POLL_OPEN_S if visit_is_open or branch_is_open else POLL_CLOSED_S


def passkey_of(typed: str) -> str:
    """Return a passkey as it is typed off a display: without blanks and dashes, wide figures as plain ones."""
    return re.sub(r"[\s\-\u2010-\u2015\u2212]", "", tidy(typed).translate(WIDE))


def is_passkey(digits: str) -> bool:
    """Tell whether these are the six digits with which a meter pairs."""
    return len(digits) == 6 and digits.isascii() and digits.isdigit()


def is_just_paired(enrolment: str | None, paired_at: datetime | None, now: datetime) -> bool:
    """Tell whether the clerk is to be told that a meter is paired."""
    return enrolment == "enrolled" and paired_at is not None and now - paired_at < PAIRED_SHOWN


def meter_remarks(
    battery_pct: int | None, drift_s: int | None, calibration_due_on: date | None, strips_expire_on: date | None,
    today: date, unheard: Collection[str | None] = (),
) -> tuple[str, ...]:  # fmt: skip
    """Return what a clerk is told about a meter, one line each; most meters say nothing of their battery. `unheard`: what
    keeps its readings from coming.
    """
    found = {
        **{code: code in unheard for code in UNHEARD},
        "battery_low": battery_pct is not None and battery_pct < BATTERY_LOW_PCT,
        "strips_expired": strips_expire_on is not None and strips_expire_on < today,
        "calibration_overdue": calibration_due_on is not None and calibration_due_on < today,
        "meter_clock_wrong": drift_s is not None and abs(drift_s) > METER_CLOCK_OFF_S,
    }
    return tuple(code for code in REMARKS if found[code])
