"""A fictional region in plain data: the same seed and size give the same region, person by person.

No real person's data: names are drawn from common lists, phones lie in a range that is not given out, SNILS and policy
numbers have right check digits and start high above any that was issued.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID, uuid5

NAMESPACE = UUID("0b6f7d3e-5a52-4c0a-9d2f-7e6c1f3a8b10")
REGION_NAME, ZONE = "Озёрный край", "Europe/Moscow"
RURAL_SHARE = 179 / 292  # of the region that the pilot copies in size
FIRST_INDEX = 174_100
TODAY = date(2026, 11, 23)
PLACES = (
    "Озерки", "Сосново", "Берёзовка", "Заречье", "Луговое", "Каменка", "Ольховка", "Светлое", "Боровое", "Ключи",
    "Лебяжье", "Малиновка", "Никольское", "Осиновка", "Подгорье", "Родники", "Старица", "Тихое", "Успенское", "Холмы",
)  # fmt: skip
FAMILY = (
    "Иванов", "Петров", "Сидоров", "Кузнецов", "Соколов", "Лебедев", "Козлов", "Новиков", "Морозов", "Волков",
    "Зайцев", "Павлов", "Семёнов", "Голубев", "Виноградов", "Богданов", "Воробьёв", "Фёдоров", "Михайлов", "Беляев",
    "Тарасов", "Белов", "Комаров", "Орлов", "Киселёв", "Макаров", "Андреев", "Ковалёв", "Ильин", "Гусев",
)  # fmt: skip
WOMEN = (
    "Мария", "Анна", "Нина", "Валентина", "Галина", "Тамара", "Людмила", "Зинаида", "Вера", "Надежда", "Любовь",
    "Раиса", "Лидия", "Екатерина", "Антонина", "Клавдия",
)  # fmt: skip
MEN = (
    "Иван", "Николай", "Пётр", "Александр", "Владимир", "Виктор", "Анатолий", "Михаил", "Василий", "Алексей",
    "Юрий", "Борис", "Геннадий", "Фёдор",
)  # fmt: skip
FATHERS = ("Иван", "Николай", "Пётр", "Михаил", "Степан", "Андрей", "Павел", "Алексей")
PATRONYMICS = {
    "Иван": ("Иванович", "Ивановна"),
    "Николай": ("Николаевич", "Николаевна"),
    "Пётр": ("Петрович", "Петровна"),
    "Михаил": ("Михайлович", "Михайловна"),
    "Степан": ("Степанович", "Степановна"),
    "Андрей": ("Андреевич", "Андреевна"),
    "Павел": ("Павлович", "Павловна"),
    "Алексей": ("Алексеевич", "Алексеевна"),
}
STREETS = ("Лесная", "Садовая", "Центральная", "Речная", "Школьная", "Полевая", "Молодёжная", "Озёрная")
LINES = ("good", "fair", "fair", "thin", "voice_photos")
# Share of each age band among those a village health corner sees; ages are drawn evenly inside a band.
AGES = ((40, 54, 0.15), (55, 64, 0.25), (65, 74, 0.32), (75, 84, 0.21), (85, 95, 0.07))


@dataclass(frozen=True)
class DemoPatient:
    """One made-up person. `snils` has 11 digits, `policy` 16."""

    id: UUID
    family_name: str
    given_name: str
    patronymic: str
    sex: str
    birth_date: date
    phone: str
    snils: str
    policy: str
    address: str
    language: str
    type_size: str
    hard_of_hearing: bool


@dataclass(frozen=True)
class DemoBranch:
    """One post office with its patients and the order of houses on its postman's route."""

    id: UUID
    postal_index: str
    name: str
    place: str
    rural: bool
    phone: str
    line_class: str
    patients: tuple[DemoPatient, ...]
    route: tuple[UUID, ...]


@dataclass(frozen=True)
class DemoPerson:
    """A member of staff of the region. `branch` is the number of the branch, or None."""

    login: str
    role: str
    name: str
    branch: int | None = None


