"""What the two simulated meters remember and send. No radio here: values in, packets out."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

# Faults that a measurement can be taken with. The one table of them; tests/contract/simulated-faults.json is its copy
# for the server's pages.
VANISH, WRONG_CLOCK, HI, LO, IRREGULAR = "vanish", "wrong_clock", "hi", "lo", "irregular"
MOVEMENT, LOOSE_CUFF, CONTROL_SOLUTION, KETONE = "movement", "loose_cuff", "control_solution", "ketone"
OLD_MEMORY, REVERSED, PASSKEY, LOST_BOND = "old_memory", "reversed_numbering", "passkey", "lost_bond"
BOTH, PRESSURE_ONLY, GLUCOSE_ONLY = ("blood_pressure", "glucose"), ("blood_pressure",), ("glucose",)
FAULTS: dict[str, tuple[tuple[str, ...], str]] = {
    VANISH: (BOTH, "the link breaks after the first packet; the meter sends it again at the next connection"),
    WRONG_CLOCK: (BOTH, "the meter's clock is three hours slow"),
    HI: (BOTH, "above the measuring range: the meter shows HI, no number"),
    LO: (GLUCOSE_ONLY, "below the measuring range"),
    IRREGULAR: (PRESSURE_ONLY, "irregular pulse seen"),
    MOVEMENT: (PRESSURE_ONLY, "the patient moved"),
    LOOSE_CUFF: (PRESSURE_ONLY, "the cuff sat loosely"),
    CONTROL_SOLUTION: (GLUCOSE_ONLY, "not blood at all"),
    KETONE: (GLUCOSE_ONLY, "a ketone strip in a meter like the CareSens Dual"),
    OLD_MEMORY: (BOTH, "three results of another patient, of yesterday, come along"),
    REVERSED: (GLUCOSE_ONLY, "another meter, like the TaiDoc TD-4279: its newest record has number 0"),
    PASSKEY: (BOTH, "the meter has forgotten us and wants the passkey that it shows, 123456, to pair again"),
    LOST_BOND: (BOTH, "the meter has forgotten us and pairs again without a passkey"),
}
SHOWN_PASSKEY = 123456


def faults_of(kind: str) -> tuple[str, ...]:
    """Return the names of the faults that a meter of this kind can have."""
    return tuple(name for name, (kinds, _) in FAULTS.items() if kind in kinds)


@dataclass(frozen=True)
class Persona:
    """Which meter the simulated one resembles in what it says about itself and in its quirks."""

    manufacturer: str
    model: str
    is_reversed: bool = False


PLAIN_PRESSURE = Persona("Simulated", "SIM-BP")
PLAIN_GLUCOSE = Persona("Simulated", "SIM-GL")
LIKE_TAIDOC = Persona("TaiDoc", "TD-4279 SIM", is_reversed=True)
LIKE_CARESENS = Persona("i-SENS", "CareSens Dual SIM")
KETONE_MEAL = 6

SAME_PERSON = timedelta(minutes=15)
CLOCK_ERROR = timedelta(hours=-3)
OLD_AGES = (timedelta(days=1, hours=2), timedelta(days=1, hours=1), timedelta(days=1))

PLUS_INFINITY, MINUS_INFINITY = 0x07FE, 0x0802
TOO_HIGH, TOO_LOW = 0x20, 0x40
MOVED, LOOSE, UNEVEN = 0x01, 0x02, 0x04

# Record access control point: what the collector may ask, and the answers.
REPORT, ABORT, NUMBER, NUMBER_ANSWER, ANSWER = 1, 3, 4, 5, 6
ALL, AT_MOST, AT_LEAST, RANGE, FIRST, LAST = 1, 2, 3, 4, 5, 6
SUCCESS, OP_UNKNOWN, OPERATOR_UNKNOWN, OPERAND_WRONG, NO_RECORDS, FILTER_UNKNOWN = 1, 2, 4, 5, 6, 9

MEASUREMENT, CONTEXT, ACCESS = "2a18", "2a34", "2a52"


class ValuesRefused(Exception):
    """Ask for other values or another fault: this meter cannot show them."""


def sfloat(mantissa: int, exponent: int = 0) -> bytes:
    """Return a medfloat16 number."""
    return struct.pack("<H", (exponent & 0xF) << 12 | mantissa & 0xFFF)


def date_time(moment: datetime) -> bytes:
    """Return the seven bytes of a date and time."""
    return struct.pack("<HBBBBB", moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)


def parse_date_time(raw: bytes) -> datetime:
    """Return the moment in seven bytes. Raises ValueError, struct.error."""
    return datetime(*struct.unpack("<HBBBBB", raw))  # noqa: DTZ001 - a meter knows no zone


class MeterClock:
    """A meter's own clock: without zone, whole seconds, possibly wrong; never the same second twice for a result."""

    def __init__(self, wall_clock: Callable[[], datetime]) -> None:
        self._wall_clock = wall_clock
        self.error = timedelta(0)
        self._last_stamp: datetime | None = None

    def now(self) -> datetime:
        """Return what the meter shows."""
        return (self._wall_clock() + self.error).replace(microsecond=0)

    def set(self, shown: datetime) -> None:
        """Set the clock, as the gateway does."""
        self.error = shown - self._wall_clock()
        self._last_stamp = None

    def go_wrong(self, error: timedelta) -> None:
        """Show a wrong time from now on, also on results."""
        if error != self.error:
            self.error, self._last_stamp = error, None

    def stamp(self) -> datetime:
        """Return the time for a new result: no meter measures twice within a second."""
        stamp = self.now()
        if self._last_stamp is not None and stamp <= self._last_stamp:
            stamp = self._last_stamp + timedelta(seconds=1)
        self._last_stamp = stamp
        return stamp


