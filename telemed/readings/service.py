"""Use cases of readings: show results, type in, triage, the series. Batches are service_ingest.py, the tray is
service_quarantine.py.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from telemed.access import audit
from telemed.access.relations import SYSTEM, Principal, Relation, Subject
from telemed.checkup import rules as series
from telemed.checkup import service as checkup
from telemed.checkup.models import Visit
from telemed.checkup.service_series import Figures, note_reading, pressure_series, protocols
from telemed.errors import Invalid, NotFound
from telemed.ids import new_id
from telemed.prepared import ask
from telemed.readings import rules, rules_glucose
from telemed.readings.events import ReadingStored, SeriesComplete, StripUnclear, TriageChanged
from telemed.readings.models import IN_RECORD, Reading, Triage
from telemed.readings.truth import Truth, truth_of
from telemed.services import Services

RELATIONS: tuple[Relation, ...] = ()
KINDS = ("blood_pressure", "glucose")
NEWEST = 8  # results of a kind that triage looks at; a series asks for three to five
OFF_SCALE = frozenset({"pressure_hi", "pressure_lo"})
NO_NUMBER = {**dict.fromkeys(rules_glucose.OTHER_STRIP, "—"), "impossible_glucose": "—"}
SHOWN = {"glucose_hi": "HI", "glucose_lo": "LO", **NO_NUMBER}  # instead of a number; the first that applies
TYPED_LIMITS = {"systolic": (50, 300), "diastolic": (20, 200), "pulse": (20, 300), "glucose_mmol_l": (0.6, 33.3)}


# --- results ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReadingView:
    """A result as doctor and patient see it. Pressures in mmHg, glucose in mmol/L; None where the meter gave none."""

    id: UUID
    kind: str
    source: str
    status: str
    reasons: tuple[str, ...]
    measured_at: datetime
    time_quality: str
    systolic_mmhg: float | None = None
    diastolic_mmhg: float | None = None
    pulse: float | None = None
    irregular_pulse: bool = False
    glucose_mmol_l: float | None = None
    shown: str = ""
    truth: Truth | None = None
    is_unclear_strip: bool = False

    @property
    def is_urgent(self) -> bool:
        """Tell whether this value alone asks for a doctor today."""
        beyond = rules.glucose_beyond_the_meter(self.reasons)
        if beyond is not None or self.is_unclear_strip:
            return True
        glucose = self.glucose_mmol_l if self.status != "not_a_result" else None
        pressure = (self.systolic_mmhg, self.diastolic_mmhg) if self.status != "not_a_result" else (None, None)
        return rules.is_urgent_value(*pressure, glucose)

    @property
    def is_no_result(self) -> bool:
        """Tell whether it says nothing of the patient; HI and LO, which have no number, say a lot."""
        return self.status == "not_a_result" and not self.is_urgent and not OFF_SCALE & set(self.reasons)


@dataclass(frozen=True)
class StatusView:
    """A result as post staff see it: that it came, never what it says."""

    id: UUID
    kind: str
    ordinal: int
    source: str
    status: str
    stored_at: datetime


def readings_of_visit(services: Services, who: Principal, visit_id: UUID) -> list[ReadingView]:
    """Return the visit's results in the order of measurement; audited."""
    subject = _subject_of(services, visit_id)
    with services.act(who, "reading.read", subject) as tx:
        return _views(services, tx, visit_id)


def readings_of_patient(services: Services, who: Principal, patient_id: UUID, limit: int = 60) -> list[ReadingView]:
    """Return a patient's newest results, oldest first, for the trend; audited."""
    with services.act(who, "reading.read", Subject(patient_id=patient_id)) as tx:
        rows = tx.scalars(
            select(Reading)
            .where(Reading.patient_id == patient_id, IN_RECORD)
            .order_by(Reading.measured_at.desc())
            .limit(limit)
        ).all()
        return [_view(services, tx, row) for row in reversed(rows)]


def status_of_visit(services: Services, who: Principal, visit_id: UUID) -> list[StatusView]:
    """Return which results of the visit are in the record; no value."""
    subject = _subject_of(services, visit_id)
    with services.look(who, "reading.read_status", subject) as tx:
        of_visit = select(Reading).where(Reading.visit_id == visit_id, IN_RECORD)
        rows = tx.scalars(of_visit.order_by(Reading.stored_at, Reading.id))
        seen: Counter[str] = Counter()
        views = []
        for row in rows:
            seen[row.kind] += 1
            views.append(StatusView(row.id, row.kind, seen[row.kind], row.source, row.status, row.stored_at))
        return views


