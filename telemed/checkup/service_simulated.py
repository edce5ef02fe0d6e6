"""The buttons of a demo's simulated meters. A press travels to the meter as an order of the gateway's heartbeat."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Subject
from telemed.branches import service as branches
from telemed.checkup import rules
from telemed.checkup.models import SeriesStep, Visit
from telemed.checkup.service import METER_KINDS, ask_next, subject_of
from telemed.checkup.service_series import OPEN_STEPS
from telemed.errors import Conflict, Forbidden, Invalid
from telemed.services import Services


def refuse_outside_demo(services: Services) -> None:
    """Raise Forbidden("demo_only") in a real deployment: no reading of a real patient is ever made up."""
    if not services.demo:
        raise Forbidden("demo_only")


def simulate(
    services: Services, who: Principal, visit_id: UUID, kind: str, values: dict[str, Any] | None = None,
    fault: str | None = None,
) -> None:  # fmt: skip
    """Ask for the next measurement of a visit and let the simulated meter take it. Raises Forbidden("demo_only"),
    Invalid, Conflict as `ask_measurement` does, or "no_gateway"; then nothing is asked.
    """
    refuse_outside_demo(services)
    _refuse_unknown(kind, fault)
    subject = subject_of(services, visit_id)
    with services.act(who, "visit.ask_measurement", subject) as tx:
        services.allow(tx, who, "visit.simulate", subject)
        visit = ask_next(services, tx, visit_id, kind)
        _press(services, tx, visit.branch_id, kind, values, fault)


def press(services: Services, who: Principal, kind: str, fault: str | None = None) -> UUID | None:
    """Let the branch's simulated meter measure now, whether or not a visit waits for it; return the visit that does.
    Raises as `simulate`.
    """
    refuse_outside_demo(services)
    _refuse_unknown(kind, fault)
    subject = Subject(branch_id=who.branch_id)
    with services.act(who, "meter.simulate", subject) as tx:
        assert who.branch_id is not None
        visit_id = tx.scalar(_WAITING.where(Visit.branch_id == who.branch_id, SeriesStep.kind == kind))
        if visit_id is None:  # as when somebody takes up the meter with no patient there
            _press(services, tx, who.branch_id, kind, None, fault)
    if visit_id is not None:
        simulate(services, who, visit_id, kind, None, fault)
    return visit_id


_WAITING = (
    select(Visit.id)
    .join(SeriesStep, SeriesStep.visit_id == Visit.id)
    .where(Visit.state.in_(rules.LIVING), Visit.answered_at.is_not(None), SeriesStep.state.in_(OPEN_STEPS))
    .order_by(Visit.opened_at.desc())
    .limit(1)
)


def _refuse_unknown(kind: str, fault: str | None) -> None:
    if kind not in METER_KINDS:
        raise Invalid(fields={"kind": "required"})
    if fault is not None and kind not in rules.SIMULATED_FAULTS.get(fault, ()):
        raise Invalid(fields={"fault": "invalid"})


def _press(
    services: Services, tx: Session, branch_id: UUID, kind: str, values: dict[str, Any] | None, fault: str | None
) -> None:
    body = {"meter": kind, "values": values, "fault": fault}
    if branches.order_gateway(services, tx, branch_id, "simulate", body) is None:
        raise Conflict("no_gateway")
