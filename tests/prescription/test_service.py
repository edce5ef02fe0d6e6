"""Drafts, signatures, cancellations, and who may do what."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import select

from telemed.access.models import AuditRow
from telemed.errors import Conflict, Forbidden, Invalid, NotFound
from telemed.ids import new_id
from telemed.outbox import Job
from telemed.prescription import service
from telemed.prescription.models import Prescription
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.make import Hands
from tests.prescription import made

VERA = cast.VERA.who


def drafted(services: Services, hands: Hands, *, items: list | None = None, basis: dict | None = None) -> UUID:
    return service.draft(services, VERA, made.case(hands), items or made.TABLETS, basis or made.IN_PERSON)


def shown(services: Services, prescription_id: UUID) -> service.PrescriptionView:
    return service.read_prescription(services, VERA, prescription_id)


def signed(services: Services, hands: Hands) -> UUID:
    prescription_id = drafted(services, hands)
    service.sign(services, VERA, prescription_id, shown(services, prescription_id).content_hash)
    return prescription_id


def test_a_signed_prescription_is_valid_sixty_days_and_its_signature_fits(
    services: Services, hands: Hands, clock: Clock
) -> None:
    made.agree(hands)
    view = shown(services, signed(services, hands))

    assert (view.state, view.postal, view.is_verified) == ("signed", True, True)
    assert view.valid_until is not None
    assert (view.valid_until - clock.now).days == 60


def test_what_cannot_go_by_post_is_said_before_the_signature(services: Services, hands: Hands) -> None:
    made.agree(hands)
    view = shown(services, drafted(services, hands, items=made.INSULIN))

    assert (view.state, view.postal, view.postal_reason, view.postal_item) == (
        "draft", False, "cold_chain", "insulara-100",
    )  # fmt: skip


def test_without_consent_nothing_goes_by_post(services: Services, hands: Hands) -> None:
    assert shown(services, drafted(services, hands)).postal_reason == "no_delivery_consent"


def test_a_signature_names_the_contents_that_were_shown(services: Services, hands: Hands) -> None:
    prescription_id = drafted(services, hands)
    before = shown(services, prescription_id).content_hash
    service.change_draft(services, VERA, prescription_id, made.INSULIN, made.IN_PERSON)

    with pytest.raises(Conflict, match="content_changed"):
        service.sign(services, VERA, prescription_id, before)
    assert shown(services, prescription_id).state == "draft"


def test_no_signature_without_a_ground(services: Services, hands: Hands) -> None:
    prescription_id = service.draft(services, VERA, made.case(hands), made.TABLETS, None)
    with pytest.raises(Invalid) as refused:
        service.sign(services, VERA, prescription_id, shown(services, prescription_id).content_hash)

    assert refused.value.fields == {"basis": "basis_required"}


def test_a_second_signature_is_refused_and_places_no_second_order(services: Services, hands: Hands) -> None:
    prescription_id = signed(services, hands)
    with pytest.raises(Conflict, match="not_a_draft"):
        service.sign(services, VERA, prescription_id, shown(services, prescription_id).content_hash)

    with services.db.read() as tx:
        kinds = tx.scalars(select(Job.kind)).all()
    assert kinds.count("PrescriptionSigned>delivery.place_order") == 1


def test_a_signed_prescription_cannot_be_changed(services: Services, hands: Hands) -> None:
    with pytest.raises(Conflict, match="not_a_draft"):
        service.change_draft(services, VERA, signed(services, hands), made.INSULIN, made.IN_PERSON)


@pytest.mark.parametrize("column", ["number", "valid_until", "clinical", "postal"])
def test_a_signature_does_not_fit_altered_contents(
    services: Services, hands: Hands, clock: Clock, column: str
) -> None:
    prescription_id = signed(services, hands)
    assert shown(services, prescription_id).is_verified is True
    with services.db.write() as tx:
        row = tx.get_one(Prescription, prescription_id)
        if column == "number":
            row.number = "261123-FORGED"
        elif column == "valid_until":
            clock.forward(days=1)
            row.valid_until = clock.now
        elif column == "postal":
            row.postal = not row.postal
        else:
            clinical = services.vault.open(tx, row, "clinical")
            clinical["items"][0]["quantity"] = 12
            services.vault.seal(tx, row, "clinical", clinical)

    assert shown(services, prescription_id).is_verified is False


def test_another_doctors_key_does_not_sign_for_this_one(services: Services, hands: Hands) -> None:
    prescription_id = signed(services, hands)
    with services.db.write() as tx:
        tx.get_one(Prescription, prescription_id).doctor_id = cast.GLEB.id

    assert shown(services, prescription_id).is_verified is False


def test_only_the_doctor_who_cares_for_the_patient_may_write(services: Services, hands: Hands) -> None:
    case = made.case(hands)
    with pytest.raises(NotFound):
        service.draft(services, cast.GLEB.who, case, made.TABLETS)
    for person in (cast.ANNA, cast.DINA, cast.OLEG, cast.GALINA):
        with pytest.raises(Forbidden):
            service.draft(services, person.who, case, made.TABLETS)
    assert service.draft(services, VERA, case, made.TABLETS)


def test_staff_without_care_never_read_a_prescription_and_the_refusal_is_audited(
    services: Services, hands: Hands
) -> None:
    prescription_id = signed(services, hands)
    assert service.read_prescription(services, cast.MARIA.who, prescription_id).items
    for who, error in ((cast.ANNA.who, Forbidden), (cast.OLEG.who, Forbidden), (cast.GLEB.who, NotFound)):
        with pytest.raises(error):
            service.read_prescription(services, who, prescription_id)
    with pytest.raises(NotFound):
        service.read_prescription(services, cast.IVAN.who, prescription_id)

    with services.db.read() as tx:
        refusals = tx.scalars(select(AuditRow).where(AuditRow.allowed.is_(False))).all()
    assert {row.action for row in refusals} == {"prescription.read"}
    assert len(refusals) == 4


def test_unknown_ids_look_missing(services: Services) -> None:
    with pytest.raises(NotFound):
        service.read_prescription(services, VERA, new_id())
    with pytest.raises(NotFound):
        service.draft(services, VERA, new_id(), made.TABLETS)


def test_nothing_of_the_contents_stands_in_the_table_in_clear(services: Services, hands: Hands) -> None:
    prescription_id = signed(services, hands)
    with services.db.read() as tx:
        row = tx.get_one(Prescription, prescription_id)

    assert "lorizapril" not in repr({c.name: getattr(row, c.name) for c in row.__table__.columns})
    assert row.clinical is not None
    assert b"lorizapril" not in row.clinical
