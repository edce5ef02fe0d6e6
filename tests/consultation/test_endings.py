"""A visit that ends before its time: the patient left, went by ambulance, or it was opened for the wrong person."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from telemed.booking.models import Booking
from telemed.checkup import service as checkup
from telemed.checkup.models import Visit
from telemed.consultation import service, service_endings
from telemed.consultation.models import Consultation
from telemed.errors import Conflict, Forbidden, Invalid, NotFound
from telemed.readings import service as readings
from telemed.readings import service_aside
from telemed.readings.models import Reading
from telemed.services import Services
from tests import cast
from tests.make import Hands

ANNA, VERA, GALINA = cast.ANNA.who, cast.VERA.who, cast.GALINA.who
HIGH = {"systolic": 191, "diastolic": 118, "pulse": 70}
CALM = {"systolic": 121, "diastolic": 78, "pulse": 70}
ANSWERS = {"symptoms": [], "question": "", "medicines": "can-medicine", "allergies": "", "arm": "left", "cuff": "medium"}

Jobs = Callable[[], int]
SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]


@pytest.fixture
def measured(services: Services, hands: Hands, jobs: Jobs) -> Callable[..., UUID]:
    """Return a visit of Maria with answers and one typed pressure."""

    def measured(values: dict[str, float] = HIGH, **more: object) -> UUID:
        visit = hands.visit(**more)
        checkup.answer_questions(services, ANNA, visit, ANSWERS)
        readings.type_in(services, ANNA, visit, "blood_pressure", values)
        jobs()
        return visit

    return measured


def case_of(services: Services, visit_id: UUID) -> Consultation | None:
    with services.db.read() as tx:
        return service.consultation_of_visit(tx, visit_id)


def values_of(services: Services) -> list[str]:
    """Return what stands in Maria's record, as she sees it herself."""
    return [view.shown for view in readings.readings_of_patient(services, cast.MARIA.who, cast.MARIA.id)]


# --- gone ---------------------------------------------------------------------------------------------------------


def test_who_left_with_a_high_pressure_is_a_case_to_call_back(
    services: Services, jobs: Jobs, measured: Callable[..., UUID]
) -> None:
    visit = measured(HIGH)
    assert case_of(services, visit) is None

    service_endings.end_visit(services, ANNA, visit, "left")
    jobs()

    case = case_of(services, visit)
    assert case is not None
    assert (case.state, case.level, case.stored_at is not None) == ("waiting", "AMBER", True)
    assert values_of(services) == ["191/118"]


def test_who_left_with_calm_values_is_not_called_back(
    services: Services, jobs: Jobs, measured: Callable[..., UUID]
) -> None:
    visit = measured(CALM)
    service_endings.end_visit(services, ANNA, visit, "left")
    jobs()

    assert case_of(services, visit) is None
    assert values_of(services) == ["121/78"]


def test_who_left_before_anything_was_asked_is_not_called_back(services: Services, hands: Hands, jobs: Jobs) -> None:
    visit = hands.visit()
    service_endings.end_visit(services, ANNA, visit, "left")
    jobs()

    assert case_of(services, visit) is None


def test_the_doctor_sees_the_case_to_call_back_with_a_number_to_dial(
    services: Services, jobs: Jobs, measured: Callable[..., UUID], sign_in: SignIn
) -> None:
    visit = measured(HIGH)
    service_endings.end_visit(services, ANNA, visit, "left")
    jobs()
    case = case_of(services, visit)
    assert case is not None
    vera = sign_in(cast.VERA)
    assert str(case.id) in vera.get("/doctor").text

    page = vera.post(f"/consultations/{case.id}/take", follow_redirects=True)

    assert f"tel:{cast.MARIA.phone}" in page.text


@pytest.mark.parametrize("ending", ["", "seen_by_nobody", "closed"])
def test_an_unknown_ending_is_refused_and_the_visit_goes_on(services: Services, hands: Hands, ending: str) -> None:
    visit = hands.visit()
    with pytest.raises(Invalid):
        service_endings.end_visit(services, ANNA, visit, ending)

    assert checkup.visit_view(services, ANNA, visit).state == "open"


# --- wrong person -------------------------------------------------------------------------------------------------


