"""Booking's pages: what a clerk clicks, and what happens to bad input, foreign ids and other roles."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from telemed.booking import service
from telemed.clock import iso
from telemed.ids import new_id
from tests import cast
from tests.make import Hands
from tests.page import problems_of

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]

SOON = cast.NOON + timedelta(minutes=30)


@pytest.fixture(autouse=True)
def shift(hands):
    return hands.shift()


@pytest.fixture
def anna(sign_in):
    return sign_in(cast.ANNA)


def form(**more):
    return {"patient_id": cast.MARIA.id, "doctor_id": cast.VERA.id, "starts_at": iso(SOON), **more}


def test_a_clerk_books_a_time_that_the_page_offers(services, anna):
    page = anna.get(f"/booking/slots?patient_id={cast.MARIA.id}")
    first = page.text.split('class="slot-list"')[1].split("</form>")[0]
    offered = dict(re.findall(r'name="([a-z_]+)" value="([^"]*)"', first))
    held = anna.post("/booking/hold", data=offered).location
    assert "The time is held for the patient." in anna.get(held).text
    answer = anna.post(held.replace("/held", "/confirm"))

    assert answer.location == "/day?date=2026-11-23"
    assert "Ёлкина" in anna.get(answer.location).text
    assert anna.post("/booking/hold", data=offered).status_code == 302, "the same form twice is no mistake"
    assert anna.post(held.replace("/held", "/confirm")).status_code == 302
    assert len(service.day_list(services, cast.ANNA.who, cast.OZERKI)) == 1


def test_a_taken_time_shows_the_next_free_ones(anna):
    anna.post("/booking", data=form())
    page = anna.post("/booking", data=form(patient_id=cast.IVAN.id))

    assert page.status_code == 409
    assert "Somebody was faster" in page.text
    assert 'class="slot-list"' in page.text


def test_a_booking_is_moved_and_cancelled_from_the_day_list(services, anna):
    anna.post("/booking", data=form())
    entry = service.day_list(services, cast.ANNA.who, cast.OZERKI)[0]
    later = iso(SOON + timedelta(minutes=30))
    anna.post("/booking", data=form(starts_at=later, move=entry.id, version=1))
    assert iso(service.day_list(services, cast.ANNA.who, cast.OZERKI)[0].starts_at) == later
    stale = anna.post(f"/booking/{entry.id}/cancel", data={"version": 1}, follow_redirects=True)
    assert "changed meanwhile" in stale.text
    anna.post(f"/booking/{entry.id}/cancel", data={"version": 2})

    assert service.day_list(services, cast.ANNA.who, cast.OZERKI) == []


def test_just_after_midnight_the_clerk_finds_the_branchs_new_day(sign_in, clock):
    """In Moscow 00:30 is a new day; in UTC it is still the old one."""
    clock.now = cast.NOON.replace(hour=21, minute=30)

    assert "date=2026-11-25" in sign_in(cast.ANNA).get("/day").text, "the next day after the branch's today"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"patient_id": ""}, 404),
        ({"patient_id": "nobody"}, 404),
        ({"patient_id": new_id()}, 404),
        ({"doctor_id": "x" * 5000}, 404),
        ({"doctor_id": new_id()}, 404),
        ({"doctor_id": cast.GLEB.id}, 404),
        ({"starts_at": ""}, 422),
        ({"starts_at": "tomorrow"}, 422),
        ({"starts_at": "2026-11-23T09:30:00"}, 422),
        ({"starts_at": iso(cast.NOON - timedelta(days=1))}, 422),
        ({"starts_at": "9999-12-31T23:59:59.000Z"}, 422),
        ({"starts_at": "0001-01-01T00:00:00.000Z"}, 422),
        ({"move": new_id(), "version": "1"}, 404),
    ],
)
def test_a_form_that_makes_no_sense_books_nothing(services, anna, change, status):
    assert anna.post("/booking", data=form(**change)).status_code == status
    assert service.day_list(services, cast.ANNA.who, cast.OZERKI) == []


@pytest.mark.parametrize("version", ["", "0", "-1", "one", "9" * 40, "²"])
def test_a_move_with_a_wrong_version_changes_nothing(services, anna, version):
    anna.post("/booking", data=form())
    entry = service.day_list(services, cast.ANNA.who, cast.OZERKI)[0]
    later = form(starts_at=iso(SOON + timedelta(minutes=30)), move=entry.id, version=version)

    assert anna.post("/booking", data=later).status_code == 409
    assert service.day_list(services, cast.ANNA.who, cast.OZERKI)[0].starts_at == SOON


@pytest.mark.parametrize("day", ["", "yesterday", "2026-02-30", "0001-01-01", "9999-12-31", "20261123"])
def test_a_day_that_is_none_is_today(anna, day):
    assert anna.get(f"/day?date={day}").status_code == 200
    assert anna.get(f"/booking/slots?patient_id={cast.MARIA.id}&date={day}").status_code == 200


def test_a_patient_is_put_on_the_call_list_once_per_page(anna):
    data = {"patient_id": cast.MARIA.id, "reason": "diabetes", "id": str(new_id())}
    for _ in range(2):
        assert anna.post("/invitations", data=data).status_code == 302

    page = anna.get("/invitations").text
    assert page.count(cast.MARIA.phone) == 2  # the link and its text, one case
    assert "diabetes" not in page  # a form of an older release still names a reason: nobody keeps it


@pytest.mark.parametrize(
    ("data", "status"),
    [({"reason": "diabetes"}, 404), ({"patient_id": new_id(), "reason": "diabetes"}, 404),
     ({"patient_id": "x"}, 404), ({"patient_id": cast.PELAGEYA.id, "reason": "diabetes"}, 404)],
)  # fmt: skip
def test_a_wrong_invitation_is_refused(services, anna, data, status):
    assert anna.post("/invitations", data=data).status_code == status
    assert service.invitations(services, cast.ANNA.who) == []


def test_a_refusal_without_a_reason_is_asked_again(services, anna):
    invitation = service.invite(services, cast.ANNA.who, cast.MARIA.id)
    page = anna.post(f"/invitations/{invitation}/answer", data={"outcome": "refused"}, follow_redirects=True)

    assert "Choose why the patient refused." in page.text
    assert service.invitations(services, cast.ANNA.who)[0].attempts == 0


def test_an_answered_invitation_stays_answered(services, anna):
    invitation = service.invite(services, cast.ANNA.who, cast.MARIA.id)
    data = {"outcome": "refused", "refusal": "no_time"}
    anna.post(f"/invitations/{invitation}/answer", data=data)
    page = anna.post(f"/invitations/{invitation}/answer", data=data, follow_redirects=True)

    assert "answered already" in page.text
    assert service.invitations(services, cast.ANNA.who)[0].attempts == 1


PAGES = ["/day", "/invitations", f"/booking/slots?patient_id={cast.MARIA.id}"]


@pytest.mark.parametrize("url", PAGES)
@pytest.mark.parametrize("person", [cast.VERA, cast.FEDOR, cast.OLEG, cast.MARIA])
def test_pages_of_the_counter_are_for_clerks(sign_in, anna, url, person):
    assert anna.get(url).status_code == 200
    assert sign_in(person).get(url).status_code == 403


def test_another_branchs_clerk_books_nobody_here_and_cancels_nothing(services, sign_in, anna):
    anna.post("/booking", data=form())
    entry = service.day_list(services, cast.ANNA.who, cast.OZERKI)[0]
    boris = sign_in(cast.BORIS)

    assert boris.post(f"/booking/{entry.id}/cancel", data={"version": 1}).status_code == 404
    assert boris.post("/booking", data=form(move=entry.id, version=1)).status_code == 404
    assert "Ёлкина" not in boris.get("/day").text
    assert service.day_list(services, cast.ANNA.who, cast.OZERKI)[0].status == "booked"


@pytest.mark.parametrize("lang", ["ru", "be", "en"])
def test_empty_pages_say_what_to_do(sign_in, lang):
    anna, galina = sign_in(cast.ANNA), sign_in(cast.GALINA)
    anna.set_cookie("lang", lang)
    galina.set_cookie("lang", lang)

    assert "/invitations" in anna.get("/day?date=2026-12-24").text.split("<main")[1]
    assert "/patients" in anna.get("/invitations").text.split("<main")[1]
    assert galina.get("/roster").status_code == 200


def test_a_hold_that_is_over_says_so_and_offers_the_next_times(anna, clock):
    held = anna.post("/booking/hold", data=form()).location
    clock.forward(minutes=4)
    late = anna.post(held.replace("/held", "/confirm"))

    assert "another time" in anna.get(held).text.lower() or "free times" in anna.get(held).text.lower()
    assert late.status_code == 409
    assert 'class="slot-list"' in late.text


def test_a_held_time_is_given_back(services, anna):
    held = anna.post("/booking/hold", data=form()).location
    anna.post(held.replace("/held", "/release"))

    assert service.day_list(services, cast.ANNA.who, cast.OZERKI) == []


def test_a_coordinator_plans_and_removes_a_shift(services, sign_in):
    galina = sign_in(cast.GALINA)
    typed = {"doctor_id": cast.VERA.id, "day": "01.12.2026", "starts_at": "8:30", "ends_at": "12.00", "slot_minutes": 20}
    assert galina.post("/roster", data=typed).status_code == 302
    planned = service.roster(services, cast.GALINA.who)[-1]
    assert iso(planned.starts_at) == "2026-12-01T05:30:00.000Z", "hours are the region's"

    galina.post(f"/roster/{planned.id}/remove")
    assert planned.id not in {shift.id for shift in service.roster(services, cast.GALINA.who)}


@pytest.mark.parametrize(
    ("more", "words"),
    [({"starts_at": "25:00"}, "A time like 08:30"), ({"day": "31.02.2026"}, "date"), ({"doctor_id": ""}, "Doctor"),
     ({"day": "01.01.0001"}, "date"), ({"slot_minutes": "999999999999"}, "Minutes"), ({"day": "23.11.2026"}, "already")],
)  # fmt: skip
def test_a_wrong_shift_comes_back_with_its_words(sign_in, more, words):
    typed = {"doctor_id": cast.VERA.id, "day": "02.12.2026", "starts_at": "15:30", "ends_at": "18:00", "slot_minutes": 15}
    page = sign_in(cast.GALINA).post("/roster", data={**typed, **more})

    assert page.status_code == 422
    assert words in page.text.split("error-summary")[1].split("</div>")[0]
    assert 'value="18:00"' in page.text


def test_nobody_else_plans(anna, sign_in):
    for client in (anna, sign_in(cast.VERA)):
        assert client.post("/roster", data={}).status_code == 403


@pytest.mark.parametrize(
    ("language", "said"),
    [("ru", "Ближайшее время: 09:05"), ("be", "Бліжэйшы час: 09:05"), ("en", "The nearest time is 09:05")],
)
def test_the_roster_says_the_nearest_time_a_shift_may_begin(sign_in: SignIn, language: str, said: str) -> None:
    galina = sign_in(cast.GALINA)
    galina.set_cookie("lang", language)
    shift = {"doctor_id": str(cast.VERA.id), "day": "27.11.2026", "starts_at": "09:03", "ends_at": "15:00"}

    answer = galina.post("/roster", data={**shift, "slot_minutes": "15"})

    assert answer.status_code == 422
    assert answer.text.count(said) == 2, "above the form and beside the field"
    assert 'value="09:03"' in answer.text


def test_the_nearest_time_is_one_of_the_same_day(sign_in: SignIn) -> None:
    shift = {"doctor_id": str(cast.VERA.id), "day": "27.11.2026", "starts_at": "23:58", "ends_at": "06:00"}

    answer = sign_in(cast.GALINA).post("/roster", data={**shift, "slot_minutes": "15"})

    assert "The nearest time is 23:55" in answer.text


def test_a_shift_too_short_for_one_patient_is_told_in_its_own_words(sign_in: SignIn) -> None:
    shift = {"doctor_id": str(cast.VERA.id), "day": "27.11.2026", "starts_at": "09:00", "ends_at": "09:10"}

    answer = sign_in(cast.GALINA).post("/roster", data={**shift, "slot_minutes": "15"})

    assert problems_of(answer) == [
        "To: A shift lasts at least one patient's time and at most 16 hours. Check begin and end."
    ]


def test_the_roster_points_to_old_shifts_that_begin_off_the_grid(sign_in: SignIn, hands: Hands) -> None:
    hands.shift(starts_at=cast.NOON + timedelta(days=1, minutes=3), hours=2)

    assert "Remove it and plan it anew" in sign_in(cast.GALINA).get("/roster").text


# --- why not now, and when instead --------------------------------------------------------------------------------


@pytest.fixture
def three_doctors(hands):
    """Two more doctors of the Lake region on duty beside Vera: sixty slots in five hours."""
    for n in range(2):
        person = cast.Person(f"doctor{n}", "doctor", f"Врач {n}", None, cast.LAKE)
        with hands.services.db.write() as tx:
            hands._account(tx, person, "-")
        hands.shift(person)


def times_on(page):
    return re.findall(r'name="starts_at" value="([^"]*)"', page)


def here_now(client, villager=cast.IVAN):
    data = {"patient_id": villager.id, "identified_by": "document"}
    return client.post("/counter/walk-in", data=data, follow_redirects=True).text


def test_when_the_corner_is_needed_the_page_says_so_and_offers_three_times(services, anna, three_doctors):
    service.walk_in(services, cast.ANNA.who, cast.MARIA.id, cast.OZERKI)
    page = here_now(anna)

    assert "the health corner is needed now" in page
    assert "No doctor is free" not in page
    assert times_on(page) == [iso(cast.NOON + timedelta(minutes=15 * n)) for n in (1, 2, 3)]


def test_when_a_visit_is_open_at_the_corner_nobody_is_booked_into_it(services, hands, anna, three_doctors):
    hands.visit(cast.MARIA)
    page = here_now(anna)

    assert "another visit there is not closed yet" in page
    assert len(times_on(page)) == 3
    assert service.day_list(services, cast.ANNA.who, cast.OZERKI) == [], "no doctor's time is taken for nothing"


def test_who_has_an_open_visit_is_led_to_it(hands, anna, three_doctors):
    visit_id = hands.visit(cast.MARIA)
    data = {"patient_id": cast.MARIA.id, "identified_by": "document"}

    assert anna.post("/counter/walk-in", data=data).location == f"/counter/visits/{visit_id}"


def test_the_page_offers_three_times_and_no_time_twice(anna, three_doctors):
    page = anna.get(f"/booking/slots?patient_id={cast.MARIA.id}").text

    assert len(times_on(page)) == 3
    assert len(set(times_on(page))) == 3


def test_another_day_shows_its_times_once_each_and_one_doctor_only_the_own(anna, hands, three_doctors):
    tomorrow = cast.NOON + timedelta(days=1)
    hands.shift(starts_at=tomorrow, hours=1)
    hands.shift(cast.Person("doctor0", "doctor", "Врач 0", None, cast.LAKE), starts_at=tomorrow, hours=2)
    day = f"/booking/slots?patient_id={cast.MARIA.id}&date={tomorrow.date()}"
    both, vera = times_on(anna.get(day).text), times_on(anna.get(f"{day}&doctor={cast.VERA.id}").text)

    assert both == [iso(tomorrow + timedelta(minutes=15 * n)) for n in range(8)]
    assert vera == both[:4]
    assert "No free time on this day." in anna.get(day.replace(str(tomorrow.date()), "2026-11-30")).text


def test_nobody_was_faster_when_the_patient_has_that_time_already(services, anna, three_doctors):
    service.book(services, cast.ANNA.who, cast.MARIA.id, cast.OZERKI, cast.VERA.id, SOON)
    other = cast.known_id("doctor0")
    for path in ("/booking", "/booking/hold"):
        page = anna.post(path, data=form(doctor_id=other))
        assert page.status_code == 409
        assert "This patient is booked for this time already" in page.text
        assert "Somebody was faster" not in page.text
        assert len(times_on(page.text)) == 3
        stranger = anna.post(path, data=form(doctor_id=other, patient_id=cast.IVAN.id))
        assert "Somebody was faster" in stranger.text
