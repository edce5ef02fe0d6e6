"""The visit's page while measuring: the clerk sees what is wrong and the one thing to do, and never a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from telemed.bootstrap import Application
from telemed.branches.models import Gateway, GatewayOrder, Kit, Meter
from telemed.checkup import service
from telemed.checkup.models import SeriesStep, Visit
from telemed.consultation import service as consultation
from telemed.ids import new_id
from telemed.readings import service as readings
from telemed.readings.models import QuarantinedItem
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.make import Hands, meter_of
from tests.readings.sender import Sender

CALM = {"symptoms": [], "fasting": True, "arm": "left", "cuff": "medium"}
GLUCOSE = meter_of(cast.OZERKI, "glucose")
SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]


@pytest.fixture
def sender(application: Application) -> Sender:
    return Sender(application)


@pytest.fixture
def anna(sign_in: SignIn) -> FlaskClient:
    return sign_in(cast.ANNA)


@pytest.fixture
def visit(services: Services, sender: Sender, clock: Clock) -> UUID:
    """Maria's visit: the questions are answered, the branch PC and its meters are well, glucose comes first."""
    visit_id = service.open_visit(services, cast.ANNA.who, cast.MARIA.id, cast.OZERKI, "document")
    service.answer_questions(services, cast.ANNA.who, visit_id, CALM)
    clock.forward(seconds=5)
    branch_pc(services, status="ok", last_seen_at=clock())
    return visit_id


def branch_pc(services: Services, **facts: Any) -> None:
    with services.db.write() as tx:
        for name, value in facts.items():
            setattr(tx.query(Gateway).one(), name, value)


def meter(services: Services, **facts: Any) -> None:
    with services.db.write() as tx:
        for name, value in facts.items():
            setattr(tx.get_one(Meter, GLUCOSE), name, value)


def orders(services: Services) -> list[str]:
    with services.db.read() as tx:
        return [order.kind for order in tx.query(GatewayOrder).order_by(GatewayOrder.no)]


def page(anna: FlaskClient, visit: UUID) -> str:
    return anna.get(f"/counter/visits/{visit}").text


def situation(text: str) -> str | None:
    found = re.search(r'data-situation="(\w+)"', text)
    return found.group(1) if found else None


def may_leave(text: str) -> str | None:
    """Return the measurement that the situation's box offers to go on without."""
    box = text.partition('data-situation="')[2].partition("<details")[0]
    found = re.search(r'name="kind" value="(\w+)">\s*<button[^>]*>Go on without this measurement', box)
    return found.group(1) if found else None


def remarks(text: str) -> list[str]:
    return re.findall(r'data-remark="(\w+)"', text)


def test_when_all_is_well_the_page_asks_to_measure_and_nothing_else(anna: FlaskClient, visit: UUID) -> None:
    text = page(anna, visit)

    assert (situation(text), remarks(text)) == (None, [])
    assert "Measure with the meter" in text


def test_a_meter_that_stays_silent_is_told_of_and_the_page_looks_again_by_itself(
    anna: FlaskClient, services: Services, visit: UUID, clock: Clock
) -> None:
    service.ask_measurement(services, cast.ANNA.who, visit, "glucose")
    text = page(anna, visit)
    assert situation(text) is None
    for _ in range(4):  # the page's looks
        clock.forward(seconds=int(re.findall(r'data-renew-after="(\d+)"', text)[0]))
        branch_pc(services, last_seen_at=clock())
        if situation(text := page(anna, visit)):
            break

    assert situation(text) == "not_seen"
    assert "Switch it on within a metre" in text


def test_a_meter_heard_without_its_reading_vanished(
    anna: FlaskClient, services: Services, visit: UUID, clock: Clock
) -> None:
    service.ask_measurement(services, cast.ANNA.who, visit, "glucose")
    clock.forward(seconds=20)
    meter(services, last_seen_at=clock())
    branch_pc(services, last_seen_at=clock())

    assert situation(page(anna, visit)) == "vanished"