def test_the_readings_of_a_wrong_person_leave_the_record_at_once_and_nobody_sees_them(
    services: Services, hands: Hands, measured: Callable[..., UUID], sign_in: SignIn
) -> None:
    hands.booking(starts_at=services.clock())  # so that Vera has Maria in her care
    visit = measured(HIGH)
    assert values_of(services) == ["191/118"]
    assert readings.readings_of_visit(services, VERA, visit) != []

    service_endings.end_visit(services, ANNA, visit, "wrong_person", "another_person")

    assert values_of(services) == []
    assert readings.readings_of_visit(services, VERA, visit) == []
    assert checkup.answers_of(services, VERA, visit) == {}
    for person in (cast.GALINA, cast.VERA, cast.ANNA):
        page = sign_in(person).get("/set-aside").text
        assert "191" not in page
        assert cast.MARIA.family_name not in page


def test_nobody_is_called_back_about_a_wrong_person(
    services: Services, jobs: Jobs, measured: Callable[..., UUID]
) -> None:
    visit = measured(HIGH)
    service_endings.end_visit(services, ANNA, visit, "wrong_person", "another_person")
    jobs()

    assert case_of(services, visit) is None


def test_a_waiting_case_of_a_wrong_person_leaves_the_queue(
    services: Services, jobs: Jobs, measured: Callable[..., UUID]
) -> None:
    visit = measured(HIGH)
    checkup.finish(services, ANNA, visit)
    jobs()
    assert [case.visit_id for case in service.queue(services, VERA)] == [visit]

    service_endings.end_visit(services, ANNA, visit, "wrong_person", "another_person")
    jobs()

    assert service.queue(services, VERA) == []


def test_while_a_doctor_has_the_case_it_is_given_back_first(
    services: Services, jobs: Jobs, measured: Callable[..., UUID]
) -> None:
    visit = measured(HIGH)
    checkup.finish(services, ANNA, visit)
    jobs()
    case = case_of(services, visit)
    assert case is not None
    service.take(services, VERA, case.id)

    with pytest.raises(Conflict, match="case_with_doctor"):
        service_endings.end_visit(services, ANNA, visit, "wrong_person", "another_person")

    service.give_back(services, VERA, case.id)
    service_endings.end_visit(services, ANNA, visit, "wrong_person", "another_person")
    assert values_of(services) == []


def test_the_clerk_says_whose_the_readings_are(services: Services, measured: Callable[..., UUID], sign_in: SignIn) -> None:
    visit = measured(HIGH)
    page = sign_in(cast.ANNA).post(f"/visits/{visit}/end", data={"ending": "wrong_person"}, follow_redirects=True)

    assert "Choose whose the readings are." in page.text
    assert checkup.visit_view(services, ANNA, visit).state == "open"
    assert values_of(services) == ["191/118"]


@pytest.mark.parametrize("person", [cast.VERA, cast.GALINA], ids=["doctor", "coordinator"])
def test_a_second_person_confirms_and_the_readings_are_erased(
    services: Services, measured: Callable[..., UUID], sign_in: SignIn, person: cast.Person
) -> None:
    visit = measured(HIGH)
    service_endings.end_visit(services, ANNA, visit, "wrong_person", "another_person")
    page = sign_in(person).post(f"/set-aside/{visit}/erase", follow_redirects=True)

    assert "The readings and answers are erased." in page.text
    with services.db.read() as tx:
        assert [row.clinical for row in tx.query(Reading).filter_by(visit_id=visit)] == [None]
        assert tx.get_one(Visit, visit).answers is None
    assert service_aside.waiting(services, person.who) == []


@pytest.mark.parametrize("person", [cast.ANNA, cast.DINA, cast.EGOR, cast.OLEG], ids=lambda person: person.role)
def test_nobody_else_erases(services: Services, measured: Callable[..., UUID], person: cast.Person) -> None:
    visit = measured(HIGH)
    service_endings.end_visit(services, ANNA, visit, "wrong_person", "another_person")
    with pytest.raises(Forbidden):
        service_aside.erase_aside(services, person.who, visit)


@pytest.mark.parametrize("person", [cast.GLEB, cast.KIRA, cast.RITA], ids=lambda person: person.role)
def test_another_region_neither_sees_nor_decides(
    services: Services, measured: Callable[..., UUID], person: cast.Person
) -> None:
    visit = measured(HIGH)
    service_endings.end_visit(services, ANNA, visit, "wrong_person", "another_person")

    assert service_aside.waiting(services, person.who) == []
    with pytest.raises((NotFound, Forbidden)):
        service_aside.erase_aside(services, person.who, visit)


