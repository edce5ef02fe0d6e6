"""The cast: the same people in every test, with fixed rights.

Two regions. Lake region: branch Ozerki (clerk Anna; patients Maria and Ivan) and branch Sosnovo (clerk Boris; patient
Pelageya), doctor Vera, pharmacist Dina, dispatcher Egor, postmen Fedor and Zakhar, coordinator Galina. River region:
branch Rechnoye (clerk Rita), doctor Gleb, coordinator Kira: outsiders to everything in the Lake region. Admin Oleg,
auditor Tamara.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID, uuid5

from telemed.access.relations import Principal

NAMES = UUID("6f1a2b7c-1111-4222-8333-944455556666")
NOON = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)  # a Monday, 12:00 in Moscow
PASSWORD = "correct horse battery staple"


def known_id(name: str) -> UUID:
    """Return the same id for the same name in every run."""
    return uuid5(NAMES, name)


LAKE, RIVER = known_id("lake region"), known_id("river region")
OZERKI, SOSNOVO, RECHNOYE = known_id("ozerki"), known_id("sosnovo"), known_id("rechnoye")
BRANCHES = {
    OZERKI: (LAKE, "174001", "Озерки"),
    SOSNOVO: (LAKE, "174002", "Сосново"),
    RECHNOYE: (RIVER, "231001", "Речное"),
}


@dataclass(frozen=True)
class Person:
    """A member of staff."""

    login: str
    role: str
    name: str
    branch_id: UUID | None = None
    region_id: UUID | None = None

    @property
    def id(self) -> UUID:
        return known_id(self.login)

    @property
    def who(self) -> Principal:
        """Return the principal that this person is when signed in."""
        return Principal(
            id=self.id, role=self.role, display_name=self.name, branch_id=self.branch_id, region_id=self.region_id
        )  # fmt: skip


@dataclass(frozen=True)
class Villager:
    """A patient. SNILS and policy numbers carry right check digits and belong to nobody."""

    key: str
    family_name: str
    given_name: str
    patronymic: str
    birth_date: date
    phone: str
    snils: str
    policy: str
    branch_id: UUID
    sex: str = "female"
    language: str = "ru"

    @property
    def id(self) -> UUID:
        return known_id(self.key)

    @property
    def who(self) -> Principal:
        """Return the principal that this patient is after showing the card."""
        return Principal(id=self.id, role="patient", patient_id=self.id)


ANNA = Person("anna", "clerk", "Анна Кузьмина", OZERKI, LAKE)
BORIS = Person("boris", "clerk", "Борис Лаптев", SOSNOVO, LAKE)
RITA = Person("rita", "clerk", "Рита Сомова", RECHNOYE, RIVER)
VERA = Person("vera", "doctor", "Вера Ильина", None, LAKE)
GLEB = Person("gleb", "doctor", "Глеб Рощин", None, RIVER)
DINA = Person("dina", "pharmacist", "Дина Орлова", None, LAKE)
EGOR = Person("egor", "dispatcher", "Егор Белов", OZERKI, LAKE)
FEDOR = Person("fedor", "postman", "Фёдор Дорогин", OZERKI, LAKE)
ZAKHAR = Person("zakhar", "postman", "Захар Тропин", OZERKI, LAKE)
GALINA = Person("galina", "coordinator", "Галина Смирнова", None, LAKE)
KIRA = Person("kira", "coordinator", "Кира Волкова", None, RIVER)
OLEG = Person("oleg", "admin", "Олег Системин")
TAMARA = Person("tamara", "auditor", "Тамара Книжник")
STAFF = (ANNA, BORIS, RITA, VERA, GLEB, DINA, EGOR, FEDOR, ZAKHAR, GALINA, KIRA, OLEG, TAMARA)

MARIA = Villager(
    "maria", "Ёлкина", "Мария", "Петровна", date(1948, 3, 8), "+79211234567", "11223344595", "7700000000000016", OZERKI
)  # fmt: skip
IVAN = Villager(
    "ivan", "Громов", "Иван", "Савельич", date(1951, 7, 20), "+79217654321", "08765430300", "7700000000000024",
    OZERKI, sex="male",
)  # fmt: skip
PELAGEYA = Villager(
    "pelageya", "Рябова", "Пелагея", "Ильинична", date(1940, 1, 2), "+79210000001", "", "", SOSNOVO, language="be"
)  # fmt: skip
VILLAGERS = (MARIA, IVAN, PELAGEYA)
