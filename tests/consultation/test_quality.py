"""The record of calls: minutes come in once, the coordinator sees branches and calls, nobody else does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from telemed.consultation import service, service_call, service_quality, verdicts
from telemed.errors import Forbidden, NotFound
from telemed.ids import new_id
from telemed.services import Services
from tests import cast
from tests.conftest import Clock

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
FIGURES: dict[str, Any] = {
    "minute": 0, "seconds": 60, "step": "thin_video", "cuts": 1, "set_up_ms": 1500, "concealed_pct": 2.0, "freezes": 3,
    "frozen_s": 6.0, "rtt_ms": 300, "loss_pct": 5.0, "out_kbit_s": 180.0,
}  # fmt: skip


def test_a_minute_counts_once_and_also_just_after_the_end(services: Services, case: UUID) -> None:
    minute_id = new_id()
    for _ in range(2):
        service_quality.record_minute(services, cast.ANNA.who, case, minute_id, FIGURES)
    service.end(services, cast.VERA.who, case, "not_reached")
    service_quality.record_minute(services, cast.VERA.who, case, new_id(), {**FIGURES, "concealed_pct": None})

    [branch] = service_quality.quality_of_region(services, cast.GALINA.who)
    assert (branch.id, branch.calls, branch.minutes, branch.cuts) == (cast.OZERKI, 1, 2.0, 2)
    assert branch.concealed_pct == 2.0, "a minute in which no voice could be measured says nothing about it"
    assert (branch.frozen_pct, branch.set_up_ms) == (10.0, 1500)


def test_a_branch_shows_each_call_with_its_lowest_step(services: Services, queue_up: Callable[..., UUID]) -> None:
    for villager, step in ((cast.MARIA, "thin_video"), (cast.IVAN, "telephone")):
        case_id = queue_up(villager)
        service.take(services, cast.VERA.who, case_id)
        service_quality.record_minute(services, cast.ANNA.who, case_id, new_id(), FIGURES)
        service_call.note_call_step(services, cast.ANNA.who, case_id, step, "line_thin")

    name, calls = service_quality.quality_of_branch(services, cast.GALINA.who, cast.OZERKI)
    assert "Озерки" in name
    assert sorted(call.step for call in calls) == ["telephone", "thin_video"]


def test_the_coordinator_reads_it_as_pages(sign_in: SignIn, services: Services, case: UUID) -> None:
    galina = sign_in(cast.GALINA)
    assert "2.0" not in galina.get("/quality").text
    assert "No call has been recorded yet" in galina.get(f"/quality/{cast.OZERKI}").text
    service_quality.record_minute(services, cast.ANNA.who, case, new_id(), FIGURES)

    assert "2.0" in galina.get("/quality").text
    assert "2.0" in galina.get(f"/quality/{cast.OZERKI}").text
    assert sign_in(cast.KIRA).get(f"/quality/{cast.OZERKI}").status_code == 404
    assert sign_in(cast.ANNA).get("/quality").status_code == 403


def test_only_the_regions_coordinator_sees_it(services: Services, case: UUID) -> None:
    service_quality.record_minute(services, cast.ANNA.who, case, new_id(), FIGURES)
    assert len(service_quality.quality_of_region(services, cast.GALINA.who)) == 1

    assert service_quality.quality_of_region(services, cast.KIRA.who) == []
    with pytest.raises(NotFound):
        service_quality.quality_of_branch(services, cast.KIRA.who, cast.OZERKI)
    for person in (cast.ANNA, cast.VERA, cast.OLEG):
        with pytest.raises(Forbidden):
            service_quality.quality_of_region(services, person.who)


def test_an_outsider_writes_no_minute(services: Services, case: UUID) -> None:
    with pytest.raises(NotFound):
        service_quality.record_minute(services, cast.BORIS.who, case, new_id(), FIGURES)
    assert service_quality.quality_of_region(services, cast.GALINA.who) == []


GOOD: dict[str, Any] = {"minutes": 60.0, "concealed_pct": 1.0, "frozen_pct": 2.0, "cuts": 1, "set_up_ms": 1500}


@pytest.mark.parametrize(
    ("figures", "word"),
    [
        ({}, "well"),
        ({"concealed_pct": 5.0, "cuts": 9}, "voice_lost"),
        ({"cuts": 4}, "often_cut"),
        ({"set_up_ms": 8000}, "slow_to_begin"),
        ({"frozen_pct": 20.0}, "picture_still"),
        ({"concealed_pct": None, "set_up_ms": None}, "well"),
        ({"minutes": 4.9, "concealed_pct": 50.0}, "too_little"),
    ],
)
def test_one_word_says_what_is_wrong_with_the_calls(figures: dict[str, Any], word: str) -> None:
    assert verdicts.verdict(**{**GOOD, **figures}) == word


@pytest.mark.parametrize(
    ("before", "now", "word"), [(2.0, 2.9, "same"), (2.0, 3.0, "worse"), (3.0, 2.0, "better"), (None, 2.0, "new")]
)
def test_a_clear_change_of_the_voice_is_told(before: float | None, now: float | None, word: str) -> None:
    assert verdicts.trend(before, now) == word


def talk_minutes(services: Services, case: UUID, count: int, **figures: Any) -> None:
    for _ in range(count):
        service_quality.record_minute(services, cast.ANNA.who, case, new_id(), {**FIGURES, "cuts": 0, **figures})


def test_the_worst_branches_come_first_and_the_change_since_before_is_told(
    services: Services, case: UUID, queue_up: Callable[..., UUID], clock: Clock
) -> None:
    bad = queue_up(cast.PELAGEYA)
    talk_minutes(services, case, 6, concealed_pct=1.0)
    clock.forward(days=10)
    talk_minutes(services, case, 6, concealed_pct=4.0)
    for _ in range(6):
        service_quality.record_minute(
            services, cast.BORIS.who, bad, new_id(), {**FIGURES, "cuts": 0, "concealed_pct": 9.0}
        )
    rows = service_quality.quality_of_region(services, cast.GALINA.who)

    assert [(row.id, row.verdict, row.trend) for row in rows] == [
        (cast.SOSNOVO, "voice_lost", "new"), (cast.OZERKI, "well", "worse")
    ]  # fmt: skip


def test_a_branch_is_shown_week_by_week(services: Services, case: UUID, clock: Clock) -> None:
    talk_minutes(services, case, 6, concealed_pct=9.0)
    clock.forward(days=14)
    talk_minutes(services, case, 6, concealed_pct=1.0)
    newest, first = service_quality.quality_by_week(services, cast.GALINA.who, cast.OZERKI)

    assert (newest.verdict, newest.trend) == ("well", "better")
    assert (first.verdict, first.trend) == ("voice_lost", "new")
    assert newest.at is not None
    assert first.at is not None
    assert (newest.at - first.at).days in (13, 14)


def test_branches_where_nobody_talked_are_named_with_their_line(
    services: Services, sign_in: SignIn, case: UUID
) -> None:
    talk_minutes(services, case, 1)
    quiet = service_quality.without_calls(services, cast.GALINA.who)

    assert cast.OZERKI not in [row[0] for row in quiet]
    assert cast.SOSNOVO in [row[0] for row in quiet]
    assert "line not measured" in sign_in(cast.GALINA).get("/quality?lang=en").text


def test_the_pages_name_no_person(services: Services, sign_in: SignIn, case: UUID) -> None:
    talk_minutes(services, case, 6)
    galina = sign_in(cast.GALINA)
    for page in (galina.get("/quality").text, galina.get(f"/quality/{cast.OZERKI}").text):
        assert cast.MARIA.family_name not in page
        assert cast.VERA.name not in page
