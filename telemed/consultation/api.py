"""JSON for the call's pages: the autosaved note, the chat, the line check before the call."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, jsonify, url_for
from flask.typing import ResponseReturnValue
from pydantic import Field

from telemed.clock import iso
from telemed.consultation import rules, service, service_call, service_photo
from telemed.consultation.media_client import MediaClient
from telemed.consultation.photo import PHOTO_MOST_BYTES
from telemed.errors import Unavailable
from telemed.web.body import Body, read_json
from telemed.web.guard import guard, services, who
from telemed.web.idempotency import once

PAD_MOST = 8000
RTT_MOST_MS, RATE_MOST_KBIT_S = 60_000, 10_000_000

api = Blueprint("consultation_api", __name__)


class NoteBody(Body):
    """A note as it stands in the page, with the revision it grew from."""

    base_revision: int = Field(ge=0)
    note: dict[str, str] = Field(max_length=len(rules.NOTE_FIELDS))


class NoteSaved(Body):
    revision: int
    saved_at: str


class MessageBody(Body):
    message_id: UUID
    text: str = Field(min_length=1, max_length=rules.MESSAGE_MAX)


class PhotoBody(Body):
    """A photograph as JPEG in base64; the same photo_id is stored once, whichever page brings it."""

    photo_id: UUID
    jpeg: str = Field(min_length=1, max_length=4 * PHOTO_MOST_BYTES // 3 + 4)


class LineCheckBody(Body):
    """The page's offer to the media process."""

    check_id: UUID
    sdp: str = Field(max_length=60_000)


class LineCheckAnswer(Body):
    sdp: str


class LineReportBody(Body):
    """What the page saw. `is_rough` when no media came through and only the way of the pages was measured."""

    is_rough: bool = False
    rtt_ms: float | None = Field(None, ge=0, le=RTT_MOST_MS)
    up_kbit_s: float | None = Field(None, ge=0, le=RATE_MOST_KBIT_S)
    down_kbit_s: float | None = Field(None, ge=0, le=RATE_MOST_KBIT_S)
    loss_down_pct: float | None = Field(None, ge=0, le=100)

    def figures(self) -> dict[str, float | None]:
        """Return the figures alone."""
        return self.model_dump(exclude={"is_rough"})


class LineReportAnswer(Body):
    result: dict[str, Any]


class PadBody(Body):
    pad: str = Field(min_length=1, max_length=PAD_MOST)


@api.post("/api/v1/consultations/<uuid:case_id>/note")
@guard("consultation.write_note", body=NoteBody, answer=NoteSaved)
def save_note(case_id: UUID) -> ResponseReturnValue:
    """Save the doctor's note; 409 `note_changed` when it was saved elsewhere meanwhile."""
    body = read_json(NoteBody)

    def work() -> dict[str, Any]:
        revision = service.save_note(services(), who(), case_id, body.note, body.base_revision)
        return {"revision": revision, "saved_at": iso(services().clock())}

    return jsonify(once(work))


@api.get("/api/v1/consultations/<uuid:case_id>/messages")
@guard("consultation.chat")
def read_messages(case_id: UUID) -> ResponseReturnValue:
    """Give the chat of a case."""
    found = service_call.messages(services(), who(), case_id)
    return jsonify(
        {"messages": [{"id": m.id, "role": m.author_role, "at": iso(m.at), "text": m.text} for m in found]}
    )  # fmt: skip


@api.post("/api/v1/consultations/<uuid:case_id>/messages")
@guard("consultation.chat", body=MessageBody)
def write_message(case_id: UUID) -> ResponseReturnValue:
    """Write a line of chat; the same message_id is stored once."""
    body = read_json(MessageBody)
    return jsonify({"id": service_call.write_message(services(), who(), case_id, body.text, body.message_id)})


@api.post("/api/v1/consultations/<uuid:case_id>/photographs")
@guard("consultation.add_photo", body=PhotoBody)
def add_photo(case_id: UUID) -> ResponseReturnValue:
    """Store a photograph of the call."""
    body = read_json(PhotoBody)
    service_photo.add_photo(services(), who(), case_id, body.photo_id, body.jpeg)
    return jsonify({"id": body.photo_id})


@api.get("/api/v1/consultations/<uuid:case_id>/photographs")
@guard("consultation.read_photo")
def read_photos(case_id: UUID) -> ResponseReturnValue:
    """Give the photographs of a case: when they were taken and where they are."""
    found = service_photo.photos(services(), who(), case_id)
    return jsonify({"photos": [{"id": one.id, "at": iso(one.at), "url": _photo_url(case_id, one.id)} for one in found]})


@api.get("/api/v1/consultations/<uuid:case_id>/photographs/<uuid:photo_id>.jpg")
@guard("consultation.read_photo")
def open_photo(case_id: UUID, photo_id: UUID) -> ResponseReturnValue:
    """Give one photograph."""
    return Response(service_photo.open_photo(services(), who(), case_id, photo_id), mimetype="image/jpeg")


def _photo_url(case_id: UUID, photo_id: UUID) -> str:
    return url_for("consultation_api.open_photo", case_id=case_id, photo_id=photo_id)


@api.post("/api/v1/line-checks")
@guard("line.check", body=LineCheckBody, answer=LineCheckAnswer)
def offer_line_check() -> ResponseReturnValue:
    """Begin a line check: the page's offer, the media process's answer."""
    body = read_json(LineCheckBody)
    return jsonify({"sdp": _media().answer_line_check(str(body.check_id), body.sdp)})


@api.post("/api/v1/line-checks/<uuid:check_id>/report")
@guard("line.check", body=LineReportBody, answer=LineReportAnswer)
def report_line_check(check_id: UUID) -> ResponseReturnValue:
    """Finish a line check with what the page saw; answer the result. A clerk's result is kept for the branch."""
    body = read_json(LineReportBody)
    media = None if body.is_rough else _media()
    return jsonify({"result": service_call.finish_line_check(services(), who(), media, str(check_id), body.figures())})


@api.post("/api/v1/line-checks/pad")
@guard("line.check", body=PadBody, answer=PadBody)
def return_pad() -> ResponseReturnValue:
    """Give back what came, so that a page learns what its line carries when no media come through."""
    return jsonify({"pad": read_json(PadBody).pad})


@api.get("/api/v1/line-checks/<uuid:check_id>")
@guard("line.check")
def line_check_result(check_id: UUID) -> ResponseReturnValue:
    """Give the result again, or null while it is being measured."""
    return jsonify({"result": _media().line_check_result(str(check_id))})


def _media() -> MediaClient:
    media = services().outside.get("media")
    if media is None:
        raise Unavailable("media_unavailable")
    return media  # type: ignore[no-any-return]
