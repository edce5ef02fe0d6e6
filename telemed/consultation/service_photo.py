"""Use cases of photographs: the corner takes them on the doctor's request, either page brings them, the doctor sees."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select

from telemed.access.relations import Principal
from telemed.consultation import rules
from telemed.consultation.events import PhotoStored
from telemed.consultation.models import CallPhoto, Consultation
from telemed.consultation.photo import clean_jpeg
from telemed.consultation.relations import subject_of
from telemed.errors import Conflict, Invalid, NotFound
from telemed.services import Services

PHOTOS_MOST = 20


@dataclass(frozen=True)
class PhotoView:
    id: UUID
    at: datetime


def add_photo(services: Services, who: Principal, case_id: UUID, photo_id: UUID, jpeg: str) -> None:
    """Store a photograph (base64) once. Raises Invalid when it is no JPEG, Conflict after the talk or at the limit."""
    try:
        content = clean_jpeg(base64.b64decode(jpeg, validate=True))
    except (ValueError, binascii.Error):
        raise Invalid(fields={"jpeg": "not_a_photo"}) from None
    with services.act(who, "consultation.add_photo", subject_of(services, case_id)) as tx:
        case = tx.get(Consultation, case_id)
        assert case is not None
        if case.state not in rules.WITH_DOCTOR or (who.role == "doctor" and case.doctor_id != who.id):
            raise Conflict("no_call_now")
        known = tx.get(CallPhoto, photo_id)
        if known is not None:  # it came by the other way already
            if known.consultation_id != case.id:
                raise Conflict("message_id_used")
            return
        if (tx.scalar(select(func.count()).where(CallPhoto.consultation_id == case.id)) or 0) >= PHOTOS_MOST:
            raise Conflict("too_many_photos")
        row = CallPhoto(
            id=photo_id, consultation_id=case.id, patient_id=case.patient_id, at=services.clock(), image_rev=0
        )
        services.vault.seal(tx, row, "image", {"jpeg": base64.b64encode(content).decode()})
        tx.add(row)
        services.publish(tx, PhotoStored(case.id, row.id, row.at))


def photos(services: Services, who: Principal, case_id: UUID) -> list[PhotoView]:
    """Return the photographs of a case without their pictures; audited."""
    with services.act(who, "consultation.read_photo", subject_of(services, case_id)) as tx:
        rows = tx.scalars(select(CallPhoto).where(CallPhoto.consultation_id == case_id).order_by(CallPhoto.at)).all()
        return [PhotoView(row.id, row.at) for row in rows]


def open_photo(services: Services, who: Principal, case_id: UUID, photo_id: UUID) -> bytes:
    """Return one photograph as JPEG; audited. Raises NotFound."""
    with services.act(who, "consultation.read_photo", subject_of(services, case_id)) as tx:
        row = tx.get(CallPhoto, photo_id)
        if row is None or row.consultation_id != case_id:
            raise NotFound()
        return base64.b64decode(services.vault.open(tx, row, "image")["jpeg"])
