"""Cases: the order of the queue, one doctor a case, care that opens and ends, a note that nobody overwrites unseen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from telemed import i18n
from telemed.access.models import AuditRow
from telemed.access.relations import Principal
from telemed.booking.models import Booking
from telemed.checkup import service as checkup
from telemed.checkup.models import Visit
from telemed.consultation import rules, service, service_call
from telemed.consultation.models import CaseGap, ChatMessage, Consultation
from telemed.consultation.note_templates import note_templates
from telemed.errors import Conflict, Forbidden, Invalid, NotFound, TelemedError
from telemed.ids import new_id
from telemed.readings import service as readings
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.consultation.conftest import SECOND
from tests.make import Hands

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
NOTE = {"complaint": "головная боль", "findings": "", "assessment": "ГБ II", "plan": "контроль"}


def state(services: Services, case_id: UUID) -> str:
    with services.db.read() as tx:
        row = tx.get(Consultation, case_id)
        assert row is not None
        return row.state


# --- the queue ----------------------------------------------------------------------------------------------------


def test_the_most_urgent_comes_first_then_who_waits_longest(
    services: Services, queue_up: Callable[..., UUID], clock: Clock
) -> None:
    order = {}
    for level in ("GREEN", "YELLOW", "UNKNOWN", "AMBER", "YELLOW", "RED"):
        order[queue_up(cast.MARIA, level)] = level
        clock.forward(minutes=7)

    queue = service.queue(services, cast.VERA.who)
    assert [view.level for view in queue] == ["RED", "AMBER", "YELLOW", "YELLOW", "UNKNOWN", "GREEN"]
    assert [view.waiting_min for view in queue if view.level == "YELLOW"] == [35, 14]


def test_a_doctor_sees_the_region_and_names_of_own_patients_only(
    services: Services, queue_up: Callable[..., UUID], hands: Hands
) -> None:
    mine = hands.booking(cast.MARIA, cast.VERA)
    queue_up(cast.MARIA, booking_id=mine)
    queue_up(cast.IVAN)

    seen = {view.patient_id: view.patient_name for view in service.queue(services, cast.VERA.who)}
    assert seen == {cast.MARIA.id: "Ёлкина Мария Петровна", cast.IVAN.id: ""}
    assert service.queue(services, cast.GLEB.who) == []
    with pytest.raises(Forbidden):
        service.queue(services, cast.ANNA.who)


def test_a_visit_is_queued_once(services: Services, hands: Hands) -> None:
    visit = hands.visit()
    with services.db.write() as tx:
        first = service.queue_case(services, tx, visit)
        tx.flush()
        assert service.queue_case(services, tx, visit) == first
        assert service.queue_case(services, tx, new_id()) is None


def test_handing_over_a_visit_queues_it_with_its_level(
    services: Services, hands: Hands, jobs: Callable[[], int]
) -> None:
    visit = hands.visit(answered_at=hands.clock())
    readings.type_in(services, cast.ANNA.who, visit, "blood_pressure", {"systolic": 195, "diastolic": 90, "pulse": 70})
    jobs()
    assert service.queue(services, cast.VERA.who) == []
    checkup.finish(services, cast.ANNA.who, visit)
    jobs()

    assert [view.level for view in service.queue(services, cast.VERA.who)] == ["AMBER"]


def test_a_case_that_was_called_at_once_comes_before_those_that_can_wait_and_is_known_as_one(
    services: Services, hands: Hands, queue_up: Callable[..., UUID]
) -> None:
    can_wait = queue_up(cast.MARIA, "AMBER")
    hurries = queue_up(cast.IVAN, "YELLOW")
    with services.db.write() as tx:
        visit_id = tx.get_one(Consultation, hurries).visit_id
        tx.add(CaseGap(visit_id=visit_id, missing="", despite="cannot_wait", noted_by=cast.ANNA.id, at=hands.clock()))

    found = [(view.id, view.cannot_wait) for view in service.queue(services, cast.VERA.who)]
    assert found == [(hurries, True), (can_wait, False)]


def test_a_red_case_does_not_wait_for_the_clerk(services: Services, hands: Hands, jobs: Callable[[], int]) -> None:
    visit = hands.visit(answered_at=hands.clock())
    readings.type_in(services, cast.ANNA.who, visit, "glucose", {"glucose_mmol_l": 2.4})
    jobs()

    assert [view.level for view in service.queue(services, cast.VERA.who)] == ["RED"]


def test_a_case_follows_its_urgency_until_it_ends(services: Services, case: UUID) -> None:
    with services.db.write() as tx:
        row = tx.get(Consultation, case)
        assert row is not None
        service.raise_case(services, tx, row.visit_id, "RED")
        raised = row.level
        row.state = "ended"
        service.raise_case(services, tx, row.visit_id, "GREEN")
        assert (raised, row.level) == ("RED", "RED")


# --- one doctor ---------------------------------------------------------------------------------------------------


def test_of_two_doctors_who_race_one_gets_the_case(
    services: Services, queue_up: Callable[..., UUID], second: Principal
) -> None:
    case_id, gate, codes = queue_up(), threading.Barrier(2), []

    def race(who: Principal) -> None:
        gate.wait()
        try:
            service.take(services, who, case_id)
            codes.append("taken")
        except TelemedError as error:
            codes.append(error.code)

    threads = [threading.Thread(target=race, args=(who,)) for who in (cast.VERA.who, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(codes) == ["case_taken", "taken"]


def test_taking_twice_changes_nothing_and_another_region_may_not(
    services: Services, queue_up: Callable[..., UUID], clock: Clock
) -> None:
    case_id = queue_up()
    with pytest.raises(NotFound):
        service.take(services, cast.GLEB.who, case_id)
    with pytest.raises(Forbidden):
        service.take(services, cast.ANNA.who, case_id)
    service.take(services, cast.VERA.who, case_id)
    clock.forward(minutes=1)
    service.take(services, cast.VERA.who, case_id)

    with services.db.read() as tx:
        assert tx.scalars(select(Consultation)).one().taken_at == cast.NOON
    with pytest.raises(NotFound):
        service.take(services, cast.VERA.who, new_id())


def test_a_case_given_back_keeps_its_place(services: Services, case: UUID, clock: Clock, second: Principal) -> None:
    clock.forward(minutes=9)
    service.give_back(services, cast.VERA.who, case)

    assert [(view.id, view.waiting_min) for view in service.queue(services, second)] == [(case, 9)]
    service.take(services, second, case)
    assert state(services, case) == "taken"


def test_a_case_that_is_over_is_read_and_offers_nothing_more(
    services: Services, case: UUID, sign_in: SignIn
) -> None:
    vera = sign_in(cast.VERA)
    ways = ("End the consultation", "Hand over to another doctor", "data-note-template", "data-call=")
    assert [way for way in ways if way not in vera.get(f"/doctor/cases/{case}").text] == []
    service.save_note(services, cast.VERA.who, case, NOTE, 0)
    service.end(services, cast.VERA.who, case, "treated")

    page = vera.get(f"/doctor/cases/{case}").text
    assert "This consultation is over.</strong> Treated: medicine prescribed" in page
    assert [way for way in ways if way in page] == []
    assert page.count("readonly") == 4


@pytest.mark.parametrize("to", sorted(rules.STEPS))
def test_an_ended_case_goes_nowhere(to: str) -> None:
    assert rules.may_go("taken", "ended")
    assert not rules.may_go("ended", to)
    assert rules.may_go("abandoned", to) == (to == "waiting")  # taken back at once


# --- care ---------------------------------------------------------------------------------------------------------


def test_care_opens_with_the_case_and_ends_thirty_days_after_it(
    services: Services, queue_up: Callable[..., UUID], clock: Clock
) -> None:
    def may_read() -> bool:
        with services.db.read() as tx:
            return service.relations(services.clock)[0].holds(
                tx, cast.VERA.who, service_call.subject_of(services, case_id)
            )

    case_id = queue_up()
    before = may_read()
    service.take(services, cast.VERA.who, case_id)
    during = may_read()
    service.end(services, cast.VERA.who, case_id, "not_reached")
    clock.forward(days=30)
    at_the_last = may_read()
    clock.forward(seconds=1)

    assert [before, during, at_the_last, may_read()] == [False, True, True, False]


@pytest.mark.parametrize(
    ("days", "status", "holds"),
    [
        (0, "booked", True),
        (6.9, "booked", True),
        (7.1, "booked", False),
        (-29.9, "done", True),
        (-30.1, "done", False),
        (0, "cancelled", False),
        (0, "held", False),
    ],
)
def test_a_booking_opens_care_from_a_week_before_to_a_month_after(
    services: Services, hands: Hands, clock: Clock, days: float, status: str, holds: bool
) -> None:
    booking = hands.booking(cast.MARIA, cast.VERA, status=status)
    with services.db.write() as tx:
        row = tx.get(Booking, booking)
        assert row is not None
        start = clock()
        clock.forward(days=days)
        row.starts_at = clock()
        clock.now = start
    try:
        readings.readings_of_patient(services, cast.VERA.who, cast.MARIA.id)
        seen = True
    except NotFound:
        seen = False

    assert seen is holds


def test_another_doctors_case_looks_missing(services: Services, case: UUID, second: Principal) -> None:
    assert service.case_for_doctor(services, cast.VERA.who, case).patient_name

    for who in (second, cast.GLEB.who):
        with pytest.raises(NotFound):
            service.case_for_doctor(services, who, case)
        with pytest.raises(NotFound):
            service.read_note(services, who, case)
        with pytest.raises(NotFound):
            service.save_note(services, who, case, NOTE, 0)
        with pytest.raises(NotFound):
            service.end(services, who, case, "treated")


def test_care_for_the_patient_does_not_open_another_doctors_case(
    services: Services, case: UUID, second: Principal, hands: Hands
) -> None:
    hands.booking(cast.MARIA, SECOND)
    assert service.read_note(services, second, case) == ({}, 0)

    for work in (
        lambda: service.save_note(services, second, case, NOTE, 0),
        lambda: service.end(services, second, case, "treated"),
        lambda: service.give_back(services, second, case),
        lambda: service.case_for_doctor(services, second, case),
        lambda: service_call.join_call(services, second, case),
    ):
        with pytest.raises(NotFound):
            work()


# --- note and end -------------------------------------------------------------------------------------------------


def test_a_note_saved_elsewhere_meanwhile_is_not_overwritten(services: Services, case: UUID) -> None:
    first = service.save_note(services, cast.VERA.who, case, NOTE, 0)
    second = service.save_note(services, cast.VERA.who, case, {**NOTE, "plan": "иначе"}, first)
    with pytest.raises(Conflict) as refused:
        service.save_note(services, cast.VERA.who, case, NOTE, first)

    assert (refused.value.code, refused.value.facts) == ("note_changed", {"revision": second})
    assert service.read_note(services, cast.VERA.who, case)[0]["plan"] == "иначе"


def test_the_same_words_again_are_the_same_save(services: Services, case: UUID) -> None:
    first = service.save_note(services, cast.VERA.who, case, NOTE, 0)

    assert service.save_note(services, cast.VERA.who, case, NOTE, 0) == first


def test_the_plain_form_gives_refused_words_back(sign_in: SignIn, services: Services, case: UUID) -> None:
    service.save_note(services, cast.VERA.who, case, NOTE, 0)

    late = sign_in(cast.VERA).post(f"/consultations/{case}/note", data={"base_revision": "0", "plan": "Моё слово"})
    long = sign_in(cast.VERA).post(f"/consultations/{case}/note", data={"base_revision": "1", "plan": "y" * 4001})

    assert (late.status_code, long.status_code) == (409, 422)
    assert "Моё слово" in late.text
    assert "y" * 4001 in long.text


@pytest.mark.parametrize(
    ("note", "fields"),
    [({"plan": "x" * 4001}, {"plan": "too_long"}), ({"joke": "x"}, {"joke": "unknown_field"})],
)
def test_a_note_of_another_shape_is_refused(
    services: Services, case: UUID, note: dict[str, str], fields: dict[str, str]
) -> None:
    with pytest.raises(Invalid) as refused:
        service.save_note(services, cast.VERA.who, case, note, 0)

    assert refused.value.fields == fields


@pytest.mark.parametrize("language", sorted(i18n.LANGUAGES))
def test_a_note_is_not_ended_with_a_blank_of_its_template(services: Services, case: UUID, language: str) -> None:
    own = {**NOTE, "findings": "АД 190/110 (190/110)... да/нет"}
    for template in note_templates(language):
        revision = service.read_note(services, cast.VERA.who, case)[1]
        service.save_note(services, cast.VERA.who, case, {"assessment": "ГБ II", **template.fields}, revision)
        with pytest.raises(Invalid) as refused:
            service.end(services, cast.VERA.who, case, "treated")
        assert refused.value.fields == {"complaint": "note_blank"}
    assert service.read_note(services, cast.VERA.who, case)[0]["complaint"] == template.fields["complaint"]

    service.save_note(services, cast.VERA.who, case, own, revision + 1)
    service.end(services, cast.VERA.who, case, "treated")


def test_who_was_not_reached_needs_no_finished_note(services: Services, case: UUID) -> None:
    service.save_note(services, cast.VERA.who, case, {"plan": "Лечение: ___."}, 0)
    service.end(services, cast.VERA.who, case, "not_reached")

    assert service.case_for_doctor(services, cast.VERA.who, case).outcome == "not_reached"


def test_a_case_ends_once_and_with_an_assessment(services: Services, case: UUID) -> None:
    with pytest.raises(Invalid) as refused:
        service.end(services, cast.VERA.who, case, "treated")
    assert refused.value.fields == {"assessment": "note_needed"}
    with pytest.raises(Invalid):
        service.end(services, cast.VERA.who, case, "cured")

    revision = service.save_note(services, cast.VERA.who, case, NOTE, 0)
    service.end(services, cast.VERA.who, case, "treated")
    service.end(services, cast.VERA.who, case, "treated")  # a second press
    for work in (
        lambda: service.end(services, cast.VERA.who, case, "referred"),
        lambda: service.give_back(services, cast.VERA.who, case),
        lambda: service.take(services, cast.VERA.who, case),
        lambda: service.save_note(services, cast.VERA.who, case, NOTE, revision),
        lambda: service_call.write_message(services, cast.VERA.who, case, "?"),
    ):
        with pytest.raises(Conflict):
            work()
    assert state(services, case) == "ended"


def test_the_patient_reads_the_note_and_post_staff_do_not(services: Services, case: UUID) -> None:
    service.save_note(services, cast.VERA.who, case, NOTE, 0)

    assert service.read_note(services, cast.MARIA.who, case)[0] == NOTE
    with pytest.raises(NotFound):
        service.read_note(services, cast.IVAN.who, case)
    for who in (cast.ANNA.who, cast.GALINA.who, cast.OLEG.who):
        with pytest.raises(Forbidden):
            service.read_note(services, who, case)
    with services.db.read() as tx:
        row = tx.get(Consultation, case)
        assert row is not None
        assert row.note is not None
        assert "ГБ".encode() not in row.note


def test_earlier_cases_show_assessment_and_plan(services: Services, case: UUID, queue_up: Callable[..., UUID]) -> None:
    service.save_note(services, cast.VERA.who, case, NOTE, 0)
    service.end(services, cast.VERA.who, case, "treated")
    now = queue_up()
    service.take(services, cast.VERA.who, now)

    [earlier] = service.earlier_cases(services, cast.VERA.who, cast.MARIA.id, now)
    assert (earlier.assessment, earlier.outcome, earlier.doctor_name) == ("ГБ II", "treated", cast.VERA.name)


# --- what the counter sees ----------------------------------------------------------------------------------------


def test_the_counter_sees_where_its_case_stands_and_no_clinical_word(
    services: Services, queue_up: Callable[..., UUID]
) -> None:
    first, mine = queue_up(cast.IVAN, "RED"), queue_up(cast.MARIA)
    with services.db.read() as tx:
        visit = tx.get(Consultation, mine)
        assert visit is not None
    seen = service.case_state(services, cast.ANNA.who, visit.visit_id)
    assert seen is not None
    assert (seen.state, seen.place_in_queue, seen.doctor_name) == ("waiting", 2, "")

    service.take(services, cast.VERA.who, first)
    service.take(services, cast.VERA.who, mine)
    seen = service.case_state(services, cast.ANNA.who, visit.visit_id)
    assert seen is not None
    assert (seen.state, seen.doctor_name, seen.doctor_phone) == ("taken", cast.VERA.name, "+78162000000")
    with pytest.raises(NotFound):
        service.case_state(services, cast.BORIS.who, visit.visit_id)


# --- the chat -----------------------------------------------------------------------------------------------------


def test_a_line_of_chat_is_stored_once_and_sealed(services: Services, case: UUID) -> None:
    message = new_id()
    for _ in range(2):
        assert service_call.write_message(services, cast.ANNA.who, case, "Не слышно!", message) == message
    service_call.write_message(services, cast.VERA.who, case, "А сейчас?")

    lines = service_call.messages(services, cast.VERA.who, case)
    assert {(line.author_role, line.text) for line in lines} == {("clerk", "Не слышно!"), ("doctor", "А сейчас?")}
    with services.db.read() as tx:
        assert not any("слышно".encode() in (row.words or b"") for row in tx.scalars(select(ChatMessage)))


def test_a_message_id_of_another_call_is_not_confirmed(
    services: Services, case: UUID, queue_up: Callable[..., UUID]
) -> None:
    message, other = new_id(), queue_up(cast.IVAN)
    service.take(services, cast.VERA.who, other)
    service_call.write_message(services, cast.VERA.who, case, "раз", message)

    with pytest.raises(Conflict):
        service_call.write_message(services, cast.VERA.who, other, "два", message)


def test_the_chat_is_closed_to_outsiders(services: Services, case: UUID, hands: Hands) -> None:
    for who in (cast.BORIS.who, cast.GLEB.who):
        with pytest.raises(NotFound):
            service_call.messages(services, who, case)
        with pytest.raises(NotFound):
            service_call.write_message(services, who, case, "!")
    with services.db.write() as tx:
        tx.execute(update(Visit).values(state="closed"))
    with pytest.raises(NotFound):
        service_call.messages(services, cast.ANNA.who, case)


def test_refusals_are_in_the_audit(services: Services, case: UUID) -> None:
    with pytest.raises(NotFound):
        service.read_note(services, cast.GLEB.who, case)
    with services.db.read() as tx:
        rows = tx.scalars(select(AuditRow).where(AuditRow.actor_id == cast.GLEB.id)).all()

    assert [(row.action, row.allowed) for row in rows] == [("consultation.read_note", False)]
