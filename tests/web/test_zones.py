"""Every shown time and every *today* is the branch's, or the reader's own and named. Kamchatka is nine hours ahead of
Moscow: half past nine in the morning there is yesterday evening here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from flask import Response, g, render_template_string
from flask.testing import FlaskClient

from telemed.access.relations import NOBODY
from telemed.access.roles import is_open_to
from telemed.booking.models import Shift
from telemed.bootstrap import Application
from telemed.branches.models import Branch, Region
from telemed.consultation import service as consultations
from telemed.consultation.models import Consultation
from telemed.errors import Invalid
from telemed.feedback import service as feedback
from telemed.ids import new_id
from telemed.patients import service as patients
from telemed.prescription import service as prescriptions
from telemed.services import Services
from telemed.web import words
from telemed.web.guard import action_of
from tests import cast
from tests.conftest import Clock
from tests.make import Hands

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
KAMCHATKA = "Asia/Kamchatka"
HALF_PAST_NINE = datetime(2026, 11, 22, 21, 30, tzinfo=UTC)  # 23 November 09:30 in Kamchatka
TODAY_THERE = date(2026, 11, 23)


@pytest.fixture
def clock() -> Clock:
    return Clock(HALF_PAST_NINE)


@pytest.fixture
def far_east(services: Services, hands: Hands) -> UUID:
    """Put the Lake region into Kamchatka, with a case that waits for a written answer; return the case's id."""
    with services.db.write() as tx:
        tx.get_one(Region, cast.LAKE).zone = KAMCHATKA
        for branch_id in (cast.OZERKI, cast.SOSNOVO):
            tx.get_one(Branch, branch_id).zone = KAMCHATKA
    hands.shift()
    hands.booking(cast.IVAN)
    hands.booking(cast.MARIA, starts_at=HALF_PAST_NINE + timedelta(hours=1), ends_at=HALF_PAST_NINE + timedelta(hours=2))
    visit_id = hands.visit(state="ready")
    with services.db.write() as tx:
        case_id = consultations.queue_case(services, tx, visit_id, "YELLOW")
        assert case_id is not None
        tx.get_one(Consultation, case_id).stored_at = HALF_PAST_NINE - timedelta(hours=1)
    feedback.file_complaint(services, cast.MARIA.who, cast.MARIA.id, "other", "Долго ждала.")
    return case_id


def newborn(born: date) -> patients.NewPatient:
    return patients.NewPatient(
        "Новикова", "Анна", "", born, "female", "+7 921 555-44-33", "", "", "ул. Лесная, 7", "", consents=("care",)
    )


def test_a_child_born_today_is_registered_in_the_morning_of_kamchatka(services: Services, far_east: UUID) -> None:
    assert patients.register_patient(services, cast.ANNA.who, newborn(TODAY_THERE))

    with pytest.raises(Invalid) as refused:
        patients.register_patient(services, cast.ANNA.who, newborn(TODAY_THERE + timedelta(days=1)))
    assert refused.value.fields == {"birth_date": "date_in_future"}


def test_west_of_the_server_tomorrow_has_not_come(services: Services, clock: Clock) -> None:
    """Kaliningrad and Minsk: shortly after midnight in UTC+3 it is still yesterday in UTC+2 and UTC."""
    clock.now = datetime(2026, 11, 22, 22, 30, tzinfo=UTC)
    with services.db.write() as tx:
        tx.get_one(Branch, cast.OZERKI).zone = "America/New_York"

    with pytest.raises(Invalid):
        patients.register_patient(services, cast.ANNA.who, newborn(date(2026, 11, 23)))


def test_an_examination_of_today_is_a_ground(services: Services, far_east: UUID) -> None:
    consultations.take(services, cast.VERA.who, far_east)
    ground = {"kind": "in_person", "date": TODAY_THERE.isoformat(), "clinic": "ЦРБ", "doctor": "Петров"}

    tomorrow = {**ground, "date": (TODAY_THERE + timedelta(days=1)).isoformat()}

    with pytest.raises(Invalid) as refused:
        prescriptions.draft(services, cast.VERA.who, far_east, [], tomorrow)
    with pytest.raises(Invalid) as taken:
        prescriptions.draft(services, cast.VERA.who, far_east, [], ground)

    assert refused.value.fields["basis_date"] == "date_in_future"
    assert "basis_date" not in taken.value.fields


def test_the_queue_says_until_when_by_the_doctors_clock_and_names_it(sign_in: SignIn, far_east: UUID) -> None:
    for path in ("/doctor", "/doctor/queue"):
        page = sign_in(cast.VERA).get(path).text

        assert "24.11.2026 08:30 (UTC+12)" in page, path


