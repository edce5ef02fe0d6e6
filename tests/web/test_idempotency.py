"""The same key gives the same answer; another body under it is an error; keys are each person's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from telemed.access.models import StoredAnswer
from telemed.bootstrap import Application
from telemed.consultation import service
from telemed.services import Services
from tests import cast
from tests.make import Hands

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]


@pytest.fixture
def note_path(services: Services, hands: Hands) -> str:
    visit_id = hands.visit(cast.MARIA)
    with services.db.write() as tx:
        case_id = service.queue_case(services, tx, visit_id, "GREEN")
    assert case_id is not None
    service.take(services, cast.VERA.who, case_id)
    return f"/api/v1/consultations/{case_id}/note"


def save(browser: FlaskClient, path: str, key: str, words: str):  # type: ignore[no-untyped-def]
    body = {"base_revision": 0, "note": {"assessment": words}}
    return browser.post(path, json=body, headers={"Idempotency-Key": key})


def test_a_repeat_gets_the_first_answer_and_is_done_once(sign_in: SignIn, note_path: str) -> None:
    vera = sign_in(cast.VERA)

    first, again = save(vera, note_path, "k1", "well"), save(vera, note_path, "k1", "well")

    assert first.status_code == again.status_code == 200
    assert first.json == again.json
    assert save(vera, note_path, "k2", "unwell").json["error"] == "note_changed"


def test_another_body_under_the_same_key_is_an_error(sign_in: SignIn, note_path: str) -> None:
    vera = sign_in(cast.VERA)
    assert save(vera, note_path, "k1", "well").status_code == 200

    answer = save(vera, note_path, "k1", "unwell")

    assert (answer.status_code, answer.json["error"]) == (422, "idempotency_mismatch")
    assert save(vera, note_path, "k" * 256, "well").json["error"] == "idempotency_key_invalid"


def test_the_stored_answer_is_sealed(application: Application, sign_in: SignIn, note_path: str) -> None:
    save(sign_in(cast.VERA), note_path, "k1", "well")

    with application.services.db.read() as tx:
        row = tx.query(StoredAnswer).one()
        assert b"revision" not in (row.answer or b"")
        assert application.services.vault.open(tx, row, "answer")["revision"] == 1
