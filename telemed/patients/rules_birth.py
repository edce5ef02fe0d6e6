"""When somebody was born: a day, or only the year. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from telemed.rules_typed import BETWEEN, OF_YEAR, WIDE, read_day, tidy

# A year alone, also as lists write it whose day and month nobody knows: 00.00.1948.
_UNKNOWN = r"(?:00?|\?\??|--|__|xx|хх)"
YEAR = re.compile(rf"(?:{_UNKNOWN}(?:{BETWEEN})){{0,2}}([0-9]{{4}}){OF_YEAR}[.,;]?", re.IGNORECASE)
YEAR_FIRST = re.compile(rf"([0-9]{{4}})(?:(?:{BETWEEN}){_UNKNOWN}){{1,2}}", re.IGNORECASE)


@dataclass(frozen=True)
class Birth:
    """A birth date; `day` is None where only the year is known."""

    year: int
    day: date | None = None

    @classmethod
    def on(cls, day: date) -> Birth:
        """Return the birth on a day."""
        return cls(day.year, day)

    @classmethod
    def of(cls, stored: str) -> Birth:
        """Return the birth that `isoformat` wrote. Raises ValueError."""
        return cls(int(stored)) if re.fullmatch(r"[0-9]{4}", stored) else cls.on(date.fromisoformat(stored))

    def isoformat(self) -> str:
        """Return it as it is stored: 1948-03-08, or 1948."""
        return self.day.isoformat() if self.day else f"{self.year:04d}"

    def may_be(self, other: Birth) -> bool:
        """Tell whether both may be the same: equal days, or one year where either knows no more."""
        return self.year == other.year and (self.day is None or other.day is None or self.day == other.day)

    def __str__(self) -> str:
        return f"{self.day:%d.%m.%Y}" if self.day else str(self.year)


def read_birth(text: str) -> Birth:
    """Return the birth of `08.03.1948`, `1948` or `00.00.1948`. Raises Unreadable as `read_day` does."""
    typed = tidy(text).translate(WIDE)
    if found := YEAR.fullmatch(typed) or YEAR_FIRST.fullmatch(typed):
        return Birth(int(found.group(1)))
    return Birth.on(read_day(text))