@pytest.mark.parametrize(
    ("status", "expected", "sentence"),
    [
        ("no_radio", "pc_trouble", "Check the Bluetooth adapter"),
        ("radio_off", "pc_trouble", "Switch Bluetooth on"),
        ("clock_wrong", "pc_trouble", "Set the time on the branch PC"),
        ("disk_full", "pc_stuck", "Copy the figures from the meter&#39;s display"),
    ],
)
def test_the_trouble_of_the_branch_pc_is_said_with_what_to_do(
    anna: FlaskClient, services: Services, visit: UUID, status: str, expected: str, sentence: str
) -> None:
    branch_pc(services, status=status)
    text = page(anna, visit)

    assert situation(text) == expected
    assert sentence in text


def test_a_silent_branch_pc_is_told_of(anna: FlaskClient, services: Services, visit: UUID, clock: Clock) -> None:
    clock.forward(seconds=120)
    text = page(anna, visit)

    assert situation(text) == "pc_trouble"
    assert "No measurement is lost" in text


def test_a_lost_pairing_is_mended_from_the_visit_and_the_clerk_stays_there(
    anna: FlaskClient, services: Services, visit: UUID
) -> None:
    meter(services, enrolment="failed", enrolment_code="bond_lost")
    assert situation(page(anna, visit)) == "lost_bond"
    answer = anna.post(f"/branch/meters/{GLUCOSE}/pair", data={"visit": str(visit)})

    assert answer.location == f"/counter/visits/{visit}"
    assert orders(services)[-1] == "enrol_meter"
    assert situation(page(anna, visit)) is None, "the gateway looks for the meter"


@pytest.mark.parametrize(
    ("enrolment", "light", "named"),
    [("failed", "ok", ["Glucose SIM-GL"]), ("enrolled", "no_radio", []), ("enrolled", "ok", [])],
)
def test_a_trouble_names_its_meter_since_the_corner_has_two(
    anna: FlaskClient, services: Services, visit: UUID, enrolment: str, light: str, named: list[str]
) -> None:
    branch_pc(services, status=light)
    meter(services, enrolment=enrolment, enrolment_code="bond_lost" if enrolment == "failed" else None)

    assert re.findall(r"<small data-about>([^<]+)<", page(anna, visit)) == named


def test_of_two_meters_of_a_kind_none_is_blamed_for_a_reading(
    anna: FlaskClient, services: Services, visit: UUID
) -> None:
    anna.post("/branch/meters", data={"kind": "glucose", "name": "Accu-Chek"})
    with services.db.write() as tx:
        step = tx.query(SeriesStep).filter_by(visit_id=visit, kind="glucose").one()
        step.state, step.advice = "repeat", "strip"

    assert re.findall(r"<small data-about>([^<]+)<", page(anna, visit)) == ["Glucose"]


def test_the_meter_of_another_table_is_not_spoken_of(
    anna: FlaskClient, services: Services, visit: UUID, hands: Hands
) -> None:
    meter(services, enrolment="failed", enrolment_code="bond_lost")
    assert situation(page(anna, visit)) == "lost_bond"

    kit_id = hands.add(Kit(id=new_id(), branch_id=cast.OZERKI, name="2"))
    with services.db.write() as tx:
        tx.get_one(Visit, visit).kit_id = kit_id
        tx.query(Meter).filter(Meter.id != GLUCOSE).update({"kit_id": kit_id})
    assert situation(page(anna, visit)) == "no_meter", "the meter in trouble lies on the other table"


def test_a_broken_meter_does_not_hold_up_the_other_measurement(
    anna: FlaskClient, services: Services, visit: UUID
) -> None:
    meter(services, enrolment="failed", enrolment_code="bond_lost")
    text = page(anna, visit)
    assert (situation(text), may_leave(text)) == ("lost_bond", "glucose")
    assert text.count("Go on without this measurement") == 1
    anna.post(f"/visits/{visit}/skip", data={"kind": "glucose"})
    text = page(anna, visit)

    assert situation(text) is None
    assert "Put the cuff on the LEFT arm" in text


