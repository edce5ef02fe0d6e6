"""Results: the doctor in care and the patient see values, post staff see that they came, typing shows nothing again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from telemed.access.models import AuditRow
from telemed.bootstrap import Application
from telemed.errors import Forbidden, Invalid, NotFound
from telemed.ids import new_id
from telemed.outbox import Job
from telemed.readings import service
from telemed.readings.models import Reading
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.make import Hands
from tests.readings.sender import Sender, pressure

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
HIGH = {"systolic": 187, "diastolic": 113, "pulse": 93}
SECRETS = re.compile(r"\b(187|113|93|7[.,]7)\b")


@pytest.fixture
def visit(hands: Hands) -> UUID:
    hands.booking(cast.MARIA, cast.VERA, status="arrived")
    return hands.visit(cast.MARIA, answered_at=hands.clock())


@pytest.fixture
def sender(application: Application) -> Sender:
    return Sender(application)


NO_VALUES = re.compile(
    r'csrf[^>]*|value="[0-9a-f-]{36}"|datetime="[^"]*"|\?v=\w+|<footer.*</footer>|[0-9a-f]{8}-[0-9a-f-]{27}', re.S
)  # fmt: skip


def text_of(page: str) -> str:
    """Return a page or document without what never holds a value: ids, tokens and times."""
    return NO_VALUES.sub("", page)


# --- who sees values ----------------------------------------------------------------------------------------------


def test_doctor_in_care_and_patient_see_values_and_nobody_else(services: Services, visit: UUID, sender: Sender) -> None:
    sender.opened(visit)
    sender.reading(visit, decoded=pressure(187, 113, 93))
    sender.judged()

    for who in (cast.VERA.who, cast.MARIA.who):
        [value] = service.readings_of_visit(services, who, visit)
        assert (value.shown, value.pulse) == ("187/113", 93)
    for who in (cast.GLEB.who, cast.IVAN.who):
        with pytest.raises(NotFound):
            service.readings_of_visit(services, who, visit)
    for who in (cast.ANNA.who, cast.GALINA.who, cast.OLEG.who, cast.DINA.who):
        with pytest.raises(Forbidden):
            service.readings_of_visit(services, who, visit)


def test_every_look_at_values_is_in_the_audit(services: Services, visit: UUID) -> None:
    service.readings_of_patient(services, cast.VERA.who, cast.MARIA.id)
    with pytest.raises(NotFound):
        service.readings_of_patient(services, cast.GLEB.who, cast.MARIA.id)
    with services.db.read() as tx:
        rows = tx.scalars(select(AuditRow).where(AuditRow.action == "reading.read")).all()

    assert [(row.actor_id, row.allowed) for row in rows] == [(cast.VERA.id, True), (cast.GLEB.id, False)]


def test_the_clerk_sees_that_a_reading_came_and_no_value(services: Services, visit: UUID, sender: Sender) -> None:
    sender.opened(visit)
    sender.reading(visit, decoded=pressure(187, 113, 93))
    sender.reading(visit, **sender.glucose(7.7))
    sender.judged()

    seen = service.status_of_visit(services, cast.ANNA.who, visit)
    assert {(item.kind, item.ordinal, item.status) for item in seen} == {
        ("blood_pressure", 1, "usable"), ("glucose", 1, "usable")
    }  # fmt: skip
    assert not SECRETS.search(repr([(i.kind, i.ordinal, i.status, i.source) for i in seen]))
    with pytest.raises(NotFound):
        service.status_of_visit(services, cast.BORIS.who, visit)


def test_nothing_that_is_pushed_or_queued_holds_a_value(
    application: Application, services: Services, visit: UUID
) -> None:
    pushed: list[Any] = []
    services.db.after_commit = pushed.extend
    service.type_in(services, cast.ANNA.who, visit, "blood_pressure", HIGH)
    with services.db.read() as tx:
        payloads = [job.payload for job in tx.scalars(select(Job))]

    assert pushed
    assert payloads
    assert not SECRETS.search(
        re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "", repr([vars(event) for event in pushed]) + repr(payloads))
    )


@pytest.mark.parametrize(
    ("decoded", "reasons", "shown"),
    [
        ({"concentration": "+INFINITY", "status_flags": []}, ["glucose_hi"], "HI"),
        ({"status_flags": ["result_too_low"]}, ["glucose_lo"], "LO"),
        ({"status_flags": [], "mmol_per_l": None}, ["no_concentration"], "—"),
        ({"status_flags": [], "mmol_per_l": "NaN"}, ["no_concentration"], "—"),
        ({"status_flags": [], "mmol_per_l": 7.75}, [], "7.8"),
        ({"status_flags": [], "mmol_per_l": 0.6}, ["ketone", "unusual_glucose"], "—"),
        ({"status_flags": [], "mmol_per_l": 4.5}, ["strip_unknown"], "—"),
    ],
)
def test_what_is_no_number_is_never_shown_as_one(
    services: Services, visit: UUID, sender: Sender, decoded: dict[str, Any], reasons: list[str], shown: str
) -> None:
    sender.opened(visit)
    sender.reading(visit, **{**sender.glucose(None), "decoded": decoded, "reasons": reasons})
    sender.judged()

    assert service.readings_of_visit(services, cast.VERA.who, visit)[0].shown == shown


@pytest.mark.parametrize(
    ("systolic", "diastolic", "shown"),
    [("+INFINITY", "+INFINITY", "HI"), ("+INFINITY", 98, "HI"), (71, "-INFINITY", "LO"), ("NaN", "NRes", "—")],
)
def test_a_pressure_off_the_meters_scale_is_shown_by_the_meters_word(
    services: Services, visit: UUID, sender: Sender, systolic: object, diastolic: object, shown: str
) -> None:
    sender.opened(visit)
    numbers = {"systolic_mmhg": None, "diastolic_mmhg": None, "pulse_rate": 70}
    sender.reading(visit, decoded={**numbers, "systolic": systolic, "diastolic": diastolic}, verdict="not_a_result")
    sender.judged()

    assert service.readings_of_visit(services, cast.VERA.who, visit)[0].shown == shown


# --- triage -------------------------------------------------------------------------------------------------------


def level(services: Services, visit: UUID) -> str:
    with services.db.read() as tx:
        return service.triage_of(tx, visit)


def test_the_level_follows_the_mean_of_the_last_two(
    services: Services, visit: UUID, sender: Sender, clock: Clock
) -> None:
    sender.opened(visit)
    levels = []
    for systolic in (195, 195, 139, 139):
        clock.forward(minutes=1)
        sender.reading(visit, decoded=pressure(systolic, 80, 70))
        sender.judged()
        levels.append(level(services, visit))

    assert levels == ["AMBER", "AMBER", "YELLOW", "UNKNOWN"]


def test_a_glucose_of_hi_is_urgent_though_it_is_no_number(services: Services, visit: UUID, sender: Sender) -> None:
    sender.opened(visit)
    sender.reading(visit, **sender.glucose(None, verdict="not_a_result", reasons=["glucose_hi"]))
    sender.judged()

    assert level(services, visit) == "AMBER"


@pytest.mark.parametrize("reason", ["ketone", "strip_unknown"])
def test_ketones_are_no_glucose_for_view_or_level(services: Services, visit: UUID, sender: Sender, reason: str) -> None:
    sender.opened(visit)
    sender.reading(visit, **sender.glucose(0.6, reasons=[reason]))
    sender.judged()

    (view,) = service.readings_of_visit(services, cast.VERA.who, visit)
    assert (view.glucose_mmol_l, view.reasons) == (None, (reason,))
    assert level(services, visit) == "UNKNOWN"


def test_what_is_no_result_does_not_change_the_level(services: Services, visit: UUID, sender: Sender) -> None:
    sender.opened(visit)
    sender.reading(visit, decoded=pressure(240, 130, 150), verdict="not_a_result", reasons=["impossible_pressure"])
    sender.judged()

    assert level(services, visit) == "UNKNOWN"


# --- typed by hand ------------------------------------------------------------------------------------------------


def test_typed_values_reach_the_doctor_marked_as_typed(services: Services, visit: UUID) -> None:
    service.type_in(services, cast.ANNA.who, visit, "blood_pressure", HIGH)
    service.type_in(services, cast.ANNA.who, visit, "glucose", {"glucose_mmol_l": 7.7})

    values = service.readings_of_visit(services, cast.VERA.who, visit)
    assert {(value.shown, value.source) for value in values} == {("187/113", "typed"), ("7.7", "typed")}


def test_only_the_branchs_clerk_types_and_only_into_an_open_visit(
    services: Services, visit: UUID, hands: Hands
) -> None:
    closed = hands.visit(cast.IVAN, state="closed")
    assert service.type_in(services, cast.ANNA.who, visit, "blood_pressure", HIGH)

    for who, which in ((cast.BORIS.who, visit), (cast.ANNA.who, closed), (cast.ANNA.who, new_id())):
        with pytest.raises(NotFound):
            service.type_in(services, who, which, "blood_pressure", HIGH)
    with pytest.raises(Forbidden):
        service.type_in(services, cast.VERA.who, visit, "blood_pressure", HIGH)


@pytest.mark.parametrize(
    ("kind", "values", "fields"),
    [
        ("weight", {}, {"kind": "invalid"}),
        ("glucose", {}, {"glucose_mmol_l": "required"}),
        ("glucose", {"glucose_mmol_l": 0.5}, {"glucose_mmol_l": "not_possible"}),
        ("glucose", {"glucose_mmol_l": float("nan")}, {"glucose_mmol_l": "not_possible"}),
        ("blood_pressure", {**HIGH, "systolic": 301}, {"systolic": "not_possible"}),
        ("blood_pressure", {**HIGH, "diastolic": 187}, {"diastolic": "upper_below_lower"}),
        ("blood_pressure", {"systolic": 120, "diastolic": 80}, {"pulse": "required"}),
    ],
)
def test_impossible_values_are_not_stored(
    services: Services, visit: UUID, kind: str, values: dict[str, float], fields: dict[str, str]
) -> None:
    with pytest.raises(Invalid) as refused:
        service.type_in(services, cast.ANNA.who, visit, kind, values)

    assert refused.value.fields == fields


def test_a_second_press_stores_nothing_twice(sign_in: SignIn, services: Services, visit: UUID) -> None:
    anna, sent = sign_in(cast.ANNA), {**HIGH, "reading_id": str(new_id())}
    answers = [anna.post(f"/visits/{visit}/type/blood_pressure", data=sent).status_code for _ in range(2)]
    with services.db.read() as tx:
        stored = tx.scalars(select(Reading)).all()

    assert answers == [302, 302]
    assert len(stored) == 1


def test_no_page_shows_a_typed_value_again(sign_in: SignIn, visit: UUID) -> None:
    anna = sign_in(cast.ANNA)
    pages = [
        anna.post(f"/visits/{visit}/type/blood_pressure", data={**HIGH, "diastolic": "999"}),
        anna.post(f"/visits/{visit}/type/blood_pressure", data=HIGH, follow_redirects=True),
        anna.get(f"/visits/{visit}/type/blood_pressure"),
        anna.get("/quarantine"),
    ]

    assert [page.status_code for page in pages] == [422, 200, 200, 200]
    assert [SECRETS.findall(text_of(page.text)) for page in pages] == [[], [], [], []]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("blood_pressure", {}),
        ("blood_pressure", {**HIGH, "systolic": "high"}),
        ("blood_pressure", {**HIGH, "pulse": "9" * 400}),
        ("blood_pressure", {**HIGH, "pulse": "-5"}),
        ("blood_pressure", {**HIGH, "pulse": "7.5"}),
        ("glucose", {"glucose_mmol_l": ""}),
        ("glucose", {"glucose_mmol_l": "5,5,5"}),
        ("glucose", {"glucose_mmol_l": "1e300"}),
        ("glucose", {"glucose_mmol_l": "sNaN"}),
        ("glucose", {"glucose_mmol_l": "5" * 500}),
    ],
)
def test_bad_figures_come_back_with_their_error(
    sign_in: SignIn, services: Services, visit: UUID, kind: str, data: dict[str, str]
) -> None:
    response = sign_in(cast.ANNA).post(f"/visits/{visit}/type/{kind}", data=data)
    with services.db.read() as tx:
        assert tx.scalars(select(Reading)).all() == []

    assert response.status_code == 422
    assert "error-summary" in response.text


def test_a_comma_is_a_decimal_point(sign_in: SignIn, services: Services, visit: UUID) -> None:
    response = sign_in(cast.ANNA).post(f"/visits/{visit}/type/glucose", data={"glucose_mmol_l": "7,7"})

    assert response.status_code == 302
    assert service.readings_of_visit(services, cast.VERA.who, visit)[0].glucose_mmol_l == 7.7


def test_pages_are_closed_to_others(sign_in: SignIn, visit: UUID) -> None:
    path = f"/visits/{visit}/type/glucose"
    assert sign_in(cast.ANNA).get(path).status_code == 200

    assert sign_in(cast.BORIS).get(path).status_code == 404
    assert sign_in(cast.VERA).get(path).status_code == 403
    assert sign_in(cast.ANNA).get(f"/visits/{visit}/type/weight").status_code == 404
    assert sign_in(cast.ANNA).get(f"/visits/{new_id()}/type/glucose").status_code == 404
    assert sign_in(cast.VERA).get("/quarantine").status_code == 403
    assert sign_in(cast.ANNA).get("/quarantine").status_code == 200


def test_the_tray_names_the_reason(sign_in: SignIn, sender: Sender) -> None:
    assert "There is nothing here" in sign_in(cast.ANNA).get("/quarantine").text
    sender.reading(None)
    sender.judged()

    assert "<table" in sign_in(cast.ANNA).get("/quarantine").text
    assert "<table" not in sign_in(cast.BORIS).get("/quarantine").text