def usable_vitals(services: Services, tx: Session, visit_id: UUID) -> frozenset[str]:
    """Return which kinds of vital are known from results that count; no value."""
    usable = [view for view in _newest_views(services, tx, visit_id) if view.status == "usable"]
    kinds = frozenset(view.kind for view in usable)
    return kinds | {"pulse"} if any(view.pulse is not None for view in usable) else kinds


def _subject_of(services: Services, visit_id: UUID) -> Subject:
    with services.db.read() as tx:
        visit = tx.get(Visit, visit_id)
        if visit is None:
            raise NotFound()
        return Subject(patient_id=visit.patient_id, branch_id=visit.branch_id, visit_id=visit.id)


def _views(services: Services, tx: Session, visit_id: UUID) -> list[ReadingView]:
    rows = tx.scalars(
        select(Reading).where(Reading.visit_id == visit_id, IN_RECORD).order_by(Reading.measured_at, Reading.stored_at)
    )
    return [_view(services, tx, row, with_truth=True) for row in rows]


_NEWEST_OF_ALL = (
    select(Reading)
    .where(Reading.visit_id == bindparam("visit"), IN_RECORD)
    .order_by(Reading.measured_at.desc(), Reading.stored_at.desc())
    .limit(NEWEST)
)
_NEWEST_OF_KIND = _NEWEST_OF_ALL.where(Reading.kind == bindparam("kind"))


def _newest_views(services: Services, tx: Session, visit_id: UUID) -> list[ReadingView]:
    """Return the newest results of each kind in the order of measurement; more than a series has, yet a number, so that
    a visit's urgency costs the same however much a meter has sent.
    """
    rows = list(tx.scalars(_NEWEST_OF_ALL, {"visit": visit_id}))
    if len(rows) == NEWEST:  # there may be more, and a kind must not push the other one out
        rows = [row for kind in KINDS for row in tx.scalars(_NEWEST_OF_KIND, {"visit": visit_id, "kind": kind})]
    return sorted((_view(services, tx, row) for row in rows), key=_place)


def _place(view: ReadingView) -> tuple[Any, ...]:
    """Return the order in which results count: by when they were measured, of one moment the worse one last, and never
    by when they arrived.
    """
    pressure = (view.systolic_mmhg or 0, view.diastolic_mmhg or 0)
    return view.measured_at, view.status != "usable", view.is_urgent, *pressure, view.glucose_mmol_l or 0


def _view(services: Services, tx: Session, row: Reading, *, with_truth: bool = False) -> ReadingView:
    record = services.vault.open(tx, row, "clinical")
    decoded: dict[str, Any] = record["decoded"]
    base = {
        "id": row.id, "kind": row.kind, "source": row.source, "status": row.status,
        "reasons": tuple(record.get("reasons", ())), "measured_at": row.measured_at, "time_quality": row.time_quality,
        "truth": truth_of(record, row.time_quality) if with_truth else None,
    }  # fmt: skip
    if row.kind == "glucose":
        return _glucose_view(record, base)
    systolic, diastolic = _number(decoded.get("systolic_mmhg")), _number(decoded.get("diastolic_mmhg"))
    shown = _pressure_words(decoded, systolic, diastolic)
    return ReadingView(
        **base, systolic_mmhg=systolic, diastolic_mmhg=diastolic, pulse=_number(decoded.get("pulse_rate")),
        irregular_pulse=bool((decoded.get("status") or {}).get("irregular_pulse")), shown=shown,
    )  # fmt: skip


def _glucose_view(record: dict[str, Any], base: dict[str, Any]) -> ReadingView:
    """Return a glucose as it counts today; what an older release stored is judged anew."""
    decoded = record["decoded"]
    status, reasons = rules_glucose.judge_anew(base["status"], base["reasons"], decoded, record.get("context_raw"))
    base |= {"status": status, "reasons": reasons}
    for code, shown in SHOWN.items():
        if code in reasons:
            is_unclear = rules_glucose.is_unclear_now(reasons, decoded)
            return ReadingView(**base, shown=shown, is_unclear_strip=is_unclear)
    glucose = rules_glucose.number_of(decoded)
    return ReadingView(**base, glucose_mmol_l=glucose, shown="—" if glucose is None else f"{glucose:.1f}")