@pytest.mark.parametrize(
    ("advice", "state", "left"), [("urgent", "done", None), ("call_doctor", "repeat", "blood_pressure")]
)
def test_what_a_measurement_asks_for_at_once_is_not_hidden_by_the_other_meters_trouble(
    anna: FlaskClient, services: Services, visit: UUID, advice: str, state: str, left: str | None
) -> None:
    meter(services, enrolment="failed", enrolment_code="bond_lost")
    with services.db.write() as tx:
        step = tx.query(SeriesStep).filter_by(visit_id=visit, kind="blood_pressure", ordinal=1).one()
        step.state, step.advice = state, advice
    text = page(anna, visit)

    assert (situation(text), may_leave(text)) == (advice, left)


def test_what_the_doctor_reads_of_a_measurement_given_up_is_true_of_a_meter_that_answered(
    sign_in: SignIn, anna: FlaskClient, services: Services, visit: UUID
) -> None:
    with services.db.write() as tx:
        step = tx.query(SeriesStep).filter_by(visit_id=visit, kind="blood_pressure", ordinal=1).one()
        step.state, step.advice = "repeat", "call_doctor"
    box = page(anna, visit).partition('data-situation="call_doctor"')[2].partition("<details")[0]
    (despite,) = re.findall(r'name="despite" value="(\w+)">', box)
    anna.post(f"/visits/{visit}/finish", data={"despite": despite})
    with services.db.write() as tx:
        case = consultation.queue_case(services, tx, visit)
    assert case is not None
    consultation.take(services, cast.VERA.who, case)

    assert "The meter gives no result." in sign_in(cast.VERA).get(f"/doctor/cases/{case}").text


def test_while_the_pc_looks_for_a_meter_the_page_says_so_and_blames_nobody(
    anna: FlaskClient, services: Services, visit: UUID, clock: Clock
) -> None:
    service.ask_measurement(services, cast.ANNA.who, visit, "glucose")
    clock.forward(minutes=2)
    branch_pc(services, last_seen_at=clock())
    meter(services, enrolment="failed", enrolment_code="bond_lost", last_seen_at=clock())
    anna.post(f"/branch/meters/{GLUCOSE}/pair", data={"visit": str(visit)})
    text = page(anna, visit)

    assert situation(text) == "pairing"
    assert "up to a minute" in text


@pytest.mark.parametrize(
    ("done", "expected"), [((), "put_left"), (("left",), "put_right"), (("left", "right"), "stays_right")]
)
def test_the_cuff_is_moved_or_stays_and_is_never_said_to_be_where_it_is_not(
    anna: FlaskClient, services: Services, visit: UUID, done: tuple[str, ...], expected: str
) -> None:
    """Known by where the last pressure was taken: on a first visit one on each arm, then the higher one."""
    service.skip_step(services, cast.ANNA.who, visit, "glucose")
    with services.db.write() as tx:
        steps = tx.query(SeriesStep).filter_by(visit_id=visit, kind="blood_pressure").order_by(SeriesStep.ordinal).all()
        for step, arm in zip(steps, done, strict=False):
            step.arm, step.reading_id, step.state = arm, new_id(), "done"
        steps[len(done)].arm = {"put_left": "left"}.get(expected, "right")

    words = {"put_left": "Put the cuff on the LEFT arm", "put_right": "Put the cuff on the RIGHT arm",
             "stays_right": "The cuff stays on the right arm"}  # fmt: skip
    text = page(anna, visit)
    assert [name for name, said in words.items() if said in text] == [expected]
    assert text.count("Put the cuff") == (0 if expected == "stays_right" else 1)


def test_a_fault_stands_above_the_list_and_no_other_advice_covers_it(
    anna: FlaskClient, services: Services, visit: UUID
) -> None:
    assert 'class="next-step"' in page(anna, visit)
    meter(services, enrolment="failed", enrolment_code="bond_lost")
    text = page(anna, visit)

    assert text.index("data-situation") < text.index('class="task-list"')
    assert 'class="next-step"' not in text
    assert "call the doctor" in text