def test_the_roster_is_the_regions(sign_in: SignIn, services: Services, far_east: UUID) -> None:
    shift = {"doctor_id": str(cast.VERA.id), "day": "25.11.2026", "starts_at": "09:00", "ends_at": "10:00"}
    sign_in(cast.GALINA).post("/roster", data={**shift, "slot_minutes": "15"})

    with services.db.read() as tx:
        begins = max(shift.starts_at for shift in tx.query(Shift))
    assert begins == datetime(2026, 11, 24, 21, 0, tzinfo=UTC)


def pages_of(application: Application, role: str) -> Iterator[str]:
    for rule in application.app.url_map.iter_rules():
        action = action_of(application.app.view_functions[rule.endpoint])
        if "GET" in (rule.methods or ()) and action and is_open_to(action, role) and not rule.rule.startswith("/api/"):
            yield rule.rule


PEOPLE = (cast.ANNA, cast.VERA, cast.DINA, cast.EGOR, cast.FEDOR, cast.GALINA, cast.OLEG, cast.TAMARA, cast.MARIA)


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: getattr(person, "login", "patient"))
def test_no_page_shows_a_time_of_nowhere(
    application: Application, sign_in: SignIn, services: Services, far_east: UUID, person: cast.Person | cast.Villager
) -> None:
    shown: dict[str, set[str]] = {}

    @application.app.after_request
    def note(response: Response) -> Response:
        shown["last"] = set(g.get("zones_shown", ()))
        return response

    with services.db.read() as tx:
        visit_id = tx.get_one(Consultation, far_east).visit_id
    if person is cast.VERA:
        consultations.take(services, cast.VERA.who, far_east)
    browser, found = sign_in(person), {}
    for rule in pages_of(application, person.who.role or ""):
        for target in (far_east, visit_id, cast.MARIA.id, cast.OZERKI, "glucose"):
            path = rule.replace("<kind>", "glucose")
            path = path[: path.find("<")] + str(target) + path[path.find(">") + 1 :] if "<" in path else path
            if browser.get(path).status_code == 200 and shown["last"]:
                found[path] = shown["last"]

    own = "UTC" if person in (cast.OLEG, cast.TAMARA) else KAMCHATKA
    assert {path: zones for path, zones in found.items() if zones != {own}} == {}
    if person in (cast.ANNA, cast.VERA, cast.GALINA, cast.MARIA, cast.TAMARA):
        assert found, "the walk meets pages with times"


@pytest.mark.parametrize(
    ("person", "named"),
    [(cast.VERA, "UTC+12"), (cast.GALINA, "UTC+12"), (cast.TAMARA, "UTC"), (cast.ANNA, ""), (cast.MARIA, "")],
    ids=["doctor", "coordinator", "auditor", "clerk", "patient"],
)
def test_who_works_for_many_places_is_told_whose_time_it_is(
    application: Application, far_east: UUID, person: cast.Person | cast.Villager, named: str
) -> None:
    with application.app.test_request_context():
        g.who = person.who
        g.lang = "en"
        page = render_template_string(
            '{% extends "base.html" %}{% block main %}{{ local_time(at) }}{% endblock %}', at=HALF_PAST_NINE
        )

    assert (f"Times on this page: {named}<" in page) == bool(named)
    assert "Times on this page" in page or not named


def test_a_page_for_nobody_has_no_default(application: Application) -> None:
    with application.app.test_request_context():
        g.who = NOBODY
        with pytest.raises(LookupError):
            words.zone()


@pytest.mark.parametrize(
    ("zone", "name"),
    [("Europe/Moscow", "UTC+3"), ("Asia/Kamchatka", "UTC+12"), ("UTC", "UTC"), ("Asia/Kolkata", "UTC+5:30"),
     ("America/New_York", "UTC-5")],
)  # fmt: skip
def test_a_zone_is_named_so_that_it_can_be_checked(application: Application, zone: str, name: str) -> None:
    with application.app.test_request_context():
        assert words.zone_name(zone) == name


def test_counts_of_a_day_are_of_the_branchs_day(services: Services, far_east: UUID) -> None:
    assert services.today_at(cast.OZERKI) == services.today_at(None, cast.LAKE) == TODAY_THERE
    assert services.today_at(cast.RECHNOYE) == date(2026, 11, 23), "00:30 in Moscow"
    assert services.today_at(None) == date(2026, 11, 22)
    assert services.zone_at(new_id(), None) == "UTC"