def _pressure_words(decoded: dict[str, Any], systolic: float | None, diastolic: float | None) -> str:
    if systolic is not None and diastolic is not None:
        return f"{systolic:.0f}/{diastolic:.0f}"
    said = (decoded.get("systolic"), decoded.get("diastolic"))
    return "HI" if "+INFINITY" in said else "LO" if "-INFINITY" in said else "—"


def _number(value: Any) -> float | None:
    """Return a number of the record; the words for special values are none."""
    return float(value) if rules.is_number(value) and math.isfinite(value) else None


def may_type_in(services: Services, who: Principal, visit_id: UUID) -> None:
    """Raise unless `who` may type in values of this visit now."""
    with services.look(who, "reading.type_in", _subject_of(services, visit_id)):
        return


def type_in(
    services: Services, who: Principal, visit_id: UUID, kind: str, values: dict[str, float],
    reading_id: UUID | None = None,
) -> UUID:  # fmt: skip
    """Store values that the clerk read off a meter; who types them never sees them again. The same `reading_id` twice
    is one reading. Raises Invalid.
    """
    _check_typed(kind, values)
    subject = _subject_of(services, visit_id)
    with services.act(who, "reading.type_in", subject) as tx:
        visit = tx.get(Visit, visit_id)
        assert visit is not None
        reading_id = reading_id or new_id()
        if tx.get(Reading, reading_id) is not None:
            return reading_id
        now, decoded = services.clock(), _typed(kind, values)
        status, reasons = rules_glucose.judge_anew("usable", (), decoded, None) if kind == "glucose" else ("usable", ())
        reading = Reading(
            id=reading_id, event_id=None, reading_key=hashlib.sha256(f"typed:{reading_id}".encode()).hexdigest(),
            patient_id=visit.patient_id, visit_id=visit.id, branch_id=visit.branch_id, meter_id=None, kind=kind,
            source="typed", status=status, time_quality="live", measured_at=now, received_at=now, stored_at=now,
            clinical_rev=0,
        )  # fmt: skip
        document = {"v": 1, "kind": kind, "decoded": decoded, "reasons": list(reasons)}
        services.vault.seal(tx, reading, "clinical", document)
        tx.add(reading)
        tell_stored(services, tx, reading)
        triage_visit(services, tx, visit)
        return reading_id


def _check_typed(kind: str, values: dict[str, float]) -> None:
    wanted = {"blood_pressure": ("systolic", "diastolic", "pulse"), "glucose": ("glucose_mmol_l",)}.get(kind)
    if wanted is None:
        raise Invalid(fields={"kind": "invalid"})
    wrong = {}
    for name in wanted:
        low, high = TYPED_LIMITS[name]
        if name not in values:
            wrong[name] = "required"
        elif kind == "glucose" and math.isinf(values[name]):
            continue  # the meter's own HI or LO
        elif not low <= values[name] <= high:
            wrong[name] = "not_possible"
    if not wrong and kind == "blood_pressure" and values["systolic"] <= values["diastolic"]:
        wrong["diastolic"] = "upper_below_lower"
    if wrong:
        raise Invalid(fields=wrong)


def _typed(kind: str, values: dict[str, float]) -> dict[str, Any]:
    if kind == "glucose":
        value = values["glucose_mmol_l"]
        if math.isinf(value):
            return {"mmol_per_l": None, "concentration": "+INFINITY" if value > 0 else "-INFINITY"}
        return {"mmol_per_l": value, "unit": "mmol/L"}
    return {
        "unit": "mmHg", "systolic_mmhg": values["systolic"], "diastolic_mmhg": values["diastolic"],
        "pulse_rate": values["pulse"],
    }  # fmt: skip


class StoredReading(Protocol):
    """What others are told of a stored reading, whether it was typed in or came from a meter."""

    @property
    def id(self) -> UUID: ...
    @property
    def visit_id(self) -> UUID: ...
    @property
    def patient_id(self) -> UUID: ...
    @property
    def branch_id(self) -> UUID: ...
    @property
    def kind(self) -> str: ...
    @property
    def status(self) -> str: ...