def test_a_meter_that_was_paired_is_named_and_the_visit_goes_on(
    anna: FlaskClient, services: Services, visit: UUID, clock: Clock
) -> None:
    anna.post(f"/branch/meters/{GLUCOSE}/pair", data={"visit": str(visit)})
    text = page(anna, visit)
    assert "Glucose SIM-GL</span> The gateway looks for the meter now" in text
    assert 'data-renew-after="5"' in text, "its digits must be typed within half a minute"
    meter(services, enrolment="enrolled", paired_at=clock())
    text = page(anna, visit)

    assert f'data-paired="{GLUCOSE}"' in text
    assert "Glucose SIM-GL</span> The meter is paired. You can measure with it now." in text
    assert situation(text) is None


def test_the_digits_of_a_meter_are_typed_in_the_visit(anna: FlaskClient, services: Services, visit: UUID) -> None:
    meter(services, enrolment="passkey_needed")
    text = page(anna, visit)
    assert (situation(text), "The six digits on the meter" in text) == ("passkey_needed", True)
    answer = anna.post(f"/branch/meters/{GLUCOSE}/passkey", data={"passkey": "123456", "visit": str(visit)})

    assert answer.location == f"/counter/visits/{visit}"
    assert orders(services)[-1] == "passkey"
    text = page(anna, visit)
    assert "The six digits on the meter" not in text
    assert "Glucose SIM-GL</span> The meter has answered and is being paired" in text


def test_a_branch_without_the_meter_sends_the_clerk_to_its_page(
    anna: FlaskClient, services: Services, visit: UUID, clock: Clock
) -> None:
    anna.post(f"/branch/meters/{GLUCOSE}/forget")
    assert orders(services)[-1] == "forget_meter"
    text = page(anna, visit)

    assert situation(text) == "no_meter"
    assert 'href="/branch"' in text


def test_weak_battery_old_strips_calibration_and_clock_are_remarked_without_stopping_anybody(
    anna: FlaskClient, services: Services, visit: UUID, clock: Clock
) -> None:
    yesterday = clock().date() - timedelta(days=1)
    meter(services, battery_pct=10, strips_expire_on=yesterday, calibration_due_on=yesterday, drift_s=-3600)
    text = page(anna, visit)

    assert situation(text) is None
    assert remarks(text) == ["battery_low", "strips_expired", "calibration_overdue", "meter_clock_wrong"]


def test_a_packet_that_nobody_can_read_is_copied_from_the_display(
    anna: FlaskClient, services: Services, visit: UUID, clock: Clock
) -> None:
    branch_pc(services, undecodable=1, undecodable_at=clock())
    assert situation(page(anna, visit)) is None, "that was before this measurement"
    clock.forward(seconds=1)
    service.ask_measurement(services, cast.ANNA.who, visit, "glucose")
    branch_pc(services, undecodable=2, undecodable_at=clock(), last_seen_at=clock())
    text = page(anna, visit)

    assert situation(text) == "undecodable"
    assert "Type the figures in" in text


def put_aside(services: Services, sender: Sender, visit: UUID, clock: Clock) -> None:
    """Let a glucose come that was asked for, yet names no visit."""
    service.ask_measurement(services, cast.ANNA.who, visit, "glucose")
    clock.forward(seconds=1)
    sender.reading(None, **sender.glucose(7.9))
    assert sender.post().status_code == 200
    branch_pc(services, last_seen_at=clock())


def test_a_reading_put_aside_is_no_mystery(
    anna: FlaskClient, services: Services, sender: Sender, visit: UUID, clock: Clock
) -> None:
    put_aside(services, sender, visit, clock)
    text = page(anna, visit)

    assert situation(text) == "put_aside"
    assert not {"7.9", "7,9"} & set(re.findall(r"\d+[.,]\d", text)), "no value"


def test_a_reading_put_aside_for_the_meters_clock_is_told_of_in_one_sentence(
    anna: FlaskClient, services: Services, sender: Sender, visit: UUID, clock: Clock
) -> None:
    put_aside(services, sender, visit, clock)
    meter(services, drift_s=10_800)
    text = page(anna, visit)
    assert (situation(text), remarks(text)) == ("clock_wrong", [])
    with services.db.write() as tx:
        (item,) = tx.query(QuarantinedItem)
        item.reason = "meter_not_enrolled"
    assert situation(page(anna, visit)) == "put_aside", "that clock is wrong too, but it is not why"

    sender.opened(visit)
    sender.reading(visit, **sender.glucose(7.9))
    sender.post()
    text = page(anna, visit)
    assert (situation(text), remarks(text)) == (None, ["put_aside", "meter_clock_wrong"])
    assert "not of this visit" not in text