def staff(branches: int) -> tuple[DemoPerson, ...]:
    """Return the demo's people: one named for each role, then a clerk and a postman for each further branch."""
    named = (
        DemoPerson("demo.clerk", "clerk", "Анна Кузьмина", 0),
        DemoPerson("demo.doctor", "doctor", "Вера Ильина"),
        DemoPerson("demo.pharmacist", "pharmacist", "Дина Орлова"),
        DemoPerson("demo.dispatcher", "dispatcher", "Егор Белов", 0),
        DemoPerson("demo.postman", "postman", "Фёдор Дорогин", 0),
        DemoPerson("demo.coordinator", "coordinator", "Галина Смирнова"),
        DemoPerson("demo.admin", "admin", "Олег Системин"),
        DemoPerson("demo.auditor", "auditor", "Тамара Книжник"),
    )
    doctors = tuple(
        DemoPerson(f"doctor.{n}", "doctor", f"Врач {FAMILY[n % len(FAMILY)]}") for n in range(2, 2 + max(1, branches // 6))
    )
    others = tuple(
        DemoPerson(f"{role}.{n}", role, f"{word} {n + 1}", n)
        for n in range(1, branches)
        for role, word in (("clerk", "Оператор"), ("postman", "Почтальон"))
    )
    return named + doctors + others


def branches(seed: int, count: int, patients_each: int) -> Iterator[DemoBranch]:
    """Yield the region's branches; each is made from its own number, so a larger region begins with the smaller one."""
    for number in range(count):
        yield _branch(seed, number, patients_each)


def demo_id(seed: int, *parts: object) -> UUID:
    """Return the same id for the same thing in every run."""
    return uuid5(NAMESPACE, "/".join(str(part) for part in (seed, *parts)))


def _branch(seed: int, number: int, patients_each: int) -> DemoBranch:
    draw = random.Random(f"{seed}/{number}")
    place = PLACES[number % len(PLACES)] + (f" {number // len(PLACES) + 1}" if number >= len(PLACES) else "")
    people = tuple(_patient(seed, number, n, place, draw) for n in range(patients_each))
    route = [person.id for person in people]
    draw.shuffle(route)
    index = str(FIRST_INDEX + number)
    return DemoBranch(
        id=demo_id(seed, "branch", number),
        postal_index=index,
        name=f"Отделение {index}",
        place=place,
        rural=number == 0 or draw.random() < RURAL_SHARE,
        phone=f"+7816000{number % 10_000:04d}",
        line_class=LINES[number % len(LINES)],
        patients=people,
        route=tuple(route),
    )


def _patient(seed: int, branch: int, number: int, place: str, draw: random.Random) -> DemoPatient:
    sex = "female" if draw.random() < 0.62 else "male"
    family = draw.choice(FAMILY) + ("а" if sex == "female" else "")
    given = draw.choice(WOMEN if sex == "female" else MEN)
    patronymic = PATRONYMICS[draw.choice(FATHERS)][1 if sex == "female" else 0]
    serial = branch * 1000 + number
    age = _age(draw)
    return DemoPatient(
        id=demo_id(seed, "patient", branch, number),
        family_name=family,
        given_name=given,
        patronymic=patronymic,
        sex=sex,
        birth_date=TODAY - timedelta(days=age * 365 + draw.randrange(365)),
        phone=f"+7900{serial % 10_000_000:07d}",
        snils=_snils(900_000_000 + serial % 99_000_000),
        policy=_luhn(f"99{serial:013d}"),
        address=f"{place}, ул. {draw.choice(STREETS)}, {draw.randrange(1, 80)}",
        language="be" if draw.random() < 0.1 else "ru",
        type_size="huge" if age > 80 else "large" if age > 60 else "normal",
        hard_of_hearing=draw.random() < max(0.02, (age - 55) / 100),
    )


def _age(draw: random.Random) -> int:
    low, high, _share = draw.choices(AGES, weights=[share for _low, _high, share in AGES])[0]
    return draw.randint(low, high)


def _snils(number: int) -> str:
    digits = f"{number:09d}"
    check = sum(int(digit) * weight for digit, weight in zip(digits, range(9, 0, -1), strict=True)) % 101 % 100
    return f"{digits}{check:02d}"


def _luhn(digits: str) -> str:
    doubled = [int(d) * (2 if position % 2 == 0 else 1) for position, d in enumerate(reversed(digits))]
    total = sum(value - 9 if value > 9 else value for value in doubled)
    return f"{digits}{(10 - total % 10) % 10}"