def tell_stored(services: Services, tx: Session, reading: StoredReading) -> None:
    """Publish that a reading is stored, and move its series on."""
    at = services.clock()
    services.publish(
        tx,
        ReadingStored(
            reading.id, reading.visit_id, reading.patient_id, reading.branch_id, reading.kind, reading.status, at
        ),
    )
    continue_series(services, tx, reading)


def continue_series(services: Services, tx: Session, reading: StoredReading) -> None:
    """Give a stored reading to the step that waits for it; publish that the series is complete when it is."""
    at, visit_id = services.clock(), reading.visit_id
    reasons = _reasons_of(services, tx, reading) if reading.status != "usable" else ()
    if rules_glucose.UNCLEAR_NOW in reasons:
        services.publish(tx, StripUnclear(visit_id, reading.patient_id, reading.branch_id, at))
    if note_reading(services, tx, visit_id, reading.kind, reading.status, reading.id, reasons, _figures(services, tx)):
        services.publish(tx, SeriesComplete(visit_id, reading.patient_id, reading.branch_id, at))


def _reasons_of(services: Services, tx: Session, reading: StoredReading) -> tuple[str, ...]:
    record = services.vault.open(tx, reading, "clinical")
    reasons = tuple(record.get("reasons", ()))
    is_unclear = rules_glucose.is_unclear_now(reasons, record["decoded"])
    return (*reasons, rules_glucose.UNCLEAR_NOW) if is_unclear else reasons


# --- the pressure series ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SeriesView:
    """What a visit's pressures stand for: the mean, the singles that count with their places, the guideline's rule."""

    guideline: str
    year: int
    is_demo: bool
    mean: series.Mean
    singles: dict[UUID, series.Single]
    irregular_pulse: bool

    @property
    def shown(self) -> str:
        return f"{self.mean.systolic_mmhg:.0f}/{self.mean.diastolic_mmhg:.0f}"


def series_of_visit(services: Services, who: Principal, visit_id: UUID) -> SeriesView | None:
    """Return the visit's pressure by the rule it was opened with; audited. None before the first usable reading."""
    with services.act(who, "reading.read", _subject_of(services, visit_id)) as tx:
        visit = tx.get(Visit, visit_id)
        assert visit is not None
        rule, singles = protocols()[visit.protocol], pressure_series(tx, visit, _figures(services, tx))
        mean = series.mean(rule, singles)
        if mean is None:
            return None
        known = {single.reading_id: single for single in singles if single.reading_id}
        irregular = series.is_irregular(singles)
        return SeriesView(rule["guideline"], rule["year"], rule["demo"], mean, known, irregular)


def _figures(services: Services, tx: Session, opened: Sequence[ReadingView] = ()) -> Figures:
    """Return what opens the pressures of a series, for the rule that decides how it goes on. `opened` needs no second
    look.
    """
    known = {view.id: view for view in opened}

    def open_singles(ids: Sequence[UUID]) -> dict[UUID, series.Single]:
        if closed := [one for one in ids if one not in known]:
            rows = tx.scalars(select(Reading).where(Reading.id.in_(closed), IN_RECORD))
            known.update((row.id, _view(services, tx, row)) for row in rows)
        return {one: single for one in ids if one in known and (single := _single(known[one])) is not None}

    return open_singles


def _single(view: ReadingView) -> series.Single | None:
    if view.systolic_mmhg is None or view.diastolic_mmhg is None:
        return None
    # A movement makes the pulse look irregular: such a reading says nothing about it.
    irregular = view.irregular_pulse and "body_movement" not in view.reasons
    return series.Single(view.systolic_mmhg, view.diastolic_mmhg, view.pulse, irregular, reading_id=view.id)


# --- triage -------------------------------------------------------------------------------------------------------


_triage = Triage.__table__.c
_LEVEL = select(_triage.level).where(_triage.visit_id == bindparam("visit"))


def triage_of(tx: Session, visit_id: UUID) -> str:
    """Return the stored level of a visit; UNKNOWN before the first."""
    return ask(tx, _LEVEL, {"visit": visit_id}).scalar() or rules.UNKNOWN


