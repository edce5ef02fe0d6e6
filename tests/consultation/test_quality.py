"""The record of calls: minutes come in once, the coordinator sees branches and calls, nobody else does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from telemed.consultation import service, service_call, service_quality
from telemed.errors import Forbidden, NotFound
from telemed.ids import new_id
from telemed.services import Services
from tests import cast

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
    assert (branch.concealed_pct, branch.frozen_pct, branch.set_up_ms) == (1.0, 10.0, 1500)


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
    assert "Озерки" not in galina.get("/quality").text
    service_quality.record_minute(services, cast.ANNA.who, case, new_id(), FIGURES)

    assert "Озерки" in galina.get("/quality").text
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
