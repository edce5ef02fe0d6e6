"""Whether the doctor has asked the patient in: the doctor is in the call, and the corner is not there yet."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.consultation import rules
from telemed.consultation.models import CallStep, Consultation


def is_asked_in(tx: Session, case: Consultation) -> bool:
    """Tell whether the doctor waits in the call for the corner."""
    if case.state not in rules.WITH_DOCTOR:
        return False
    return _is_in_call(tx, case, "doctor") and not _is_in_call(tx, case, "clerk")


def _is_in_call(tx: Session, case: Consultation, role: str) -> bool:
    """Tell whether this side came into the call of the case's present doctor and has not left it since."""
    newest = select(CallStep.kind).where(
        CallStep.consultation_id == case.id, CallStep.role == role, CallStep.kind.in_(("joined", "left"))
    )
    if case.taken_at is not None:
        newest = newest.where(CallStep.at >= case.taken_at)
    order = (CallStep.at.desc(), (CallStep.kind == "joined").desc())  # a page that was loaded anew leaves and comes at once
    return tx.scalar(newest.order_by(*order).limit(1)) == "joined"
