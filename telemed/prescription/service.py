"""Use cases of prescription: draft, show what the post may carry, sign what was shown, take back, check."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.access.models import Account
from telemed.access.relations import Principal, Relation, Subject
from telemed.branches import service as branches
from telemed.branches.models import Branch
from telemed.checkup import service_allergies
from telemed.checkup.allergies import Allergies
from telemed.clock import iso
from telemed.consultation.models import Consultation
from telemed.crypto.digest import fields, sha256_hex
from telemed.errors import Conflict, Forbidden, Invalid, NotFound
from telemed.ids import new_id
from telemed.patients import service as patients
from telemed.patients.models import Patient
from telemed.prescription import doses, rules
from telemed.prescription.catalogue import medicines
from telemed.prescription.doses import Sum
from telemed.prescription.events import PrescriptionCancelled, PrescriptionSigned
from telemed.prescription.models import Prescription
from telemed.prescription.rules import Eligibility, Medicine
from telemed.services import Services

RELATIONS: tuple[Relation, ...] = ()
NUMBER_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # none that an old printer makes look alike


@dataclass(frozen=True)
class PrescriptionView:
    """A prescription opened for somebody who may read it. `content_hash` is what a signature must name. `sums` is the
    arithmetic of each item, None for a form that is not counted in pieces; `faults` is what keeps a draft from being
    signed, by field.
    """

    id: UUID
    number: str
    state: str
    consultation_id: UUID
    items: list[dict[str, Any]]
    basis: dict[str, Any] | None
    postal: bool
    postal_reason: str | None
    postal_item: str | None
    content_hash: str
    created_at: datetime
    signed_at: datetime | None
    valid_until: datetime | None
    cancelled_at: datetime | None
    is_verified: bool | None
    sums: list[Sum | None]
    faults: dict[str, str]


@dataclass(frozen=True)
class Panel:
    """What the doctor's prescription panel shows. `post_refusal`: why nothing at all may go to this patient by post.
    `draft_id`: under which the form sends a new draft, so that a second press makes no second draft.
    """

    consultation_id: UUID
    prescriptions: list[PrescriptionView]
    medicines: list[Medicine]
    barred: dict[str, str]
    post_refusal: str | None
    draft_id: UUID


@dataclass(frozen=True)
class Paper:
    """What is printed."""

    prescription: PrescriptionView
    patient_name: str
    birth_date: str
    sex: str
    allergies: Allergies | None
    doctor_name: str
    branch_name: str
    zone: str
    fingerprint: str


def catalogue() -> list[Medicine]:
    """Return all medicines that can be prescribed."""
    return list(medicines().values())


def eligibility(items: Iterable[dict[str, Any]], *, rx_by_post: bool) -> Eligibility:
    """Return whether the post may carry the items, and why not."""
    return rules.eligibility([str(item.get("code")) for item in items], medicines(), rx_by_post=rx_by_post)


def draft(
    services: Services,
    who: Principal,
    consultation_id: UUID,
    items: list[dict[str, Any]],
    basis: dict[str, Any] | None = None,
    prescription_id: UUID | None = None,
) -> UUID:
    """Store a draft and return its id. Each item: code, quantity (packs), directions, days. Raises Invalid.

    The same id is the same draft, however often its form is sent; Conflict("draft_changed") when its contents differ.
    """
    with services.db.read() as tx:
        subject = _subject_of_case(tx, consultation_id)
    clinical = _checked(services, items, basis, subject)
    with services.act(who, "prescription.write", subject) as tx:
        case = tx.get_one(Consultation, consultation_id)
        known = tx.get(Prescription, prescription_id) if prescription_id else None
        if known is not None:
            _same_or_raise(services, tx, known, case, who, clinical)
            return known.id
        row = Prescription(
            id=prescription_id or new_id(), number=_new_number(services), consultation_id=case.id,
            patient_id=case.patient_id, branch_id=case.branch_id, doctor_id=who.id, state="draft", clinical_rev=0,
            created_at=services.clock(),
        )  # fmt: skip
        services.vault.seal(tx, row, "clinical", clinical)
        tx.add(row)
    return row.id


def change_draft(
    services: Services,
    who: Principal,
    prescription_id: UUID,
    items: list[dict[str, Any]],
    basis: dict[str, Any] | None = None,
    *,
    base: str | None = None,
) -> None:
    """Replace the contents of a draft. Raises Invalid, or Conflict when it is signed or cancelled, or when its contents
    are no longer those whose hash is `base`.
    """
    subject = _subject(services, prescription_id)
    clinical = _checked(services, items, basis, subject)
    with services.act(who, "prescription.write", subject) as tx:
        row = _own_row(tx, who, prescription_id)
        if row.state != "draft":
            raise Conflict("not_a_draft")
        now = _content_hash(row, services.vault.open(tx, row, "clinical"))
        if base is not None and base != now and _content_hash(row, clinical) != now:
            raise Conflict("draft_changed")
        services.vault.seal(tx, row, "clinical", clinical)


def _same_or_raise(
    services: Services, tx: Session, known: Prescription, case: Consultation, who: Principal, clinical: dict[str, Any]
) -> None:
    if known.consultation_id != case.id or known.doctor_id != who.id:
        raise Conflict("prescription_id_used")
    if _content_hash(known, clinical) != _content_hash(known, services.vault.open(tx, known, "clinical")):
        raise Conflict("draft_changed")


def sign(services: Services, who: Principal, prescription_id: UUID, content_hash: str) -> None:
    """Sign exactly what was shown. Raises Conflict(content_changed), or Invalid when the basis is missing or packs, dose
    and days of a line do not fit.
    """
    with services.act(who, "prescription.sign", _subject(services, prescription_id)) as tx:
        row = _own_row(tx, who, prescription_id)
        _step(row, "sign")
        clinical = services.vault.open(tx, row, "clinical")
        shown = _content_hash(row, clinical)
        if not hmac.compare_digest(shown.encode(), content_hash.strip().lower().encode()):
            raise Conflict("content_changed")
        if not clinical.get("basis"):
            raise Invalid(fields={"basis": "basis_required"})
        if faults := doses.faults_of_sums(clinical["items"], medicines()):
            raise Invalid(fields=faults)
        verdict = _postal(services, tx, row, clinical["items"])
        row.postal, row.postal_reason = verdict.ok, verdict.reason
        row.signed_at = services.clock()
        row.valid_until = row.signed_at + rules.VALIDITY
        row.key_id, row.signature = services.signer.sign(tx, "prescription", row.doctor_id, *_signed_fields(row, shown))
        services.publish(
            tx,
            PrescriptionSigned(row.id, row.consultation_id, row.patient_id, row.branch_id, verdict.ok, row.signed_at),
        )


def cancel(services: Services, who: Principal, prescription_id: UUID) -> None:
    """Take a prescription back: a draft is dropped, a signed one is cancelled and its order with it."""
    with services.act(who, "prescription.cancel", _subject(services, prescription_id)) as tx:
        row = _own_row(tx, who, prescription_id)
        was_signed = row.state == "signed"
        _step(row, "cancel" if was_signed else "discard")
        row.cancelled_at = services.clock()
        if was_signed:
            services.publish(tx, PrescriptionCancelled(row.id, row.patient_id, row.branch_id, row.cancelled_at))


def prescriptions_of_consultation(
    services: Services, who: Principal, consultation_id: UUID
) -> list[PrescriptionView]:
    """Return a case's prescriptions, the newest first. A protected read."""
    with services.db.read() as tx:
        subject = _subject_of_case(tx, consultation_id)
    with services.act(who, "prescription.read", subject) as tx:
        rows = tx.scalars(
            select(Prescription)
            .where(Prescription.consultation_id == consultation_id)
            .order_by(Prescription.created_at.desc(), Prescription.number)
        )
        return [_view(services, tx, row) for row in rows]


