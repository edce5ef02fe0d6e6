"""The running series: the protocol's steps, what a reading does to them, which arm comes next. All of it is rows, so
that it survives a reload, a second window and a restart of the gateway.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.checkup import rules
from telemed.checkup.models import SeriesStep, Visit
from telemed.ids import new_id
from telemed.services import Services

OPEN_STEPS = ("waiting", "asked", "repeat")


@lru_cache(maxsize=1)
def protocols() -> dict[str, Any]:
    """Return the measurement protocols by name: each guideline rule, and its form in seconds for a demo."""
    return rules.all_protocols(json.loads((Path(__file__).parent / "protocols.json").read_text(encoding="utf-8")))


def next_step(tx: Session, visit_id: UUID) -> SeriesStep | None:
    """Return the step whose turn it is, or None when the series is over."""
    return tx.scalar(
        select(SeriesStep)
        .where(SeriesStep.visit_id == visit_id, SeriesStep.state.in_(OPEN_STEPS))
        .order_by(SeriesStep.not_before, SeriesStep.kind.desc(), SeriesStep.ordinal)
        .limit(1)
    )


Figures = Callable[[Sequence[UUID]], Mapping[UUID, rules.Single]]


def note_reading(
    services: Services, tx: Session, visit_id: UUID, kind: str, status: str, reading_id: UUID,
    reasons: Sequence[str] = (), figures: Figures | None = None,
) -> bool:  # fmt: skip
    """Mark the step that a stored reading fulfils, and let the rule plan what follows; tell whether the series is
    complete with it. Called by readings inside their transaction; `figures` opens the pressures, only when the rule
    needs them.
    """
    steps = steps_of(tx, visit_id, kind)
    step = next((step for step in steps if step.state in OPEN_STEPS), None)
    if step is None:
        _tell_late(tx, visit_id, steps, status, reasons)
        return False
    now, visit = services.clock(), tx.get(Visit, visit_id)
    assert visit is not None
    step.tries += 1
    step.advice = rules.advice(status, reasons, step.tries, step.advice)
    step.state, step.done_at = rules.after(status, step.advice), now
    if step.state == "repeat":
        return False
    step.reading_id = reading_id
    if kind == "blood_pressure":
        _plan_on(tx, visit, steps, figures, now)
    tx.flush()
    return next_step(tx, visit_id) is None


def _tell_late(
    tx: Session, visit_id: UUID, steps: Sequence[SeriesStep], status: str, reasons: Sequence[str]
) -> None:  # fmt: skip
    """Say at the last step what nobody may miss, though the series is over; an unclear strip opens it again."""
    visit, last = tx.get(Visit, visit_id), steps[-1] if steps else None
    if last is None or visit is None or visit.state not in rules.LIVING:
        return
    advice = rules.advice(status, reasons, last.tries + 1, last.advice)
    if advice not in rules.NEVER_SILENT:
        return
    last.tries, last.advice = last.tries + 1, advice
    if advice != rules.URGENT:
        last.state = "repeat"


def _plan_on(tx: Session, visit: Visit, steps: list[SeriesStep], figures: Figures | None, now: datetime) -> None:
    """Let the rule choose the arm, end the series early or add a measurement, and keep its interval."""
    protocol, waiting = protocols()[visit.protocol], [step for step in steps if step.state in OPEN_STEPS]
    singles = _singles(steps, figures) if figures else []
    other_arm_waits = bool(waiting) and waiting[0].arm is not None and waiting[0].arm != (singles and singles[-1].arm)
    if singles and not other_arm_waits:
        for step in waiting:
            step.arm = step.arm or rules.higher_arm(singles)
        if rules.is_enough(protocol, singles):
            for step in waiting:
                step.state = "not_needed"
        elif not waiting and rules.needs_one_more(protocol, singles):
            waiting = [_one_more(tx, steps[-1], now)]
    interval = timedelta(seconds=protocol["series"]["blood_pressure"]["interval_s"])
    # The interval counts from when the last measurement really came.
    for step in waiting:
        step.not_before = max(step.not_before, now + interval)


def _one_more(tx: Session, last: SeriesStep, now: datetime) -> SeriesStep:
    step = SeriesStep(
        id=new_id(), visit_id=last.visit_id, kind=last.kind, ordinal=last.ordinal + 1, state="waiting",
        not_before=now, arm=last.arm, tries=0,
    )  # fmt: skip
    tx.add(step)
    return step


def _singles(steps: Sequence[SeriesStep], figures: Figures) -> list[rules.Single]:
    done = {step.reading_id: step for step in steps if step.reading_id is not None}
    known = figures(list(done))
    return [
        replace(known[reading_id], arm=step.arm, ordinal=step.ordinal)
        for reading_id, step in done.items()
        if reading_id in known
    ]


_UNCLEAR = select(SeriesStep.id).where(SeriesStep.advice == rules.STRIP_NOW).limit(1)


def awaits_clear_strip(tx: Session, visit_id: UUID) -> bool:
    """Tell whether the last strip of a visit was not clear and its number would be urgent as glucose."""
    return tx.scalar(_UNCLEAR.where(SeriesStep.visit_id == visit_id)) is not None


def steps_of(tx: Session, visit_id: UUID, kind: str) -> list[SeriesStep]:
    return list(
        tx.scalars(
            select(SeriesStep)
            .where(SeriesStep.visit_id == visit_id, SeriesStep.kind == kind)
            .order_by(SeriesStep.ordinal)
        )
    )


def pressure_series(tx: Session, visit: Visit, figures: Figures) -> list[rules.Single]:
    """Return the pressures that count for the rule of a visit, in their order; empty before the first."""
    return _singles(steps_of(tx, visit.id, "blood_pressure"), figures)


def choose_arms(tx: Session, visit: Visit, arm: str | None) -> None:
    """Give each pressure its arm: on a patient's first visit one on each, then the higher. Nothing once one is done."""
    steps, pressure = steps_of(tx, visit.id, "blood_pressure"), protocols()[visit.protocol]["series"]["blood_pressure"]
    if arm is None or not steps or any(step.reading_id or step.tries for step in steps):
        return
    both = pressure["both_arms_first"] and last_arm(tx, visit.patient_id) is None
    arms = rules.arms_of(arm, pressure["readings"], both=both)
    while len(steps) < len(arms):
        steps.append(_one_more(tx, steps[-1], steps[-1].not_before + timedelta(seconds=pressure["interval_s"])))
    for step, chosen in zip(steps, arms, strict=False):
        step.arm = chosen


def last_arm(tx: Session, patient_id: UUID) -> str | None:
    """Return the arm that a patient's last series ended on, which is the one with the higher pressure."""
    return tx.scalar(
        select(SeriesStep.arm)
        .join(Visit, Visit.id == SeriesStep.visit_id)
        .where(
            Visit.patient_id == patient_id, SeriesStep.kind == "blood_pressure", SeriesStep.reading_id.is_not(None),
            SeriesStep.arm.is_not(None),
        )
        .order_by(SeriesStep.done_at.desc(), SeriesStep.ordinal.desc())
        .limit(1)
    )  # fmt: skip
