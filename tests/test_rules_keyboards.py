"""Codes typed or scanned under a Russian or Belarusian keyboard, or with letters that look alike: every code we take."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from telemed.branches import rules as branches_rules
from telemed.branches import service as branches
from telemed.crypto import tokens
from telemed.errors import Conflict, Invalid, NotFound
from telemed.feedback import service as feedback
from telemed.patients import service as patients
from telemed.rules_keyboards import code_readings, token_readings
from telemed.services import Services
from tests import cast
from tests.page import problems_of

CASES = json.loads((Path(__file__).parent / "contract" / "code-readings.json").read_text(encoding="utf-8"))
LATIN = "qwertyuiop[]asdfghjkl;'zxcvbnm,."
RUSSIAN, BELARUSIAN = "йцукенгшщзхъфывапролджэячсмитьбю", "йцукенгшўзх'фывапролджэячсмітьбю"
LOOKS = str.maketrans("abcehkmoptxyABCEHKMOPTXY", "авсенкмортхуАВСЕНКМОРТХУ")


def under(layout: str, code: str) -> str:
    """Return what a scanner types for a code while the PC has this layout."""
    return code.lower().translate(str.maketrans(LATIN, layout))


WAYS: dict[str, Callable[[str], str]] = {
    "as printed": lambda code: code,
    "Russian layout": lambda code: under(RUSSIAN, code),
    "Russian layout in capitals": lambda code: under(RUSSIAN, code).upper(),
    "Belarusian layout": lambda code: under(BELARUSIAN, code),
    "look-alikes": lambda code: code.translate(LOOKS),
    "dashes": lambda code: "\u2013".join(code[at : at + 4] for at in range(0, len(code), 4)),
}


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> Callable[[str], str]:
    return WAYS[request.param]


@pytest.mark.parametrize("case", CASES, ids=[case["say"] for case in CASES])
def test_a_token_is_read_as_it_was_meant(case: dict[str, str]) -> None:
    assert token_readings(case["typed"])[0] == case["first"]
    if "second" in case:
        assert token_readings(case["typed"])[1] == case["second"]


def test_every_join_code_is_read_in_every_way() -> None:
    for start in range(len(branches_rules.ALPHABET)):
        code = (branches_rules.ALPHABET * 2)[start : start + 12]
        for name, way in WAYS.items():
            assert code.lower() in code_readings(way(code), branches_rules.ALPHABET), (name, code)


def test_a_card_is_known_however_it_is_scanned(services: Services, way: Callable[[str], str]) -> None:
    token = patients.issue_card(services, cast.ANNA.who, cast.MARIA.id)

    assert patients.show_card(services, way(token)) == cast.MARIA.id
    found = patients.find_patient(services, cast.ANNA.who, card=way(token))
    assert found is not None
    assert found.id == cast.MARIA.id


def test_a_rating_link_is_known_however_it_is_typed(services: Services, way: Callable[[str], str]) -> None:
    with services.db.write() as tx:
        feedback.offer(services, tx, "visit", uuid4(), cast.MARIA.id, cast.OZERKI)
    [ticket] = feedback.tickets_of_patient(services, cast.MARIA.who)

    feedback.rate(services, way(ticket.token), 5, None, "")

    assert feedback.tickets_of_patient(services, cast.MARIA.who) == []


def test_a_join_code_is_known_however_it_is_typed(services: Services, way: Callable[[str], str]) -> None:
    code = branches.issue_join_code(services, cast.ANNA.who, cast.OZERKI).replace("-", "")

    assert branches.join(services, way(code), uuid4(), b"k" * 32, "PC")["branch_id"] == str(cast.OZERKI)


def test_both_readings_are_one_try(services: Services) -> None:
    before = count_searches(services)
    patients.find_patient(services, cast.ANNA.who, card="аааа" + "1" * 28)

    assert count_searches(services) == before + 1


def count_searches(services: Services) -> int:
    from_audit = "SELECT count(*) FROM audit WHERE action = 'patient.find'"
    with services.db.engine.connect() as connection:
        return int(connection.exec_driver_sql(from_audit).scalar_one())


def test_a_mistyped_code_is_never_called_an_ended_one(
    sign_in: Callable[[Any], FlaskClient], application: Any, services: Services
) -> None:
    old = patients.issue_card(services, cast.ANNA.who, cast.MARIA.id)
    patients.issue_card(services, cast.ANNA.who, cast.MARIA.id)
    wrong = ("0" if old[0] != "0" else "1") + old[1:]
    stranger = application.app.test_client()
    stranger.set_cookie("lang", "en")

    said = {token: problems_of(stranger.post("/card", data={"token": token})) for token in (wrong, old)}

    assert said[wrong] == ["There is no such card. Compare the code under the square."]
    assert said[old][0].startswith("This card has ended")
    with pytest.raises(Conflict, match="card_ended"):
        patients.find_patient(services, cast.ANNA.who, card=under(RUSSIAN, old))
    with pytest.raises(NotFound, match="rating_token_unknown"):
        feedback.rate(services, wrong, 5, None, "")
    with pytest.raises(Invalid, match="join_code_unknown"):
        branches.join(services, "ABCD-EFGH-JKLM", uuid4(), b"k" * 32, "PC")


def test_a_slip_is_known_however_it_is_scanned(way: Callable[[str], str]) -> None:
    secret = tokens.new_token()

    assert secret in token_readings(way(f"17400111000015:{secret}").replace("ж", "Ж"))