def therapy_of(services: Services, who: Principal, patient_id: UUID) -> list[PrescriptionView]:
    """Return the patient's signed prescriptions that are still valid, of any doctor, the newest first; audited."""
    with services.act(who, "prescription.read", Subject(patient_id=patient_id)) as tx:
        rows = tx.scalars(
            select(Prescription)
            .where(
                Prescription.patient_id == patient_id,
                Prescription.state == "signed",
                Prescription.valid_until > services.clock(),
            )
            .order_by(Prescription.signed_at.desc())
        ).all()
        return [_view(services, tx, row) for row in rows]


def panel(services: Services, who: Principal, consultation_id: UUID) -> Panel:
    """Return all that `prescription/parts/panel.html` needs."""
    shown = prescriptions_of_consultation(services, who, consultation_id)
    with services.db.read() as tx:
        case = tx.get_one(Consultation, consultation_id)
        refusal = _post_refusal(services, tx, case.patient_id)
        allowed = branches.rx_by_post(tx, case.branch_id)
    reasons = {m.code: rules.why_not_by_post(m, rx_by_post=allowed) for m in catalogue()}
    barred = {code: reason for code, reason in reasons.items() if reason}
    standing = [p for p in shown if p.state != "cancelled" or p.signed_at]
    return Panel(consultation_id, standing, catalogue(), barred, refusal, new_id())


