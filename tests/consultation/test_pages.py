"""The consultation over plain forms and JSON: what is right is stored, what is wrong comes back with its code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from telemed.access.relations import Principal
from telemed.branches.models import Branch
from telemed.consultation import service
from telemed.consultation.models import Consultation
from telemed.ids import new_id
from telemed.services import Services
from tests import cast
from tests.consultation.conftest import SECOND

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
NOTE = {"complaint": "головная боль", "findings": "", "assessment": "ГБ II", "plan": "контроль"}


def state(services: Services, case_id: UUID) -> str:
    with services.db.read() as tx:
        row = tx.get(Consultation, case_id)
        assert row is not None
        return row.state


def test_the_note_is_saved_by_script_and_by_form(sign_in: SignIn, services: Services, case: UUID) -> None:
    vera = sign_in(cast.VERA)
    saved = vera.post(f"/api/v1/consultations/{case}/note", json={"base_revision": 0, "note": NOTE})
    stale = vera.post(f"/api/v1/consultations/{case}/note", json={"base_revision": 0, "note": {"plan": "other"}})
    formed = vera.post(f"/consultations/{case}/note", data={**NOTE, "base_revision": "1"})

    assert saved.get_json()["revision"] == 1
    assert (stale.status_code, stale.get_json()["error"], stale.get_json()["revision"]) == (409, "note_changed", 1)
    assert formed.status_code == 302
    assert service.read_note(services, cast.VERA.who, case)[1] == 2


@pytest.mark.parametrize(
    "body",
    [
        {}, {"base_revision": -1, "note": {}}, {"base_revision": "x", "note": {}}, {"base_revision": 0, "note": []},
        {"base_revision": 0, "note": {"plan": 5}}, {"base_revision": 0, "note": dict.fromkeys("abcde", "")},
        {"base_revision": 0, "note": {"plan": "x" * 4001}}, {"base_revision": 0, "note": {}, "joke": 1}, [], "x",
    ],
)  # fmt: skip
def test_a_bad_note_is_refused(sign_in: SignIn, case: UUID, body: Any) -> None:
    response = sign_in(cast.VERA).post(f"/api/v1/consultations/{case}/note", json=body)

    assert response.status_code == 422
    assert response.get_json()["request_id"]


@pytest.mark.parametrize(
    "body", [{}, {"message_id": "x", "text": "a"}, {"message_id": str(UUID(int=1)), "text": ""},
             {"message_id": str(UUID(int=1)), "text": "   "}, {"message_id": str(UUID(int=1)), "text": "x" * 501},
             {"message_id": str(UUID(int=1)), "text": ["x"]}],
)  # fmt: skip
def test_a_bad_line_of_chat_is_refused(sign_in: SignIn, case: UUID, body: Any) -> None:
    assert sign_in(cast.ANNA).post(f"/api/v1/consultations/{case}/messages", json=body).status_code == 422


def test_the_chat_over_json(sign_in: SignIn, case: UUID) -> None:
    path, line = f"/api/v1/consultations/{case}/messages", {"message_id": str(new_id()), "text": "Здравствуйте"}
    anna = sign_in(cast.ANNA)
    assert [anna.post(path, json=line).get_json() for _ in range(2)] == [{"id": line["message_id"]}] * 2

    [message] = sign_in(cast.VERA).get(path).get_json()["messages"]
    assert (message["role"], message["text"]) == ("clerk", "Здравствуйте")
    assert sign_in(cast.BORIS).get(path).status_code == 404
    assert sign_in(cast.GALINA).get(path).status_code == 403
    assert sign_in(cast.BORIS).post(path, json=line).status_code == 404


def test_the_doctors_way_over_plain_forms(
    sign_in: SignIn, services: Services, queue_up: Callable[..., UUID], second: Principal
) -> None:
    case_id, vera, other = queue_up(), sign_in(cast.VERA), sign_in(SECOND)
    path = f"/consultations/{case_id}"
    assert vera.post(f"{path}/take").location.endswith(f"/doctor/cases/{case_id}")
    assert other.post(f"{path}/take").location.endswith("/doctor")
    assert other.post(f"{path}/end", data={"outcome": "treated"}).status_code == 404
    assert "#note" in vera.post(f"{path}/end", data={"outcome": ""}).location
    assert "#note" in vera.post(f"{path}/end", data={"outcome": "treated"}).location
    assert vera.post(f"{path}/note", data={**NOTE, "base_revision": "one"}).status_code == 302
    assert vera.post(f"{path}/note", data={**NOTE, "base_revision": "9" * 5000}).status_code == 302
    for status, refused in ((409, {"base_revision": "77"}), (422, {"plan": "x" * 5000, "base_revision": "1"})):
        answer = vera.post(f"{path}/note", data={**NOTE, **refused})
        assert (answer.status_code, NOTE["complaint"] in answer.text) == (status, True), "nothing typed is lost"
    assert vera.post(f"{path}/end", data={"outcome": "treated"}).location.endswith("/doctor")

    assert state(services, case_id) == "ended"
    assert vera.post(f"{path}/give-back").status_code == 302
    assert vera.post(f"{path}/end", data={"outcome": "referred"}).status_code == 302
    assert sign_in(cast.ANNA).post(f"{path}/take").status_code == 403


def test_the_line_check_says_when_the_media_process_is_away(sign_in: SignIn) -> None:
    anna = sign_in(cast.ANNA)
    offer = anna.post("/api/v1/line-checks", json={"check_id": str(new_id()), "sdp": "v=0"})

    assert (offer.status_code, offer.get_json()["error"]) == (503, "media_unavailable")
    assert anna.post("/api/v1/line-checks", json={"check_id": "x"}).status_code == 422
    assert sign_in(cast.GALINA).post("/api/v1/line-checks", json={}).status_code == 403


def test_a_line_of_which_only_the_pages_told_is_judged_and_kept_for_the_branch(
    services: Services, sign_in: SignIn
) -> None:
    """Also while the media process is away: the corner learns at least whether to expect a picture."""
    anna, path = sign_in(cast.ANNA), f"/api/v1/line-checks/{new_id()}/report"
    pad = anna.post("/api/v1/line-checks/pad", json={"pad": "x" * 6000}).get_json()["pad"]
    told = {"is_rough": True, "rtt_ms": 310.5, "up_kbit_s": 64.2, "down_kbit_s": 400}
    result = anna.post(path, json=told).get_json()["result"]

    assert len(pad) == 6000
    assert (result["line_class"], result["is_rough"]) == ("voice_photos", True)
    with services.db.read() as tx:
        assert tx.get_one(Branch, cast.OZERKI).line_class == "voice_photos"
    assert anna.post(path, json={**told, "rtt_ms": -1}).status_code == 422
    assert anna.post(path, json={"rtt_ms": 1}).get_json()["error"] == "media_unavailable"
    assert sign_in(cast.GALINA).post(path, json=told).status_code == 403