@dataclass(frozen=True)
class Pressure:
    """One result of the pressure meter; `systolic` None is HI."""

    systolic: int | None
    diastolic: int
    pulse: int
    taken_at: datetime
    status: int = 0

    def packet(self) -> bytes:
        """Return the 0x2A35 bytes: mmHg, time, pulse, user 1, status."""
        if self.systolic is None:
            pressures = 3 * struct.pack("<H", PLUS_INFINITY)
        else:
            mean = self.diastolic + (self.systolic - self.diastolic) // 3
            pressures = sfloat(self.systolic) + sfloat(self.diastolic) + sfloat(mean)
        tail = b"\x01" + struct.pack("<H", self.status)
        return b"\x1e" + pressures + date_time(self.taken_at) + sfloat(self.pulse) + tail


class PressureModel:
    """The pressure meter: keeps what nobody confirmed, forgets the rest."""

    kind = "blood_pressure"
    persona = PLAIN_PRESSURE

    def __init__(self, clock: MeterClock, chance: random.Random) -> None:
        self.clock = clock
        self._chance = chance
        self.memory: list[Pressure] = []
        self._last = (0, datetime.min)  # noqa: DTZ901 - a meter knows no zone

    def take(self, values: Mapping[str, float] | None, fault: str | None) -> dict[str, float]:
        """Measure: given values, or plausible ones. Returns what the display shows. Raises ValuesRefused."""
        _check(fault, self.kind)
        shown = self._values(values)
        if fault == WRONG_CLOCK:
            self.clock.go_wrong(CLOCK_ERROR)
        now = self.clock.stamp()
        if fault == OLD_MEMORY:
            self.memory += [Pressure(118 + number, 76, 66, now - age) for number, age in enumerate(OLD_AGES)]
        systolic = None if fault == HI else int(shown["systolic"])
        status = {IRREGULAR: UNEVEN, MOVEMENT: MOVED, LOOSE_CUFF: LOOSE}.get(fault or "", 0)
        self.memory.append(Pressure(systolic, int(shown["diastolic"]), int(shown["pulse"]), now, status))
        return {} if fault == HI else shown

    def _values(self, values: Mapping[str, float] | None) -> dict[str, float]:
        if values is None:
            systolic = self._plausible()
            return {"systolic": systolic, "diastolic": systolic * 62 // 100, "pulse": self._chance.randint(58, 88)}
        shown = {"systolic": 128.0, "diastolic": 80.0, "pulse": 70.0} | dict(values)
        if set(shown) != {"systolic", "diastolic", "pulse"}:
            raise ValuesRefused("values are systolic, diastolic and pulse")
        if any(not 1 <= value <= 300 for value in shown.values()):
            raise ValuesRefused("the pressure meter shows 1 to 300")
        return {name: int(value) for name, value in shown.items()}

    def _plausible(self) -> int:
        """Return an upper pressure; within a quarter of an hour it is the same person's, who does not jump by 30."""
        now, (last, taken_at) = self.clock.now(), self._last
        is_next = last and abs(now - taken_at) < SAME_PERSON
        found = min(148, max(112, last + self._chance.randint(-4, 4))) if is_next else self._chance.randint(112, 148)
        self._last = (found, now)
        return found


@dataclass(frozen=True)
class Glucose:
    """One stored record of the glucose meter; `beyond` is the fault HI or LO when there is no number."""

    number: int
    mmol_per_l: float
    taken_at: datetime
    beyond: str | None = None
    is_control: bool = False
    meal: int | None = None

    def measurement(self, number: int | None = None) -> bytes:
        """Return the 0x2A18 bytes, under its own or another sequence number: offset 0, mol/L, type and location,
        status.
        """
        flags = 0x0F | (0x10 if self.meal is not None else 0)
        special = {HI: (PLUS_INFINITY, TOO_HIGH), LO: (MINUS_INFINITY, TOO_LOW)}.get(self.beyond or "")
        concentration = struct.pack("<H", special[0]) if special else sfloat(round(self.mmol_per_l * 10), -4)
        sample = 0x4A if self.is_control else 0x11  # control solution; else capillary whole blood from a finger
        head = (
            struct.pack("<BH", flags, self.number if number is None else number)
            + date_time(self.taken_at)
            + struct.pack("<h", 0)
        )
        return head + concentration + bytes([sample]) + struct.pack("<H", special[1] if special else 0)

    def context(self, number: int | None = None) -> bytes | None:
        """Return the 0x2A34 bytes, when a meal was marked."""
        if self.meal is None:
            return None
        return struct.pack("<BHB", 0x02, self.number if number is None else number, self.meal)


class GlucoseModel:
    """The glucose meter: keeps every record and reports on request."""

    kind = "glucose"

    def __init__(self, clock: MeterClock, chance: random.Random) -> None:
        self.clock = clock
        self._chance = chance
        self.memory: list[Glucose] = []
        self.persona = PLAIN_GLUCOSE

    def take(self, values: Mapping[str, float] | None, fault: str | None) -> dict[str, float]:
        """Measure: given values, or plausible ones. Returns what the display shows. Raises ValuesRefused."""
        _check(fault, self.kind)
        shown = self._values(values)
        if fault == WRONG_CLOCK:
            self.clock.go_wrong(CLOCK_ERROR)
        now = self.clock.stamp()
        self._resemble(fault)
        if fault == OLD_MEMORY:
            for age in OLD_AGES:
                self._keep(5.1, now - age)
        meal = KETONE_MEAL if fault == KETONE else shown.get("meal")
        beyond = fault if fault in (HI, LO) else None
        self._keep(shown["mmol_per_l"], now, beyond, fault == CONTROL_SOLUTION, meal)
        return {} if beyond else shown

    def _resemble(self, fault: str | None) -> None:
        """Become another meter for a fault that only this one has; where the numbering changes the memory is empty."""
        persona = {REVERSED: LIKE_TAIDOC, KETONE: LIKE_CARESENS}.get(fault or "", self.persona)
        if persona.is_reversed != self.persona.is_reversed:
            self.memory.clear()
        self.persona = persona

    def _keep(
        self,
        mmol_per_l: float,
        at: datetime,
        beyond: str | None = None,
        is_control: bool = False,
        meal: float | None = None,
    ) -> None:
        number = self.memory[-1].number + 1 if self.memory else 1
        self.memory.append(Glucose(number, mmol_per_l, at, beyond, is_control, int(meal) if meal is not None else None))

    def number_of(self, record: Glucose) -> int:
        """Return the sequence number a record goes by now."""
        return self.memory[-1].number - record.number if self.persona.is_reversed else record.number

    def _values(self, values: Mapping[str, float] | None) -> dict[str, float]:
        if values is None:
            return {"mmol_per_l": self._chance.randint(44, 78) / 10}
        if not {"mmol_per_l"} <= set(values) <= {"mmol_per_l", "meal"}:
            raise ValuesRefused("values are mmol_per_l and, if you like, meal")
        if not 0.1 <= values["mmol_per_l"] <= 100 or values.get("meal", 1) not in (1, 2, 3, 4, 5):
            raise ValuesRefused("the glucose meter shows 0.1 to 100 mmol/l and meals 1 to 5")
        return dict(values)

    def answer(self, request: bytes) -> Iterator[tuple[str, bytes]]:
        """Return what the meter sends on one request: records, then the answer of the procedure."""
        op = request[0] if request else 0
        if op not in (REPORT, NUMBER) or len(request) < 2:
            yield ACCESS, bytes([ANSWER, 0, op, OP_UNKNOWN])
            return
        chosen = self._select(request[1], request[2:])
        if isinstance(chosen, int):
            yield ACCESS, bytes([ANSWER, 0, op, chosen])
        elif op == NUMBER:
            yield ACCESS, struct.pack("<BBH", NUMBER_ANSWER, 0, len(chosen))
        else:
            yield from self._report(chosen)

    def _report(self, chosen: list[Glucose]) -> Iterator[tuple[str, bytes]]:
        for record in chosen:
            number = self.number_of(record)
            yield MEASUREMENT, record.measurement(number)
            context = record.context(number)
            if context is not None:
                yield CONTEXT, context
        yield ACCESS, bytes([ANSWER, 0, REPORT, SUCCESS if chosen else NO_RECORDS])

    def _select(self, operator: int, operand: bytes) -> list[Glucose] | int:
        """Return the records asked for, or the code of a refusal."""
        whole = {ALL: self.memory, FIRST: self.memory[:1], LAST: self.memory[-1:]}
        if operator in whole:
            return whole[operator]
        if operator not in (AT_MOST, AT_LEAST, RANGE):
            return OPERATOR_UNKNOWN
        if operand[:1] != b"\x01":
            return FILTER_UNKNOWN if operand else OPERAND_WRONG
        if len(operand) != (5 if operator == RANGE else 3):
            return OPERAND_WRONG
        numbers = struct.unpack(f"<{len(operand) // 2}H", operand[1:])
        low = 0 if operator == AT_MOST else numbers[0]
        high = 0xFFFF if operator == AT_LEAST else numbers[-1]
        return [record for record in self.memory if low <= self.number_of(record) <= high]


def _check(fault: str | None, kind: str) -> None:
    if fault is not None and fault not in faults_of(kind):
        raise ValuesRefused(f"faults of this meter are {', '.join(faults_of(kind))}")