def person_of_case(
    services: Services, who: Principal, consultation_id: UUID
) -> tuple[patients.PatientCard, Allergies, str]:
    """Return for whom is prescribed, the allergies, and the zone of the branch; audited."""
    with services.db.read() as tx:
        subject = _subject_of_case(tx, consultation_id)
        assert subject.branch_id is not None
        zone = branches.branch_of(tx, subject.branch_id).zone
    assert subject.patient_id is not None
    card = patients.patient_card(services, who, subject.patient_id)
    return card, service_allergies.allergies_of(services, who, subject.patient_id), zone


def read_prescription(services: Services, who: Principal, prescription_id: UUID) -> PrescriptionView:
    """Return one prescription. A protected read."""
    with services.act(who, "prescription.read", _subject(services, prescription_id)) as tx:
        return _view(services, tx, tx.get_one(Prescription, prescription_id))


def paper(services: Services, who: Principal, prescription_id: UUID) -> Paper:
    """Return a prescription with the names that its print needs. A protected read."""
    with services.act(who, "prescription.read", _subject(services, prescription_id)) as tx:
        row = tx.get_one(Prescription, prescription_id)
        view = _view(services, tx, row)
        # Of an old case the doctor has what the doctor wrote, and not what visits since have brought.
        may_read_answers = services.may(tx, who, "visit.read_answers", _subject_of_case(tx, row.consultation_id))
        doctor, branch = tx.get(Account, row.doctor_id), tx.get_one(Branch, row.branch_id)
        identity = services.vault.open(tx, tx.get_one(Patient, row.patient_id), "identity")
        return Paper(
            prescription=view,
            patient_name=patients.name_of(services, tx, row.patient_id),
            birth_date=str(identity["birth_date"]),
            sex=str(identity["sex"]),
            allergies=service_allergies.read_allergies(services, tx, row.patient_id) if may_read_answers else None,
            doctor_name=doctor.display_name if doctor else "",
            branch_name=branch.name,
            zone=branch.zone,
            fingerprint=sha256_hex(row.signature)[:32] if row.signature else "",
        )


def items_of(services: Services, tx: Session, prescription: Prescription) -> list[dict[str, Any]]:
    """Return the items, inside the caller's audited transaction."""
    return list(services.vault.open(tx, prescription, "clinical").get("items", []))


def is_postal(services: Services, tx: Session, prescription: Prescription) -> bool:
    """Tell whether the post may still carry it: the consent to pass the address on may be gone since the signature."""
    items = items_of(services, tx, prescription)
    return bool(prescription.postal) and _postal(services, tx, prescription, items).ok


def verify(services: Services, tx: Session, prescription: Prescription) -> bool:
    """Tell whether the doctor's signature fits what is stored now."""
    if prescription.signature is None or prescription.signed_at is None or prescription.key_id is None:
        return False
    content_hash = _content_hash(prescription, services.vault.open(tx, prescription, "clinical"))
    return services.signer.verify(
        tx, prescription.key_id, "prescription", prescription.doctor_id, prescription.signature,
        *_signed_fields(prescription, content_hash),
    )  # fmt: skip


def _checked(
    services: Services, items: list[dict[str, Any]], basis: dict[str, Any] | None, subject: Subject
) -> dict[str, Any]:
    faults = rules.faults_of_items(items, medicines())
    faults.update(rules.faults_of_basis(basis, services.today_at(subject.branch_id)))
    if faults:
        raise Invalid(fields=faults)
    return {"items": [_item(item) for item in items], "basis": _basis(basis)}


def _item(item: dict[str, Any]) -> dict[str, Any]:
    medicine = medicines()[item["code"]]
    return {
        "code": medicine.code, "inn": medicine.inn["en"], "form": medicine.form, "strength": medicine.strength,
        "quantity": item["quantity"], "directions": " ".join(item["directions"].split()), "days": item["days"],
    }  # fmt: skip


