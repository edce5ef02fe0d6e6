"""A corner without a picture asks to be called by telephone: the doctors see it at once, and it can be taken back."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from telemed.bootstrap import Application
from telemed.checkup import service as checkup
from telemed.consultation import service, service_call
from telemed.errors import Conflict, NotFound
from telemed.services import Services
from tests import cast
from tests.make import Hands

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
ANSWERS = {"symptoms": [], "question": "", "medicines": "", "allergies": "", "arm": "left", "cuff": "medium",
           "fasting": None}  # fmt: skip


@pytest.fixture
def visit(services: Services, queue_up: Callable[..., UUID]) -> UUID:
    """The visit of a case that waits."""
    case_id = queue_up()
    with services.db.read() as tx:
        case = service.consultation_of(tx, case_id)
        assert case is not None
        return case.visit_id


def asked(services: Services) -> list[bool]:
    return [view.phone_asked_at is not None for view in service.queue(services, cast.VERA.who)]


def test_the_queue_says_which_corner_asks_for_a_call(services: Services, visit: UUID, sign_in: SignIn) -> None:
    clerk, doctor = sign_in(cast.ANNA), sign_in(cast.VERA)
    assert "please call us by telephone" in clerk.get(f"/counter/visits/{visit}").text

    page = clerk.post(f"/visits/{visit}/by-phone", data={"wanted": "yes"}, follow_redirects=True).text

    assert "The doctor will call by telephone" in page
    assert "Asks to be called by telephone" in doctor.get("/doctor").text


def test_the_doctor_who_took_the_case_has_the_branchs_number_at_hand(
    services: Services, visit: UUID, sign_in: SignIn
) -> None:
    service_call.ask_for_phone(services, cast.ANNA.who, visit, wanted=True)
    (case,) = service.queue(services, cast.VERA.who)
    service.take(services, cast.VERA.who, case.id)

    page = sign_in(cast.VERA).get(f"/doctor/cases/{case.id}").text

    assert "The corner asks to be called by telephone." in page
    assert f'href="tel:{case.phone}"' in page


def test_the_next_step_at_the_corner_is_the_telephone_while_the_talk_is_by_telephone(
    services: Services, visit: UUID, sign_in: SignIn
) -> None:
    """By the corner's wish, or because the doctor chose it; with the next doctor the talk begins anew."""
    clerk, (case,) = sign_in(cast.ANNA), service.queue(services, cast.VERA.who)
    checkup.answer_questions(services, cast.ANNA.who, visit, ANSWERS)

    def said() -> tuple[bool, bool]:
        page = clerk.get(f"/counter/visits/{visit}").text
        return "Stay beside it with the patient" in page, "Start the talk below" in page

    assert said() == (False, True)
    for wanted, shown in ((True, (True, False)), (False, (False, True))):
        service_call.ask_for_phone(services, cast.ANNA.who, visit, wanted=wanted)
        assert said() == shown

    service.take(services, cast.VERA.who, case.id)
    service_call.note_call_step(services, cast.VERA.who, case.id, "telephone", "asked")
    assert said() == (True, False)
    service.give_back(services, cast.VERA.who, case.id)
    assert said() == (False, True)
    service.take(services, cast.VERA.who, case.id)
    assert said() == (False, True)


def test_the_corners_page_hears_of_the_telephone_and_of_the_talk_when_they_begin(
    application: Application, services: Services, visit: UUID, sign_in: SignIn
) -> None:
    clerk, (case,) = sign_in(cast.ANNA), service.queue(services, cast.VERA.who)
    service.take(services, cast.VERA.who, case.id)
    socket = application.io.test_client(application.app, flask_test_client=clerk)
    assert socket.emit("watch", {"room": f"visit:{visit}"}, callback=True) == {"ok": True}
    heard = []
    for kind in ("thin_video", "telephone", "telephone", "video", "heard", "heard"):
        service_call.note_call_step(services, cast.VERA.who, case.id, kind, "doctor")
        heard.append([news["name"] for news in socket.get_received()])

    news = ["call:changed"]
    assert heard == [[], news, [], news, news, []]
    assert re.search(r'data-live-events="[^"]*call:changed', clerk.get(f"/counter/visits/{visit}").text)


def test_asking_twice_is_once_and_can_be_taken_back(services: Services, visit: UUID) -> None:
    for wanted, shown in ((True, True), (True, True), (False, False), (False, False)):
        service_call.ask_for_phone(services, cast.ANNA.who, visit, wanted=wanted)
        assert asked(services) == [shown]


def test_only_the_own_branch_asks_and_only_while_a_doctor_can_call(
    services: Services, visit: UUID, hands: Hands
) -> None:
    with pytest.raises(NotFound):
        service_call.ask_for_phone(services, cast.BORIS.who, visit, wanted=True)
    with pytest.raises(NotFound):  # nothing is queued for this visit
        service_call.ask_for_phone(services, cast.ANNA.who, hands.visit(cast.IVAN), wanted=True)

    (case,) = service.queue(services, cast.VERA.who)
    service.take(services, cast.VERA.who, case.id)
    service.end(services, cast.VERA.who, case.id, "not_reached")

    with pytest.raises(Conflict, match="case_ended"):
        service_call.ask_for_phone(services, cast.ANNA.who, visit, wanted=True)
