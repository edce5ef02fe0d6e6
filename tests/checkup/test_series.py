"""The series of a visit: what is asked when, what a reading does to it, and what the gateway is told."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select

from telemed.booking import service as booking
from telemed.bootstrap import build
from telemed.branches.models import Branch, GatewayOrder
from telemed.checkup import rules, service, service_series, service_simulated
from telemed.checkup.models import SeriesStep, Visit
from telemed.errors import Conflict, Forbidden, Invalid, NotFound
from telemed.ids import new_id
from tests import cast
from tests.checkup.test_station import typed

ANNA = cast.ANNA.who
GOLDEN = Path(__file__).parent.parent / "contract" / "wire-heartbeat.json"
CALM = {"symptoms": [], "fasting": True, "arm": "left", "cuff": "medium", "known_hypertension": None}


@pytest.fixture
def gateway(hands) -> UUID:
    return hands.gateway(b"k" * 32)


@pytest.fixture
def visit(services, gateway) -> UUID:
    found = service.open_visit(services, ANNA, cast.MARIA.id, cast.OZERKI, "document")
    service.answer_questions(services, ANNA, found, CALM)
    return found


class Meter:
    """Readings that arrive: it keeps their values, as the record would."""

    def __init__(self, services, visit) -> None:
        self.services, self.visit, self.values = services, visit, {}

    def read(self, pressure=(128, 80), kind="blood_pressure", status="usable", reasons=(), irregular=False) -> bool:
        """Let a reading of the visit arrive; tell whether the series is complete."""
        reading_id = new_id()
        self.values[reading_id] = rules.Single(*pressure, 70, irregular, reading_id=reading_id)
        figures = self.values.copy()
        with self.services.db.write() as tx:
            return service_series.note_reading(
                self.services, tx, self.visit, kind, status, reading_id, reasons,
                lambda ids: {one: figures[one] for one in ids},
            )  # fmt: skip


def read(services, visit, kind="blood_pressure", status="usable") -> bool:
    with services.db.write() as tx:
        return service_series.note_reading(services, tx, visit, kind, status, new_id())


def states(services, visit) -> list[str]:
    return [step.state for step in service.visit_view(services, ANNA, visit).steps]


def orders(services, kind: str) -> list[dict[str, object]]:
    with services.db.read() as tx:
        rows = tx.scalars(select(GatewayOrder).where(GatewayOrder.kind == kind).order_by(GatewayOrder.no))
        return [row.body for row in rows]


def golden(kind: str) -> dict[str, object]:
    """Return the order of that kind in the contract, without what every order has."""
    found = json.loads(json.loads(GOLDEN.read_text())["response_body"])["orders"]
    return next({k: v for k, v in order.items() if k not in ("no", "kind")} for order in found if order["kind"] == kind)


def refusal(kind, work, *args, **more):
    with pytest.raises(kind) as refused:
        work(*args, **more)
    return next(iter(refused.value.fields.values())) if isinstance(refused.value, Invalid) else refused.value.code


def ask(services, visit, kind="blood_pressure", who=ANNA):
    return service.ask_measurement(services, who, visit, kind)


# --- order and spacing --------------------------------------------------------------------------------------------


def test_glucose_comes_first_because_it_needs_no_rest(services, visit):
    steps = service.visit_view(services, ANNA, visit).steps

    assert [(step.kind, step.ordinal) for step in steps] == [
        ("glucose", 1), ("blood_pressure", 1), ("blood_pressure", 2), ("blood_pressure", 3), ("blood_pressure", 4),
    ], "one more than the rule's three: this is the first visit, so each arm is measured once"  # fmt: skip


@pytest.mark.parametrize(("name", "rest_s", "interval_s"), [("standard-1", 300, 60), ("demo-1", 5, 3)])
def test_pressure_is_measured_three_times_after_a_rest(name, rest_s, interval_s):
    steps = rules.planned(service_series.protocols()[name], cast.NOON)
    waits = [rules.wait_s(at, cast.NOON) for kind, _ordinal, at in steps if kind == "blood_pressure"]

    assert waits == [rest_s, rest_s + interval_s, rest_s + 2 * interval_s]


def test_the_pause_counts_from_when_the_last_reading_really_came(services, visit, clock):
    clock.forward(seconds=60)
    ask(services, visit)
    read(services, visit)

    with pytest.raises(Conflict) as refused:
        ask(services, visit)
    assert (refused.value.code, refused.value.facts["wait_s"]) == ("rest_first", 3)
    clock.forward(seconds=3)
    assert ask(services, visit) == 2


def test_asking_twice_asks_for_the_same_measurement(services, visit):
    assert ask(services, visit, "glucose") == ask(services, visit, "glucose") == 1


def test_a_doubtful_reading_is_asked_for_again(services, visit):
    ask(services, visit, "glucose")
    read(services, visit, "glucose", "questionable")
    assert states(services, visit)[0] == "repeat"
    assert ask(services, visit, "glucose") == 1
    read(services, visit, "glucose")

    assert states(services, visit)[0] == "done"
    assert refusal(Conflict, ask, services, visit, "glucose") == "series_over"


def test_the_last_reading_completes_the_series(services, visit, clock):
    answers = [read(services, visit, "glucose")]
    for _ in range(4):
        clock.forward(seconds=10)
        answers.append(read(services, visit))

    assert answers == [False, False, False, False, True]
    assert read(services, visit) is False, "one more changes nothing"
    assert states(services, visit) == ["done"] * 5


def test_what_the_patient_cannot_bear_is_left_out(services, visit):
    read(services, visit, "glucose")
    service.skip_step(services, ANNA, visit, "blood_pressure")

    assert states(services, visit) == ["done"] + ["skipped"] * 4
    assert refusal(Conflict, ask, services, visit) == "series_over"
    assert refusal(Invalid, service.skip_step, services, ANNA, visit, "weight") == "required"


# --- arms and rules -----------------------------------------------------------------------------------------------


@pytest.fixture
def meter(services, visit, clock) -> Meter:
    clock.forward(seconds=30)
    return Meter(services, visit)


def arms(services, visit) -> list[str | None]:
    return [step.arm for step in service.visit_view(services, ANNA, visit).steps if step.kind == "blood_pressure"]


def open_again(services, clock, visit, rule=None) -> UUID:
    """Let Maria come once more, after a visit that measured both arms."""
    first = Meter(services, visit)
    first.read((150, 90))
    first.read((140, 80))
    service.close_visit(services, ANNA, visit)
    clock.forward(days=30)
    with services.db.write() as tx:
        tx.get(Branch, cast.OZERKI).series_rule = rule
    again = service.open_visit(services, ANNA, cast.MARIA.id, cast.OZERKI, "card")
    service.answer_questions(services, ANNA, again, CALM)
    clock.forward(seconds=30)
    return again


@pytest.mark.parametrize(("left", "right", "higher"), [((150, 90), (140, 80), "left"), ((140, 80), (150, 90), "right")])
def test_a_first_visit_measures_both_arms_and_goes_on_with_the_higher(services, visit, meter, left, right, higher):
    assert arms(services, visit) == ["left", "right", None, None]
    meter.read(left)
    assert arms(services, visit)[2:] == [None, None]
    meter.read(right)

    assert arms(services, visit) == ["left", "right", higher, higher]


def test_a_later_visit_keeps_to_the_higher_arm_of_the_first(services, visit, meter, clock, sign_in):
    for pressure in ((140, 80), (150, 90), (149, 88), (148, 88)):
        meter.read(pressure)
    again = open_again(services, clock, visit)

    assert arms(services, again) == ["left", "left", "left"], "the clerk chose left, and both arms are known"
    assert "Last time it was this arm: right arm" in sign_in(cast.ANNA).get(f"/visits/{again}/questions").text


def test_an_arm_that_cannot_take_the_cuff_is_left_out(services, visit, meter):
    service.skip_arm(services, ANNA, visit)

    assert arms(services, visit) == ["left", "right", "right", "right"]
    assert states(services, visit)[1:] == ["skipped", "waiting", "waiting", "waiting"]
    assert [meter.read() for _ in range(3)] == [False] * 3
    assert refusal(Conflict, service.skip_arm, services, ANNA, visit) == "only_one_arm"


def test_an_arm_corrected_before_the_first_reading_counts_and_a_later_one_does_not(services, visit, meter):
    service.answer_questions(services, ANNA, visit, CALM | {"arm": "right"})
    assert arms(services, visit) == ["right", "left", None, None]
    meter.read()
    service.answer_questions(services, ANNA, visit, CALM)

    assert arms(services, visit)[:2] == ["right", "left"]


def test_two_last_readings_far_apart_ask_for_a_fourth_and_then_no_more(services, visit, meter, clock):
    again = Meter(services, open_again(services, clock, visit))
    answers = [again.read(pressure) for pressure in ((150, 90), (150, 90), (139, 85))]
    assert answers == [False, False, False]
    glucose = again.read(kind="glucose")

    assert not glucose
    assert service.visit_view(services, ANNA, again.visit).next.ordinal == 4
    assert again.read((120, 80)), "whatever the fourth says, the series is over"


def test_the_fourth_reading_keeps_the_interval(services, visit, clock):
    again = Meter(services, open_again(services, clock, visit))
    for pressure in ((150, 90), (150, 90), (139, 85)):
        again.read(pressure)

    with pytest.raises(Conflict) as refused:
        ask(services, again.visit)
    assert refused.value.facts["wait_s"] == 3


def test_a_low_first_reading_is_enough_where_the_rule_says_so(services, visit, clock):
    again = Meter(services, open_again(services, clock, visit, "ish-2020"))
    again.read(kind="glucose")

    assert again.read((129, 84))
    assert states(services, again.visit) == ["done", "done", "not_needed", "not_needed"]


def test_a_branch_may_follow_another_guideline_than_the_deployment(services, visit, clock):
    again = open_again(services, clock, visit, "acc-aha-2025")

    assert arms(services, again) == ["left", "left"]
    assert service.visit_view(services, ANNA, again).is_demo, "in a demo every rule runs in seconds and says so"


def test_a_deployment_chooses_its_guideline(services, clock):
    services.settings = replace(services.settings, series_rule="canada-2025")
    services.demo = False
    visit = service.open_visit(services, ANNA, cast.MARIA.id, cast.OZERKI, "card")

    view = service.visit_view(services, ANNA, visit)
    assert (view.protocol, view.is_demo) == ("canada-2025", False)


def test_a_bad_reading_says_what_to_do_and_the_third_calls_the_doctor(services, visit, meter):
    seen = []
    for _ in range(3):
        meter.read(status="questionable", reasons=("body_movement",))
        seen.append(service.visit_view(services, ANNA, visit).steps[1].advice)

    assert seen == ["movement", "movement", "call_doctor"]
    meter.read()
    step = service.visit_view(services, ANNA, visit).steps[1]
    assert (step.state, step.advice) == ("done", None)


def test_a_running_series_looks_the_same_in_a_second_window_and_after_the_server_started_anew(
    application, settings, services, sign_in, visit, meter, clock
):
    meter.read(kind="glucose")
    meter.read()
    ask(services, visit) if not service.visit_view(services, ANNA, visit).next.wait_s else clock.forward(seconds=3)
    first = sign_in(cast.ANNA).get(f"/counter/visits/{visit}").text
    second = sign_in(cast.ANNA).get(f"/counter/visits/{visit}").text
    other = build(settings, clock=clock)
    try:
        anew = service.visit_view(other.services, ANNA, visit)
    finally:
        other.close()

    assert task_list(first) == task_list(second)
    assert anew == service.visit_view(services, ANNA, visit)


def task_list(page: str) -> str:
    return page.split('<ol class="task-list">')[1].split("</ol>")[0]


@pytest.mark.parametrize("kind", ["", "weight", "BLOOD_PRESSURE"])
def test_an_unknown_kind_is_refused(services, visit, kind):
    assert refusal(Invalid, ask, services, visit, kind) == "required"


# --- finish and close ---------------------------------------------------------------------------------------------


def test_a_visit_is_handed_over_once_and_then_closed(services, visit):
    service.finish(services, ANNA, visit)
    service.finish(services, ANNA, visit)
    assert service.visit_view(services, ANNA, visit).state == "ready"
    service.close_visit(services, ANNA, visit)

    with services.db.read() as tx:
        assert tx.get(Visit, visit).state == "closed"
    assert refusal(NotFound, service.close_visit, services, ANNA, visit) == "not_found"
    assert refusal(NotFound, service.finish, services, ANNA, visit) == "not_found"


def test_nothing_is_handed_over_before_the_questions(services):
    fresh = service.open_visit(services, ANNA, cast.MARIA.id, cast.OZERKI, "card")

    assert refusal(Conflict, service.finish, services, ANNA, fresh) == "questions_first"


def test_a_visit_takes_its_booking_along(services, hands, gateway):
    hands.shift()
    booked = booking.walk_in(services, ANNA, cast.MARIA.id, cast.OZERKI)
    visit = service.open_visit(services, ANNA, cast.MARIA.id, cast.OZERKI, "card", booked)
    assert status_of(services, booked) == "arrived"
    service.close_visit(services, ANNA, visit)

    assert status_of(services, booked) == "done"


def status_of(services, booking_id) -> str:
    with services.db.read() as tx:
        return booking.booking_of(tx, booking_id).status


def test_a_booking_of_somebody_else_opens_no_visit(services, hands):
    foreign = hands.booking(cast.IVAN)

    work = (service.open_visit, services, ANNA, cast.MARIA.id, cast.OZERKI, "card", foreign)
    assert refusal(NotFound, *work) == "not_found"


def test_the_clerk_says_how_the_patient_was_identified(services):
    for way in ("", "smile"):
        answer = refusal(Invalid, service.open_visit, services, ANNA, cast.MARIA.id, cast.OZERKI, way)
        assert answer == "required"


def test_the_same_form_twice_is_one_visit_and_a_used_id_no_other(services, visit):
    again = {"visit_id": visit}

    assert service.open_visit(services, ANNA, cast.MARIA.id, cast.OZERKI, "document", **again) == visit
    work = (service.open_visit, services, ANNA, cast.IVAN.id, cast.OZERKI, "document")
    assert refusal(Conflict, *work, **again) == "visit_id_used"


def test_a_patient_with_an_open_visit_gets_no_second(services, visit):
    with pytest.raises(Conflict) as refused:
        service.open_visit(services, ANNA, cast.MARIA.id, cast.OZERKI, "document")

    assert (refused.value.code, refused.value.facts) == ("patient_has_visit", {"visit_id": str(visit)})


@pytest.mark.db
def test_a_corner_is_given_once_however_many_ask(db_services):
    def open_one(number: int) -> str:
        patient = (cast.MARIA, cast.IVAN)[number % 2]
        try:
            service.open_visit(db_services, ANNA, patient.id, cast.OZERKI, "card")
        except Conflict as no:
            return no.code
        return "open"

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(open_one, range(8)))

    assert answers.count("open") == 1
    assert set(answers) <= {"open", "corner_busy", "patient_has_visit"}
    with db_services.db.read() as tx:
        assert tx.scalar(select(func.count()).select_from(Visit)) == 1


# --- what the gateway is told -------------------------------------------------------------------------------------


def test_orders_have_the_shape_of_the_contract(services, visit):
    ask(services, visit, "glucose")
    service_simulated.simulate(services, ANNA, visit, "glucose", {"mmol_per_l": 5.4})
    service.close_visit(services, ANNA, visit)

    for kind in ("open_visit", "take_series", "simulate", "close_visit"):
        assert orders(services, kind)[0].keys() == golden(kind).keys(), kind
        assert orders(services, kind)[0].get("visit_id", str(visit)) == str(visit)
    assert orders(services, "take_series")[0] == {"visit_id": str(visit), "meter": "glucose", "ordinal": 1}
    assert orders(services, "simulate")[0] == {"meter": "glucose", "values": {"mmol_per_l": 5.4}, "fault": None}


def test_a_simulated_meter_belongs_to_a_demo(services, visit):
    real = replace(services, demo=False)

    assert refusal(Forbidden, service_simulated.simulate, real, ANNA, visit, "glucose") == "demo_only"
    assert orders(services, "simulate") == []
    assert states(services, visit)[0] == "waiting"
    service_simulated.simulate(services, ANNA, visit, "glucose")
    assert len(orders(services, "simulate")) == 1


def test_without_a_gateway_nothing_is_half_asked(services):
    visit = service.open_visit(services, ANNA, cast.MARIA.id, cast.OZERKI, "document")
    service.answer_questions(services, ANNA, visit, CALM)

    assert refusal(Conflict, service_simulated.simulate, services, ANNA, visit, "glucose") == "no_gateway"
    with services.db.read() as tx:
        steps = tx.scalars(select(SeriesStep).where(SeriesStep.visit_id == visit)).all()
        assert {(step.state, step.asked_at) for step in steps} == {("waiting", None)}


def test_an_unknown_fault_is_refused(services, visit):
    assert refusal(Invalid, service_simulated.simulate, services, ANNA, visit, "glucose", None, "explode") == "invalid"


# --- who may ------------------------------------------------------------------------------------------------------

DEEDS = [
    service.finish,
    service.close_visit,
    lambda services, who, visit: ask(services, visit, "glucose", who),
    lambda services, who, visit: service_simulated.simulate(services, who, visit, "glucose"),
    lambda services, who, visit: service.skip_step(services, who, visit, "glucose"),
    lambda services, who, visit: service.answer_questions(services, who, visit, CALM),
]
NAMES = ["finish", "close", "ask", "simulate", "skip", "answer"]


@pytest.mark.parametrize("deed", DEEDS, ids=NAMES)
def test_only_the_branchs_own_clerk_works_on_a_visit(services, visit, deed):
    assert refusal(NotFound, deed, services, cast.BORIS.who, visit) == "not_found"
    assert refusal(Forbidden, deed, services, cast.VERA.who, visit) == "forbidden"
    assert refusal(Forbidden, deed, services, cast.MARIA.who, visit) == "forbidden"
    assert refusal(NotFound, deed, services, ANNA, new_id()) == "not_found"
    deed(services, ANNA, visit)


def test_answers_are_for_the_patient_and_the_treating_doctor_never_for_the_clerk(services, visit):
    assert service.answers_of(services, cast.MARIA.who, visit)["cuff"] == "medium"
    assert refusal(Forbidden, service.answers_of, services, ANNA, visit)
    assert refusal(NotFound, service.answers_of, services, cast.VERA.who, visit)
    assert refusal(NotFound, service.answers_of, services, cast.IVAN.who, visit)


@pytest.mark.parametrize(
    ("person", "may"),
    [(cast.ANNA, True), (cast.MARIA, True), (cast.BORIS, False), (cast.VERA, False), (cast.IVAN, False),
     (cast.FEDOR, False)],
)  # fmt: skip
def test_the_live_room_of_a_visit_opens_to_its_own_people(application, sign_in, visit, person, may):
    socket = application.io.test_client(application.app, flask_test_client=sign_in(person))
    answer = socket.emit("watch", {"room": f"visit:{visit}"}, callback=True)

    assert (answer == {"ok": True}) is may


# --- pages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["measure", "simulate", "skip", "finish", "close"])
def test_a_form_that_makes_no_sense_ends_in_no_error_page(sign_in, visit, step):
    anna, vera = sign_in(cast.ANNA), sign_in(cast.VERA)
    for data in ({}, {"kind": "weight", "fault": "explode"}, {"kind": "x" * 5000}):
        assert anna.post(f"/visits/{new_id()}/{step}", data=data, follow_redirects=True).status_code == 404
        assert vera.post(f"/visits/{visit}/{step}", data=data).status_code == 403
        if step != "close":
            assert anna.post(f"/visits/{visit}/{step}", data=data).status_code == 302


def test_arm_and_cuff_are_never_chosen_beforehand(sign_in, visit):
    page = sign_in(cast.ANNA).get(f"/visits/{visit}/questions").text

    assert 'name="arm"' in page
    assert " checked" not in page


def test_a_red_flag_stores_open_questions_as_open(services, sign_in, visit):
    data = {"symptom-chest_pain": "yes", "cuff": "gigantic", "medicines": "x" * 900}
    answer = sign_in(cast.ANNA).post(f"/visits/{visit}/questions", data=data)
    stored = service.answers_of(services, cast.MARIA.who, visit)

    assert answer.location.endswith("/emergency")
    assert (stored["arm"], stored["cuff"], stored["medicines"]) == ("", "", "x" * 900)


def test_calm_answers_need_arm_and_cuff():
    assert rules.answer_faults({"symptoms": [], "arm": "", "cuff": ""}) == {"arm": "required", "cuff": "required"}
    assert rules.answer_faults({"symptoms": ["chest_pain"], "arm": "", "cuff": ""}) == {}


@pytest.mark.parametrize(
    "change", [{"symptom-headache": "maybe"}, {"fasting": "often"}, {"arm": "third"}, {"cuff": "x"}]
)
def test_an_answer_that_the_form_does_not_offer_is_refused(sign_in, visit, change):
    assert sign_in(cast.ANNA).post(f"/visits/{visit}/questions", data=typed(**change)).status_code == 422