def triage_visit(services: Services, tx: Session, visit: Visit) -> str:
    """Find the visit's level from its answers and results, store it, and publish a change."""
    tx.flush()
    subject = Subject(patient_id=visit.patient_id, visit_id=visit.id)
    audit.record(tx, services.clock(), SYSTEM, "reading.triage", subject, allowed=True, reason="rule")
    views = _newest_views(services, tx, visit.id)
    level = reduce(rules.worse, map(rules.triage, cases_of(services, tx, visit, views)))
    if _has_doubt(views):
        level = rules.worse(level, rules.UNKNOWN)
    if ask(tx, _LEVEL, {"visit": visit.id}).scalar() == level:
        return level
    row = tx.get(Triage, visit.id)
    if row is None:
        row = Triage(visit_id=visit.id, branch_id=visit.branch_id)
        tx.add(row)
    row.level, row.ruleset, row.at = level, rules.RULESET, services.clock()
    services.publish(tx, TriageChanged(visit.id, visit.patient_id, visit.branch_id, level, row.at))
    return level


def _has_doubt(views: Sequence[ReadingView]) -> bool:
    """Tell whether the newest try of a kind is no good result: what was measured before it does not make GREEN. Control
    solution is not the patient's.
    """
    patients = [view for view in views if "control_solution" not in view.reasons]
    newest = {view.kind: view for view in patients}
    return any(view.status != "usable" for view in newest.values())


def cases_of(services: Services, tx: Session, visit: Visit, views: Sequence[ReadingView]) -> list[rules.Case]:
    """Return what triage looks at: the answers, the pressure by the visit's rule, the newest glucose; and the same with
    what was measured after the series was over, as nobody measures again without a cause. The worse one counts.
    """
    answers = checkup.read_answers(services, tx, visit)
    usable = [view for view in views if view.status != "not_a_result"]
    everything = [single for view in usable if (single := _single(view)) is not None]
    # Doubtful readings count only while there is no better one: a true crisis must not wait for a calm arm.
    counted = pressure_series(tx, visit, _figures(services, tx, views))
    good = [single for view in usable if view.status == "usable" and (single := _single(view)) is not None]
    singles, later = series.in_measured_order(counted, good) if counted else (everything, [])
    glucose = [value for view in views if (value := _glucose_of(view)) is not None]
    case = rules.Case(
        symptoms=frozenset(answers.get("symptoms", ())) & rules.SYMPTOMS,
        answered=visit.answered_at is not None,
        glucose_mmol_l=glucose[-1] if glucose else None,
        fasting=answers.get("fasting"),
        irregular_pulse=series.is_irregular(everything),
        known_hypertension=answers.get("known_hypertension"),
    )
    protocol = protocols()[visit.protocol]
    means = [series.mean(protocol, some) for some in (singles, later[-1:]) if some]
    return [_with_pressure(case, mean) for mean in means] or [case]


def _with_pressure(case: rules.Case, mean: series.Mean | None) -> rules.Case:
    if mean is None:
        return case
    return replace(case, systolic_mmhg=mean.systolic_mmhg, diastolic_mmhg=mean.diastolic_mmhg, pulse=mean.pulse)


def _glucose_of(view: ReadingView) -> float | None:
    beyond = rules.glucose_beyond_the_meter(view.reasons)
    if beyond is not None:
        return beyond
    return view.glucose_mmol_l if view.status != "not_a_result" else None


def has_doubtful(tx: Session, visit_id: UUID) -> bool:
    """Tell whether something was measured in a visit whose value is doubtful or no result."""
    doubtful = select(Reading.id).where(Reading.visit_id == visit_id, Reading.status != "usable", IN_RECORD)
    return tx.scalar(doubtful.limit(1)) is not None


def triage_visit_by_id(services: Services, tx: Session, visit_id: UUID) -> None:
    """Triage a visit after its questions were answered; the job of the journey table."""
    visit = tx.get(Visit, visit_id)
    if visit is None:
        return
    triage_visit(services, tx, visit)


def level_of_visit(services: Services, who: Principal, visit_id: UUID) -> str:
    """Return the visit's urgency for who sees its status, as stored; UNKNOWN until the job after the answers has run.
    Whoever gave the answers has seen the red card by then (desks/counter/emergency).
    """
    with services.look(who, "reading.read_status", _subject_of(services, visit_id)) as tx:
        return triage_of(tx, visit_id)
