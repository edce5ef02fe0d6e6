"""The auditor's page: who did what, in the reader's words, and the way to the pilot."""

from __future__ import annotations

from tests import cast
from tests.patients.test_register import SignIn


def test_the_trail_says_role_and_decision_in_words(sign_in: SignIn) -> None:
    assert sign_in(cast.ANNA).get(f"/patients/{cast.PELAGEYA.id}").status_code == 404

    page = sign_in(cast.TAMARA).get("/audit").text

    assert "patient.read" in page
    assert ">clerk<" in page
    assert "refused: no relation to this case" in page


def test_the_auditor_is_led_to_the_pilot(sign_in: SignIn) -> None:
    auditor = sign_in(cast.TAMARA)

    assert 'href="/pilot"' in auditor.get("/audit").text
    assert auditor.get("/pilot").status_code == 200
