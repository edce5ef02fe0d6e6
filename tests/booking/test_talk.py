"""What kind of talk a patient may count on when booking, and that nobody is promised a picture the line cannot carry."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from telemed.booking import rules, service
from telemed.booking.models import Booking
from telemed.branches.models import Branch, MorningCheck
from telemed.branches.morning import day_of
from telemed.errors import Conflict
from telemed.ids import new_id
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.make import Hands

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]


def set_line(services: Services, line_class: str | None) -> None:
    with services.db.write() as tx:
        tx.get_one(Branch, cast.OZERKI).line_class = line_class


def check_morning(services: Services, word: str) -> None:
    with services.db.write() as tx:
        now = services.clock()
        outcomes = {"meters": "seen", "camera": "works", "sound": "works", "line": "good"}
        tx.add(
            MorningCheck(
                id=new_id(), branch_id=cast.OZERKI, day=day_of("Europe/Moscow", now), checked_by=cast.ANNA.id,
                begun_at=now, finished_at=now, verdict=word, **outcomes,
            )
        )  # fmt: skip


def slots_page(client: FlaskClient, more: str = "") -> str:
    return client.get(f"/booking/slots?patient_id={cast.MARIA.id}{more}").get_data(as_text=True)


@pytest.mark.parametrize(
    ("line", "talk", "promised"),
    [
        ("good", "video", True),
        ("fair", "video", True),
        ("thin", "thin_video", True),
        ("voice_photos", "voice_photos", False),
        ("telephone", "telephone", False),
        (None, "unknown", False),
    ],
)
def test_the_usual_line_says_what_talk_to_expect(line: str | None, talk: str, promised: bool) -> None:
    assert rules.talk_to_expect(line) == talk
    assert rules.promises_video(line, is_today=False, morning="due") is promised


@pytest.mark.parametrize("morning", ["no_video", "not_ready"])
def test_what_the_morning_found_counts_for_today_only(morning: str) -> None:
    assert not rules.promises_video("good", is_today=True, morning=morning)
    assert rules.promises_video("good", is_today=False, morning=morning)


@pytest.mark.parametrize("morning", ["ready", "due", "early", "closed"])
def test_a_morning_without_a_fault_takes_no_picture(morning: str) -> None:
    assert rules.promises_video("good", is_today=True, morning=morning)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("good", "Talk by video"),
        ("voice_photos", "Voice and photographs, no video"),
        ("telephone", "Talk by telephone"),
        (None, "The line is not measured yet"),
    ],
)
def test_the_search_tells_what_kind_of_talk_to_expect(
    services: Services, hands: Hands, sign_in: SignIn, line: str | None, words: str
) -> None:
    hands.shift()
    set_line(services, line)

    assert words in slots_page(sign_in(cast.ANNA))


@pytest.mark.parametrize("line", ["voice_photos", "telephone", None])
def test_a_talk_that_needs_the_picture_is_not_offered_on_such_a_line(
    services: Services, hands: Hands, sign_in: SignIn, line: str | None
) -> None:
    hands.shift()
    set_line(services, "good")
    anna = sign_in(cast.ANNA)
    assert "needs_video=yes" in slots_page(anna)
    assert 'name="starts_at"' in slots_page(anna, "&needs_video=yes")
    set_line(services, line)

    assert "needs_video=yes" not in slots_page(anna)
    assert 'name="starts_at"' not in slots_page(anna, "&needs_video=yes")
    assert 'name="starts_at"' in slots_page(anna), "a talk by voice is still offered"


def first_slot(services: Services) -> service.Slot:
    return service.free_slots(services, cast.ANNA.who, cast.OZERKI)[0]


def book(services: Services, slot: service.Slot) -> UUID:
    return service.book(
        services, cast.ANNA.who, cast.MARIA.id, cast.OZERKI, slot.doctor_id, slot.starts_at, needs_video=True
    )


def test_a_posted_wish_for_the_picture_is_refused_where_the_line_has_none(services: Services, hands: Hands) -> None:
    hands.shift()
    slot = first_slot(services)
    set_line(services, "telephone")
    with pytest.raises(Conflict, match="no_video_here"):
        book(services, slot)
    set_line(services, "thin")
    book(services, slot)

    with services.db.read() as tx:
        assert tx.scalars(select(Booking)).one().needs_video


def test_after_a_morning_without_video_the_picture_is_offered_from_tomorrow(
    services: Services, hands: Hands, clock: Clock
) -> None:
    set_line(services, "good")
    hands.shift()
    hands.shift(starts_at=clock() + timedelta(days=1))
    check_morning(services, "no_video")
    offered = service.free_slots(services, cast.ANNA.who, cast.OZERKI, needs_video=True)

    assert offered
    assert {day_of("Europe/Moscow", slot.starts_at) for slot in offered} == {
        day_of("Europe/Moscow", clock() + timedelta(days=1))
    }


def test_a_booking_that_needs_the_picture_is_not_moved_to_where_there_is_none(
    services: Services, hands: Hands, clock: Clock
) -> None:
    set_line(services, "good")
    hands.shift()
    booking_id = book(services, first_slot(services))
    check_morning(services, "no_video")
    later = first_slot(services)

    with pytest.raises(Conflict, match="no_video_here"):
        service.move(services, cast.ANNA.who, booking_id, later.doctor_id, later.starts_at, 1)


def test_without_video_this_morning_only_those_who_need_it_are_called(
    services: Services, hands: Hands, sign_in: SignIn, clock: Clock
) -> None:
    later, last = clock() + timedelta(hours=1), clock() + timedelta(hours=2)
    hands.booking(cast.MARIA, starts_at=later, ends_at=last, needs_video=True)
    hands.booking(cast.IVAN, starts_at=last, ends_at=last + timedelta(minutes=15))
    check_morning(services, "no_video")
    page = sign_in(cast.ANNA).get("/day/calls").get_data(as_text=True)

    assert cast.MARIA.family_name in page
    assert cast.IVAN.family_name not in page
