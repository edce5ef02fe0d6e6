"""The one way a parcel moves: the table decides, custody is written down, the news is stored with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Relation, Subject
from telemed.crypto import tokens
from telemed.crypto.envelope import Unsealable
from telemed.db import Reads
from telemed.delivery import rules
from telemed.delivery.events import ParcelDelivered, ParcelMoved
from telemed.delivery.models import CustodyEvent, Parcel
from telemed.errors import Conflict, NotFound
from telemed.ids import new_id
from telemed.prepared import ask
from telemed.services import Services

_POSTMAN = select(Parcel.__table__.c.postman_id).where(Parcel.__table__.c.id == bindparam("parcel"))


def _is_assigned(tx: Reads, who: Principal, subject: Subject) -> bool:
    if who.id is None:
        return False
    if subject.parcel_id is None:  # the postman's own list: every row in it is filtered by `subjects`
        return subject.account_id == who.id
    return ask(tx, _POSTMAN, {"parcel": subject.parcel_id}).scalar() == who.id


ASSIGNED = Relation("assigned", _is_assigned, lambda who: select(Parcel.id).where(Parcel.postman_id == who.id))


def move(
    services: Services,
    tx: Session,
    parcel: Parcel,
    deed: str,
    *,
    actor_id: UUID | None,
    device_id: UUID | None = None,
    reason: str | None = None,
    happened_at: datetime | None = None,
    verified: bool | None = None,
) -> None:
    """Take one step of the table. Raises Conflict when it is not legal now."""
    to_state = rules.next_state(parcel.state, deed)
    if to_state is None:
        raise Conflict("parcel_ended" if parcel.state in rules.FINAL else "step_not_legal")
    now = services.clock()
    happened_at = happened_at or now
    at = rules.believable_time(happened_at, parcel.given_at, now)
    is_final = to_state in rules.FINAL
    tx.add(
        CustodyEvent(
            id=new_id(), parcel_id=parcel.id, kind=deed, from_state=parcel.state, to_state=to_state,
            from_holder=parcel.holder, to_holder=rules.HOLDER[to_state], actor_id=actor_id,
            postman_id=parcel.postman_id, device_id=device_id, reason=reason, happened_at=happened_at,
            recorded_at=now, clock_suspect=rules.is_clock_suspect(happened_at, now),
            final_mark=True if is_final else None,
        )
    )  # fmt: skip
    parcel.state, parcel.holder, parcel.version = to_state, rules.HOLDER[to_state], parcel.version + 1
    if is_final:
        parcel.ended_at, parcel.ended_code, parcel.verified = at, reason, verified
    tx.flush()
    _tell(services, tx, parcel, at)


def _tell(services: Services, tx: Session, parcel: Parcel, at: datetime) -> None:
    services.publish(
        tx,
        ParcelMoved(
            parcel.id, parcel.order_id, parcel.branch_id, parcel.region_id, parcel.postman_id, parcel.state, at
        ),
    )
    if parcel.state in rules.WITH_PATIENT:
        verified = bool(parcel.verified)
        services.publish(
            tx, ParcelDelivered(parcel.id, parcel.order_id, parcel.patient_id, parcel.branch_id, verified, at)
        )


def subject_of(services: Services, parcel_id: UUID) -> Subject:
    """Return what decisions need to know of a parcel. Raises NotFound."""
    with services.db.read() as tx:
        parcel = tx.get(Parcel, parcel_id)
    if parcel is None:
        raise NotFound()
    return Subject(
        patient_id=parcel.patient_id, branch_id=parcel.branch_id, region_id=parcel.region_id,
        order_id=parcel.order_id, parcel_id=parcel.id,
    )  # fmt: skip


def locked(tx: Session, parcel_id: UUID) -> Parcel:
    """Return the parcel, held until the transaction ends. Raises NotFound."""
    parcel = tx.scalar(select(Parcel).where(Parcel.id == parcel_id).with_for_update())
    if parcel is None:
        raise NotFound()
    return parcel


def fault_of_proof(services: Services, tx: Session, parcel: Parcel, readings: Sequence[str]) -> str | None:
    """Return why what was typed does not prove that this parcel reached its patient, or None. `readings`: all that it may
    mean, together one try. The parcel must be locked.

    The square's secret has 128 bits and is looked at whenever it comes. The spoken code ends for good after some wrong
    ones: the caller must store the count, also where it refuses.
    """
    if any(tokens.matches(reading, parcel.proof_hash) for reading in readings):
        return None
    spoken = [reading for reading in readings if rules.is_spoken(reading)]
    if not spoken:
        return "proof_wrong"
    codes = [code for code in spoken if not rules.is_mistyped(code)]
    return _fault_of_codes(services, tx, parcel, codes) if codes else "code_mistyped"


def _fault_of_codes(services: Services, tx: Session, parcel: Parcel, codes: list[str]) -> str | None:
    if parcel.code_wrong >= rules.CODE_TRIES:
        return "code_ended"
    known = _code_of(services, tx, parcel)
    if any(tokens.is_same(code, known) for code in codes):
        return None
    parcel.code_wrong += 1
    return "code_wrong"


def _code_of(services: Services, tx: Session, parcel: Parcel) -> str:
    try:
        return str(services.vault.open(tx, parcel, "proof").get("code", ""))
    except Unsealable:
        return ""  # the patient's data was erased meanwhile: no code is right any more


def flags_of(parcel: Parcel) -> list[str]:
    """Return what the bearer must mind; never what is inside."""
    flags = {"document": parcel.needs_document, "recalled": parcel.recalled_at is not None}
    return [flag for flag, holds in flags.items() if holds]
