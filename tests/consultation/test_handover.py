"""Handing over: a named doctor gets the case with words about it, at its old place in the queue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from telemed.access.relations import Principal
from telemed.bootstrap import Application
from telemed.consultation import rules, service, service_call, service_handover
from telemed.consultation.models import Consultation
from telemed.errors import Invalid, NotFound
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.consultation.conftest import SECOND
from tests.make import Hands

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
WORDS = "Ждём анализ, перезвонить до 16:00"


def test_the_next_doctor_gets_the_case_with_its_words_and_its_place(
    services: Services, case: UUID, second: Principal, queue_up: Callable[..., UUID], clock: Clock
) -> None:
    clock.forward(minutes=9)
    queue_up(cast.IVAN, "RED")
    service_handover.hand_over(services, cast.VERA.who, case, SECOND.id, WORDS)

    first = service.queue(services, second)[0]
    assert (first.id, first.is_handed_to_me, first.waiting_min) == (case, True, 9)
    assert first.patient_name == "Ёлкина Мария Петровна"
    service.take(services, second, case)
    (words,) = service_handover.handovers(services, second, case)
    assert (words.text, words.from_name) == (WORDS, cast.VERA.name)
    with pytest.raises(NotFound):
        service.case_for_doctor(services, cast.VERA.who, case)


def test_the_doctor_before_sees_whose_case_it_is_now_and_does_not_get_it_back_as_the_next(
    sign_in: SignIn, services: Services, hands: Hands, queue_up: Callable[..., UUID], second: Principal
) -> None:
    handed = queue_up(booking_id=hands.booking())
    service.take(services, cast.VERA.who, handed)
    service_handover.hand_over(services, cast.VERA.who, handed, SECOND.id, WORDS)
    mine = queue_up(cast.IVAN)
    service.take(services, cast.VERA.who, mine)
    later = queue_up(cast.PELAGEYA, "GREEN")

    vera, page = sign_in(cast.VERA), f"handed over to {SECOND.name}"
    assert [view.id for view in service.queue(services, cast.VERA.who)] == [mine, later, handed]
    assert service.queue(services, cast.VERA.who)[2].patient_name == "", "booked with Vera, yet hers no more"
    assert page in vera.get("/doctor/queue").text
    assert page not in sign_in(SECOND).get("/doctor/queue").text
    for ended, then in ((mine, f"/doctor/cases/{later}"), (later, "/doctor")):
        answer = vera.post(f"/consultations/{ended}/end", data={"outcome": "not_reached", "next": "1"})
        assert answer.location.endswith(then)


def test_a_red_case_waits_for_any_doctor_whoever_it_was_handed_to(
    sign_in: SignIn, services: Services, case: UUID, queue_up: Callable[..., UUID], second: Principal
) -> None:
    red = queue_up(cast.IVAN, "RED")
    service.take(services, cast.VERA.who, red)
    service_handover.hand_over(services, cast.VERA.who, red, SECOND.id, WORDS)
    queue_up(cast.PELAGEYA, "AMBER")

    answer = sign_in(cast.VERA).post(f"/consultations/{case}/end", data={"outcome": "not_reached", "next": "1"})
    assert answer.location.endswith(f"/doctor/cases/{red}")


def test_a_case_that_its_new_doctor_does_not_take_is_anybodys_after_a_quarter_of_an_hour(
    sign_in: SignIn, services: Services, case: UUID, queue_up: Callable[..., UUID], second: Principal, clock: Clock
) -> None:
    service_handover.hand_over(services, cast.VERA.who, case, SECOND.id, WORDS)
    other = queue_up(cast.PELAGEYA, "GREEN")
    for minutes, order in ((14, [other, case]), (1, [case, other])):
        clock.forward(minutes=minutes)
        assert [view.id for view in service.queue(services, cast.VERA.who)] == order

    mine = queue_up(cast.IVAN, "RED")
    service.take(services, cast.VERA.who, mine)
    answer = sign_in(cast.VERA).post(f"/consultations/{mine}/end", data={"outcome": "not_reached", "next": "1"})
    assert answer.location.endswith(f"/doctor/cases/{case}")


def test_a_written_answer_waits_for_its_doctor_until_its_time_is_over(services: Services, clock: Clock) -> None:
    now, hour = clock(), timedelta(hours=1)
    assert rules.is_kept_for(now, now - 22 * hour, now + hour)
    assert not rules.is_kept_for(now, now - 22 * hour, now + 2 * hour)


def test_without_words_or_to_a_stranger_nothing_is_handed_over(
    services: Services, case: UUID, second: Principal
) -> None:
    for to, text in ((SECOND.id, "  "), (SECOND.id, "x" * 1001), (cast.GLEB.id, WORDS), (cast.VERA.id, WORDS)):
        with pytest.raises(Invalid):
            service_handover.hand_over(services, cast.VERA.who, case, to, text)

    with services.db.read() as tx:
        row = tx.get_one(Consultation, case)
        assert (row.state, row.doctor_id) == ("taken", cast.VERA.id)


def test_a_doctor_on_duty_is_offered_first(services: Services, hands: Hands, second: Principal) -> None:
    hands.shift(SECOND)

    offered = service_handover.colleagues(services, cast.VERA.who)
    assert (offered[0].id, offered[0].is_on_duty) == (SECOND.id, True)
    assert cast.GLEB.id not in {colleague.id for colleague in offered}


def test_refused_words_stay_in_the_form(sign_in: SignIn, case: UUID, second: Principal) -> None:
    page = sign_in(cast.VERA).post(f"/doctor/cases/{case}/hand-over", data={"to": "nobody", "text": WORDS})

    assert page.status_code == 422
    assert WORDS in page.get_data(as_text=True)


def test_the_form_hands_over(sign_in: SignIn, services: Services, case: UUID, second: Principal) -> None:
    answer = sign_in(cast.VERA).post(f"/doctor/cases/{case}/hand-over", data={"to": str(SECOND.id), "text": WORDS})

    assert answer.status_code == 302
    assert [view.id for view in service.queue(services, second) if view.is_handed_to_me] == [case]


def test_ending_may_bring_the_next_patient(
    sign_in: SignIn, services: Services, case: UUID, queue_up: Callable[..., UUID]
) -> None:
    waiting = queue_up(cast.IVAN)
    service.save_note(services, cast.VERA.who, case, {"assessment": "ГБ II"}, 0)
    answer = sign_in(cast.VERA).post(f"/consultations/{case}/end", data={"outcome": "treated", "next": "1"})

    assert answer.location.endswith(f"/doctor/cases/{waiting}")


def test_the_doctor_before_hears_of_the_case_no_more(
    application: Application, sign_in: SignIn, services: Services, case: UUID, second: Principal
) -> None:
    sockets = {}
    for person in (cast.VERA, cast.ANNA):
        sockets[person] = application.io.test_client(application.app, flask_test_client=sign_in(person))
        assert sockets[person].emit("watch", {"room": f"consultation:{case}"}, callback=True) == {"ok": True}
    service_handover.hand_over(services, cast.VERA.who, case, SECOND.id, WORDS)
    for socket in sockets.values():
        socket.get_received()

    service.take(services, second, case)
    service_call.write_message(services, second, case, "Здравствуйте")

    assert [news["name"] for news in sockets[cast.ANNA].get_received()] == ["queue:changed", "chat:written"]
    assert sockets[cast.VERA].get_received() == []