def test_a_pressure_that_is_hi_twice_is_no_matter_of_the_cuff(
    anna: FlaskClient, services: Services, sender: Sender, visit: UUID
) -> None:
    service.skip_step(services, cast.ANNA.who, visit, "glucose")
    sender.opened(visit)
    said = []
    for _ in range(2):
        off_scale = {"systolic": "+INFINITY", "systolic_mmhg": None, "diastolic_mmhg": None, "status": {}}
        sender.reading(visit, decoded=off_scale, verdict="not_a_result", reasons=["pressure_hi"])
        sender.post()
        said.append(situation(page(anna, visit)))

    assert said == ["off_scale", "urgent"]


def test_an_urgent_result_calls_the_doctor_at_once_also_when_nothing_is_missing(
    anna: FlaskClient, services: Services, visit: UUID
) -> None:
    """The level of a pressure that is HI twice is that of its other readings."""
    answers = {**CALM, "question": "нет", "medicines": "нет", "allergies": "нет"}
    service.answer_questions(services, cast.ANNA.who, visit, answers)
    typed = {"glucose": {"glucose_mmol_l": 5.4}, "blood_pressure": {"systolic": 120, "diastolic": 80, "pulse": 70}}
    for kind, values in typed.items():
        readings.type_in(services, cast.ANNA.who, visit, kind, values)
    with services.db.write() as tx:
        step = tx.query(SeriesStep).filter_by(visit_id=visit, kind="blood_pressure", ordinal=2).one()
        step.state, step.advice = "done", "urgent"
    text = page(anna, visit)

    assert (situation(text), "data-missing" in text) == ("urgent", False)
    assert '<input type="hidden" name="despite" value="cannot_wait">' in text


def test_who_feels_unwell_while_measuring_has_the_doctor_called_at_once_whatever_is_missing(
    anna: FlaskClient, services: Services, visit: UUID
) -> None:
    answers = {**CALM, "question": "нет", "medicines": "нет", "allergies": "нет"}
    service.answer_questions(services, cast.ANNA.who, visit, answers)
    for is_whole in (False, True):
        text = page(anna, visit)
        assert ("data-missing" not in text) == is_whole
        assert "The patient feels unwell: call the doctor" in text
        assert '<input type="hidden" name="despite" value="cannot_wait">' in text
        assert ("Call the doctor already" in text) == is_whole
        pressure = {"systolic": 120, "diastolic": 80, "pulse": 70}
        readings.type_in(services, cast.ANNA.who, visit, "blood_pressure", pressure)


def test_beside_an_urgent_result_nobody_is_told_to_sit_and_wait_for_the_cuff(
    anna: FlaskClient, services: Services, visit: UUID, clock: Clock
) -> None:
    with services.db.write() as tx:
        for step in tx.query(SeriesStep).filter_by(visit_id=visit):
            step.not_before = clock() + timedelta(minutes=1)
            if step.kind == "glucose":
                step.state, step.advice = "done", "urgent"
    text = page(anna, visit)

    assert situation(text) == "urgent"
    assert "data-countdown" not in text
    assert "Put the cuff" not in text


def test_beside_an_urgent_result_nothing_offers_to_measure_on(anna: FlaskClient, services: Services, visit: UUID) -> None:
    assert "The meter does not answer" in page(anna, visit)
    with services.db.write() as tx:
        step = tx.query(SeriesStep).filter_by(visit_id=visit, kind="glucose").one()
        step.state, step.advice = "done", "urgent"

    assert "The meter does not answer" not in page(anna, visit)


def test_in_the_clerks_language(sign_in: SignIn, services: Services, visit: UUID) -> None:
    anna = sign_in(cast.ANNA)
    anna.set_cookie("lang", "be")
    branch_pc(services, status="disk_full")

    assert "Перапішыце лічбы з экрана прыбора" in page(anna, visit)
