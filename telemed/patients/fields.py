"""Fields that only a person's data need."""

from __future__ import annotations

from telemed.patients.rules_birth import Birth, read_birth
from telemed.web.forms import DayField


class BirthField(DayField):
    """A birth date, or the year alone where nobody knows more."""

    def read(self, text: str) -> Birth:  # type: ignore[override]
        return read_birth(text)

    def written(self, value: Birth) -> str:  # type: ignore[override]
        return str(value)