def test_the_coordinator_gives_back_what_was_the_patients_after_all(
    services: Services, jobs: Jobs, measured: Callable[..., UUID]
) -> None:
    visit = measured(HIGH)
    service_endings.end_visit(services, ANNA, visit, "wrong_person", "not_known")
    service_aside.ask_to_cancel(services, ANNA, visit)
    with pytest.raises(Conflict, match="aside_cancel_asked"):
        service_aside.erase_aside(services, VERA, visit)

    service_aside.give_back(services, GALINA, visit)
    jobs()

    assert values_of(services) == ["191/118"]
    case = case_of(services, visit)
    assert case is not None
    assert case.stored_at is not None


def test_the_corner_is_free_for_the_next_patient_while_others_decide(
    services: Services, hands: Hands, measured: Callable[..., UUID]
) -> None:
    visit = measured(HIGH)
    service_endings.end_visit(services, ANNA, visit, "wrong_person", "another_person")
    service_aside.ask_to_cancel(services, ANNA, visit)

    assert checkup.open_visit(services, ANNA, cast.IVAN.id, cast.OZERKI, "document")


def test_the_booked_patient_is_still_awaited(services: Services, hands: Hands) -> None:
    booking = hands.booking()
    visit = checkup.open_visit(services, ANNA, cast.MARIA.id, cast.OZERKI, "document", booking)
    service_endings.end_visit(services, ANNA, visit, "wrong_person", "another_person")

    with services.db.read() as tx:
        assert tx.get_one(Booking, booking).status == "booked"
    assert checkup.open_visit(services, ANNA, cast.MARIA.id, cast.OZERKI, "document", booking) != visit


# --- undo ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["left", "ambulance", "wrong_person"])
def test_an_ending_is_taken_back_within_half_a_minute(
    services: Services, jobs: Jobs, clock: Callable[[], object], measured: Callable[..., UUID], sign_in: SignIn, ending: str
) -> None:
    visit = measured(HIGH)
    anna = sign_in(cast.ANNA)
    desk = anna.post(f"/visits/{visit}/end", data={"ending": ending, "whose": "a_trial"}, follow_redirects=True)
    assert "Undo: the visit goes on" in desk.text
    jobs()
    clock.forward(seconds=29)  # type: ignore[attr-defined]

    page = anna.post(f"/visits/{visit}/undo", follow_redirects=True)

    assert page.request.path == f"/counter/visits/{visit}"
    assert checkup.visit_view(services, ANNA, visit).state == "open"
    assert values_of(services) == ["191/118"]
    assert service_aside.waiting(services, GALINA) == []


def test_later_it_is_not_taken_back(services: Services, clock, measured: Callable[..., UUID], sign_in: SignIn) -> None:  # type: ignore[no-untyped-def]
    visit = measured(HIGH)
    service_endings.end_visit(services, ANNA, visit, "wrong_person", "another_person")
    clock.forward(seconds=31)
    anna = sign_in(cast.ANNA)
    assert "Undo: the visit goes on" not in anna.get("/counter").text

    page = anna.post(f"/visits/{visit}/undo", follow_redirects=True)

    assert "too late to undo" in page.text
    assert values_of(services) == []


def test_it_is_not_taken_back_when_the_next_patient_sits_there(services: Services, measured: Callable[..., UUID]) -> None:
    visit = measured(HIGH)
    service_endings.end_visit(services, ANNA, visit, "left")
    checkup.open_visit(services, ANNA, cast.IVAN.id, cast.OZERKI, "document")

    with pytest.raises(Conflict, match="corner_busy"):
        service_endings.undo_ending(services, ANNA, visit)


def test_a_case_that_was_stored_waits_at_the_corner_again(
    services: Services, jobs: Jobs, measured: Callable[..., UUID]
) -> None:
    visit = measured(HIGH)
    checkup.finish(services, ANNA, visit)
    jobs()
    service_endings.end_visit(services, ANNA, visit, "left")
    jobs()
    assert case_of(services, visit).stored_at is not None  # type: ignore[union-attr]

    service_endings.undo_ending(services, ANNA, visit)

    case = case_of(services, visit)
    assert case is not None
    assert (case.state, case.stored_at) == ("waiting", None)
    assert checkup.visit_view(services, ANNA, visit).state == "ready"


def test_the_booking_and_its_time_are_back(services: Services, hands: Hands) -> None:
    booking = hands.booking()
    visit = checkup.open_visit(services, ANNA, cast.MARIA.id, cast.OZERKI, "document", booking)
    service_endings.end_visit(services, ANNA, visit, "left")
    service_endings.undo_ending(services, ANNA, visit)

    with services.db.read() as tx:
        assert tx.get_one(Booking, booking).status == "arrived"
