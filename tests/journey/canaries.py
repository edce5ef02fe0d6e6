"""Random strings that go into the protected fields, remembered, so that they can be looked for where they must not be.

Each keeps to the rules of its field: names are letters, numbers carry right check digits and belong to nobody.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta

from stdnum import luhn

LETTERS = "абвгдежзиклмнопрстуфхчшэюя"
LATIN = "abcdefghijkmnopqrstuvwxyz0123456789"


@dataclass
class Canaries:
    """Makes protected strings and keeps every one. The chance is the system's, so that no two runs share a string."""

    chance: random.Random = field(default_factory=random.SystemRandom)
    protected: list[str] = field(default_factory=list)
    fleeting: list[str] = field(default_factory=list)  # of these the product keeps a hash, or nothing

    def keep(self, text: str) -> str:
        """Remember a string that went into a sealed field, and return it."""
        if text not in self.protected:
            self.protected.append(text)
        return text

    def name(self) -> str:
        """Return a name of 14 letters."""
        return self.keep("".join(self.chance.choices(LETTERS, k=14)).capitalize())

    def words(self, about: str = "") -> str:
        """Return a text with 20 random characters in it."""
        return self.keep(f"{about} {''.join(self.chance.choices(LATIN, k=20))}".strip())

    def refused(self, text: str = "") -> str:
        """Return a text (by default a random one) that will be refused, so that nothing may keep it."""
        text = text or "".join(self.chance.choices(LATIN, k=24))
        self.fleeting.append(text)
        return text

    def phone(self) -> str:
        """Return a telephone number out of a range that is not given out."""
        return self.keep(f"+7900{self.chance.randrange(10_000_000):07d}")

    def snils(self) -> str:
        """Return an insurance number with its check digits."""
        digits = f"{self.chance.randrange(800_000_000, 899_999_999):09d}"
        check = sum(int(digit) * weight for digit, weight in zip(digits, range(9, 0, -1), strict=True)) % 101 % 100
        return self.keep(f"{digits}{check:02d}")

    def policy(self) -> str:
        """Return a policy number with its check digit."""
        digits = f"98{self.chance.randrange(10**13):013d}"
        return self.keep(digits + luhn.calc_check_digit(digits))

    def birth_date(self) -> date:
        """Return a day between 1931 and 1960."""
        day = date(1931, 1, 1) + timedelta(days=self.chance.randrange(30 * 365))
        self.keep(day.isoformat())
        return day


@dataclass(frozen=True)
class Villager:
    """A patient made of canaries."""

    family_name: str
    given_name: str
    patronymic: str
    birth_date: date
    phone: str
    snils: str
    policy: str
    address: str

    @classmethod
    def of(cls, canaries: Canaries) -> Villager:
        """Return a new person."""
        return cls(
            canaries.name(), canaries.name(), canaries.name(), canaries.birth_date(), canaries.phone(),
            canaries.snils(), canaries.policy(), canaries.words("ул. Лесная,"),
        )  # fmt: skip

    @property
    def full_name(self) -> str:
        return f"{self.family_name} {self.given_name} {self.patronymic}"
