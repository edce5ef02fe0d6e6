"""Is a branch ready for the day's patients? Pure: what was seen in the morning in, a verdict with its reasons out.

    ready        everybody may come
    no_video     everybody may come who need not be seen: the talk goes by voice and photographs, or by telephone
    not_ready    nobody's pressure can be measured and trusted: the day's patients are told before they set out

A check-up without a blood pressure is none. Without blood sugar it still is one: then the day goes on, and says so.
What nobody looked at is never good.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from telemed.branches.rules import BATTERY_LOW_PCT

STEPS = ("camera", "sound", "line", "meters")  # what the clerk is led through
CHECKS = ("camera", "sound", "line", "meters", "battery", "strips", "calibration")  # what is kept of it
OVER_MIDNIGHT = timedelta(hours=1)  # a branch may work by night: so long what was found before midnight counts after it
PERSONS_ANSWERS = ("works", "missing")  # of camera and sound, which only a person can judge
# What each check may say; the line says its class, or unmeasured.
OUTCOMES = {
    "camera": PERSONS_ANSWERS,
    "sound": PERSONS_ANSWERS,
    "meters": ("seen", "glucose_silent", "pressure_silent", "no_gateway", "no_meters"),
    "battery": ("full", "low", "unknown"),
    "strips": ("in_date", "ends_soon", "expired", "unknown", "not_needed"),
    "calibration": ("in_date", "ends_soon", "glucose_overdue", "pressure_overdue", "unknown"),
}
ENDS_SOON = timedelta(days=14)
LINE_KEPT = timedelta(minutes=15)  # a line measured so short a time ago is not measured again

# From the worst reason to the least.
STOPS = (
    ("meters", "no_gateway"),
    ("meters", "no_meters"),
    ("meters", "pressure_silent"),
    ("calibration", "pressure_overdue"),
)
WITHOUT_VIDEO = (
    ("camera", "missing"),
    ("sound", "missing"),
    ("line", "telephone"),
    ("line", "voice_photos"),
    ("line", "unmeasured"),
)
REMARKS = (
    ("meters", "glucose_silent"),
    ("calibration", "glucose_overdue"),
    ("strips", "expired"),
    ("battery", "low"),
    ("strips", "unknown"),
    ("calibration", "unknown"),
    ("strips", "ends_soon"),
    ("calibration", "ends_soon"),
)
VERDICTS = ("ready", "no_video", "not_ready")
Reason = tuple[str, str]


@dataclass(frozen=True)
class Meter:
    """What is known of a meter in the morning. Days are the branch's; None is unknown."""

    kind: str
    seen_on: date | None
    battery_pct: int | None
    strips_expire_on: date | None
    calibration_due_on: date | None


@dataclass(frozen=True)
class Verdict:
    """The day's word and its reasons as (check, outcome), the worst first."""

    word: str
    reasons: tuple[Reason, ...]


def judge(outcomes: Mapping[str, str]) -> Verdict:
    """Return whether the day's patients may come. A check without an outcome counts as its worst."""
    said = {check: outcomes.get(check) or WORST[check] for check in CHECKS}
    reasons = tuple(reason for reason in (*STOPS, *WITHOUT_VIDEO, *REMARKS) if said[reason[0]] == reason[1])
    if any(reason in STOPS for reason in reasons):
        return Verdict("not_ready", reasons)
    return Verdict("no_video" if any(reason in WITHOUT_VIDEO for reason in reasons) else "ready", reasons)


WORST = {
    "camera": "missing", "sound": "missing", "line": "unmeasured", "meters": "no_gateway", "battery": "unknown",
    "strips": "unknown", "calibration": "unknown",
}  # fmt: skip


# --- the meters ---------------------------------------------------------------------------------------------------


def meter_outcomes(meters: Sequence[Meter], *, gateway_is_there: bool, today: date) -> dict[str, str]:
    """Return the outcomes of meters, battery, strips and calibration."""
    return {
        "meters": _seen(meters, today, gateway_is_there=gateway_is_there),
        "battery": _battery(meters),
        "strips": _strips([one.strips_expire_on for one in meters if one.kind == "glucose"], today),
        "calibration": _calibration(meters, today),
    }


def _seen(meters: Sequence[Meter], today: date, *, gateway_is_there: bool) -> str:
    if not any(one.kind == "blood_pressure" for one in meters):
        return "no_meters"
    if not gateway_is_there:
        return "no_gateway"
    silent = {one.kind for one in meters} - {one.kind for one in meters if one.seen_on == today}
    if "blood_pressure" in silent:
        return "pressure_silent"
    return "glucose_silent" if silent else "seen"


def _battery(meters: Iterable[Meter]) -> str:
    """Many meters say nothing of their battery; that is normal."""
    known = [one.battery_pct for one in meters if one.battery_pct is not None]
    if not known:
        return "unknown"
    return "low" if min(known) < BATTERY_LOW_PCT else "full"


def _strips(days: Sequence[date | None], today: date) -> str:
    """Strips may be used through the day that is printed on the tin. The tin that lasts longest counts."""
    if not days:
        return "not_needed"
    known = [day for day in days if day is not None]
    return in_date(max(known), today) if known else "unknown"


def _calibration(meters: Sequence[Meter], today: date) -> str:
    """Among the meters of a kind the one with the longest date counts: it is there to be used."""
    dates = {}
    for kind in {one.kind for one in meters}:
        days = [one.calibration_due_on for one in meters if one.kind == kind and one.calibration_due_on is not None]
        dates[kind] = in_date(max(days), today) if days else "unknown"
    for kind, code in (("blood_pressure", "pressure_overdue"), ("glucose", "glucose_overdue")):
        if dates.get(kind) == "expired":
            return code
    return next((word for word in ("unknown", "ends_soon") if word in dates.values()), "in_date")


def in_date(last_day: date | None, today: date) -> str:
    """Return in_date, ends_soon, expired or unknown."""
    if last_day is None:
        return "unknown"
    if last_day < today:
        return "expired"
    return "ends_soon" if last_day - today <= ENDS_SOON else "in_date"


# --- when ---------------------------------------------------------------------------------------------------------


def day_of(zone: str, moment: datetime) -> date:
    """Return the branch's day."""
    return moment.astimezone(ZoneInfo(zone)).date()


def seen_on(zone: str, moment: datetime | None, now: datetime) -> date | None:
    """Return on which day a meter was seen; who was seen before midnight is still there just after it."""
    if moment is None:
        return None
    return day_of(zone, now if now - moment < OVER_MIDNIGHT else moment)


def when_due(hours: Mapping[str, Sequence[str]], zone: str, now: datetime) -> str:
    """Return what a morning check not yet made is: early (before opening), due, or closed (no day, or it is over)."""
    there = now.astimezone(ZoneInfo(zone))
    span = hours.get(str(there.isoweekday()))
    if not span or there.time() >= time.fromisoformat(span[1]):
        return "closed"
    return "due" if there.time() >= time.fromisoformat(span[0]) else "early"


def is_line_fresh(checked_at: datetime | None, now: datetime) -> bool:
    """Tell whether the line was measured so short a time ago that its result still holds."""
    return checked_at is not None and now - checked_at <= LINE_KEPT
