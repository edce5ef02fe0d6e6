"""Days, hours and numbers as people type them: any usual separator, blanks around, eight or four figures in a row where
a telephone's number keys offer no dot. Never a guess: what could be read in two ways is refused with a code. Pure.
"""

from __future__ import annotations

import re
from datetime import date, time
from decimal import Decimal

UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))  # what pasting brings
WIDE = {0xFF01 + place: 0x21 + place for place in range(94)}  # the wide figures and signs of some keyboards
# `ю` and `б` are the keys of dot and comma under a Russian keyboard
BETWEEN = r"\s*[.,;/\\\-\u2010-\u2015\u2212:_юб]\s*|\s+"
# What stands behind a year: `1941 г.`, `1941 г.р.`, `1941 года рождения`, in Belarusian `г.н.`, `года нараджэння`
OF_YEAR = r"\s*(?:г\.?\s?[рн]\.?|(?:год|года|г\.?)(?:\s(?:рождения|нараджэння))?)?"
DAY_FIRST = re.compile(rf"(\d{{1,2}})(?:{BETWEEN})(\d{{1,2}})(?:{BETWEEN})(\d{{1,4}}){OF_YEAR}[.,;]?", re.ASCII)
YEAR_FIRST = re.compile(rf"(\d{{4}})(?:{BETWEEN})(\d{{1,2}})(?:{BETWEEN})(\d{{1,2}})[.,;]?", re.ASCII)
FIGURES = re.compile(rf"(\d{{2}})(\d{{2}})(\d{{4}}){OF_YEAR}[.,;]?", re.ASCII)
OF_HOUR = r"\s*(?:ч|час|часов|г|гадз|гадзін|h)\.?\s*"
HOUR = re.compile(
    rf"(\d{{1,2}})(?:{OF_HOUR}|{BETWEEN})(\d{{2}})(?:\s*(?:мин|хв|м)\.?)?|(\d{{1,2}})(\d{{2}})", re.ASCII
)
WHOLE = re.compile(r"[-+]?(?:\d+|\d{1,3}(?: \d{3})+)", re.ASCII)
DECIMAL = re.compile(r"[-+]?\d+(?:[.,юб]\d+)?", re.ASCII)


class Unreadable(ValueError):
    """What was typed is no day, hour or number. `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def tidy(text: str) -> str:
    """Return a typed word without blanks around it and without characters that nobody sees; every blank is a plain one."""
    return re.sub(r"\s", " ", text.translate(UNSEEN)).strip()


def read_day(text: str) -> date:
    """Return the day of `05.03.1941`, `5,3,1941`, `05-03-1941`, `05 03 1941`, `05031941`, `1941-03-05`. Raises
    Unreadable: a year of two figures could be of this century or the last, so it is asked for.
    """
    typed = _plain(text)
    if found := YEAR_FIRST.fullmatch(typed):
        year, month, day = found.groups()
    elif found := DAY_FIRST.fullmatch(typed) or FIGURES.fullmatch(typed):
        day, month, year = found.groups()
    else:
        raise Unreadable("not_a_date")
    if len(year) != 4:
        raise Unreadable("year_short" if _may_be(day, month) else "not_a_date")
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        raise Unreadable("not_a_date") from None


def why_no_day(text: str) -> str:
    """Return the code of what is wrong with a day that could not be read."""
    try:
        read_day(text)
    except Unreadable as error:
        return error.code
    return "not_a_date"


def read_hour(text: str) -> time:
    """Return the hour of `08:30`, `8.30`, `08,30`, `8-30`, `8 30`, `0830`. Raises Unreadable."""
    found = HOUR.fullmatch(_plain(text))
    if found is None:
        raise Unreadable("not_an_hour")
    hour, minute = (part for part in found.groups() if part is not None)
    try:
        return time(int(hour), int(minute))
    except ValueError:
        raise Unreadable("not_an_hour") from None


def read_whole(text: str) -> int:
    """Return a whole number; figures may stand in groups of three. Raises Unreadable."""
    typed = _plain(text).replace("\u2212", "-")
    if not WHOLE.fullmatch(typed) or len(typed) > 12:
        raise Unreadable("not_a_number")
    return int(typed.replace(" ", ""))


def read_decimal(text: str) -> Decimal:
    """Return a number with a comma or a dot. Raises Unreadable, also for what only a program writes (1e3, NaN)."""
    typed = _plain(text).replace("\u2212", "-")
    if not DECIMAL.fullmatch(typed) or len(typed) > 12:
        raise Unreadable("not_a_number")
    return Decimal(re.sub("[,юб]", ".", typed))


def _plain(text: str) -> str:
    """Return a typed word small, with single blanks and with plain figures for wide ones."""
    return re.sub(r"\s+", " ", tidy(text).translate(WIDE).lower())


def _may_be(day: str, month: str) -> bool:
    return 1 <= int(day) <= 31 and 1 <= int(month) <= 12