def _basis(basis: dict[str, Any] | None) -> dict[str, Any] | None:
    if not basis:
        return None
    if basis["kind"] == "experiment":
        return {"kind": "experiment"}
    return {"kind": "in_person", **{key: str(basis[key]).strip() for key in ("date", "clinic", "doctor")}}


def _subject(services: Services, prescription_id: UUID) -> Subject:
    with services.db.read() as tx:
        row = tx.get(Prescription, prescription_id)
        if row is None:
            raise NotFound()
        return _subject_of_case(tx, row.consultation_id)


def _subject_of_case(tx: Session, consultation_id: UUID) -> Subject:
    case = tx.get(Consultation, consultation_id)
    if case is None:
        raise NotFound()
    return Subject(
        patient_id=case.patient_id, branch_id=case.branch_id, region_id=case.region_id, visit_id=case.visit_id,
        consultation_id=case.id,
    )  # fmt: skip


def _own_row(tx: Session, who: Principal, prescription_id: UUID) -> Prescription:
    row = tx.scalar(select(Prescription).where(Prescription.id == prescription_id).with_for_update())
    if row is None:
        raise NotFound()
    if row.doctor_id != who.id:
        raise Forbidden("other_doctors_prescription")
    return row


def _step(row: Prescription, deed: str) -> None:
    state = rules.next_state(row.state, deed)
    if state is None:
        raise Conflict("not_a_draft" if deed == "sign" else "already_cancelled")
    row.state = state


def _content_hash(row: Prescription, clinical: dict[str, Any]) -> str:
    head = ("telemed-prescription-content-1", str(row.id), row.number, str(row.consultation_id), str(row.patient_id))
    lines = rules.content((*head, str(row.doctor_id)), clinical.get("items", []), clinical.get("basis"))
    return sha256_hex(fields(*lines))


def _signed_fields(row: Prescription, content_hash: str) -> tuple[str, ...]:
    assert row.signed_at is not None
    assert row.valid_until is not None
    return content_hash, iso(row.signed_at), iso(row.valid_until), "postal" if row.postal else "collect"


def _view(services: Services, tx: Session, row: Prescription) -> PrescriptionView:
    clinical = services.vault.open(tx, row, "clinical")
    items = clinical.get("items", [])
    verdict = Eligibility(bool(row.postal), row.postal_reason)
    if row.state == "draft":
        verdict = _postal(services, tx, row, items)
    return PrescriptionView(
        id=row.id, number=row.number, state=row.state, consultation_id=row.consultation_id, items=items,
        basis=clinical.get("basis"), postal=verdict.ok, postal_reason=verdict.reason, postal_item=verdict.item,
        content_hash=_content_hash(row, clinical), created_at=row.created_at, signed_at=row.signed_at,
        valid_until=row.valid_until, cancelled_at=row.cancelled_at,
        is_verified=verify(services, tx, row) if row.signature else None, sums=[_sum(item) for item in items],
        faults=doses.faults_of_sums(items, medicines()) if row.state == "draft" else {},
    )  # fmt: skip


def _sum(item: dict[str, Any]) -> Sum | None:
    medicine = medicines().get(item["code"])
    return doses.sum_of(item, medicine) if medicine else None


def _postal(services: Services, tx: Session, row: Prescription, items: list[dict[str, Any]]) -> Eligibility:
    # Decree 292 of 22.02.2023 allowed it in three regions until 01.03.2026: a fact of the region, not of the program.
    by_items = eligibility(items, rx_by_post=branches.rx_by_post(tx, row.branch_id))
    if not by_items.ok:
        return by_items
    refusal = _post_refusal(services, tx, row.patient_id)
    return Eligibility(refusal is None, refusal)


def _post_refusal(services: Services, tx: Session, patient_id: UUID) -> str | None:
    # Name and address go to another organisation: law 152-FZ wants the patient's agreement to that.
    if not patients.has_consent(tx, patient_id, "delivery"):
        return "no_delivery_consent"
    return None if patients.contact_of(services, tx, patient_id).get("address") else "address_missing"


def _new_number(services: Services) -> str:
    day = services.clock().strftime("%y%m%d")
    return f"{day}-{''.join(secrets.choice(NUMBER_LETTERS) for _ in range(6))}"
