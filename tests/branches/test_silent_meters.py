"""A meter that stays silent does not look healthy: what its gateway says of it, and for how long nobody saw it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from telemed.branches import rules, service, service_morning
from telemed.branches.models import Meter
from telemed.desks import rules as desks
from telemed.i18n import code_text
from telemed.services import Services
from tests import cast
from tests.branches.test_gateway import BranchPc, pc
from tests.conftest import Clock
from tests.make import meter_of

__all__ = ["pc"]
SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
CUFF = meter_of(cast.OZERKI, "blood_pressure")
MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)  # noon in Moscow
WEEKDAYS = {str(day): ["09:00", "17:00"] for day in range(1, 6)}


def report(**facts: Any) -> list[dict[str, Any]]:
    return [{"enrolment_id": str(CUFF), "enrolment": "enrolled", **facts}]


def remarks(services: Services) -> tuple[str, ...]:
    found = service.branch_view(services, cast.ANNA.who, cast.OZERKI).meters
    return next(meter.remarks for meter in found if meter.id == CUFF)


def seen(services: Services, at: datetime) -> None:
    with services.db.write() as tx:
        tx.get_one(Meter, CUFF).last_seen_at = at


@pytest.mark.parametrize(
    ("days", "hours", "told"),
    [
        (0, 4, None), (1, 0, None), (2, 4, None),
        (3, -4, None),  # Thursday before the branch opens
        (3, 0, "unseen_for_days"), (9, 0, "unseen_for_days"),
    ],
)  # fmt: skip
def test_three_opening_days_without_a_meter_are_told(days: int, hours: int, told: str | None) -> None:
    now = MONDAY + timedelta(days=days, hours=hours)

    assert rules.silence(MONDAY, None, WEEKDAYS, "Europe/Moscow", now) == told


def test_days_on_which_the_branch_is_shut_do_not_count() -> None:
    friday = MONDAY + timedelta(days=4)

    assert rules.silence(friday, None, WEEKDAYS, "Europe/Moscow", friday + timedelta(days=4)) is None
    assert rules.silence(friday, None, WEEKDAYS, "Europe/Moscow", friday + timedelta(days=5)) == "unseen_for_days"
    assert rules.silence(friday, None, {}, "Europe/Moscow", friday + timedelta(days=99)) is None


def test_a_meter_that_this_mornings_check_did_not_hear_is_told_until_it_is_seen() -> None:
    checked_at = MONDAY + timedelta(days=1, hours=-3)
    now = MONDAY + timedelta(days=1)

    assert rules.silence(MONDAY, checked_at, WEEKDAYS, "Europe/Moscow", now) == "unseen_this_morning"
    assert rules.silence(now, checked_at, WEEKDAYS, "Europe/Moscow", now) is None
    assert rules.silence(MONDAY, None, WEEKDAYS, "Europe/Moscow", now) is None


@pytest.mark.parametrize("code", rules.TROUBLES)
def test_what_a_gateway_says_of_a_meter_stands_on_the_page_until_it_says_so_no_more(
    pc: BranchPc, services: Services, sign_in: SignIn, code: str
) -> None:
    pc.beat(1, meters=report(trouble=code))
    page = sign_in(cast.ANNA).get("/branch").text
    assert remarks(services) == (code,)
    assert f'data-remark="{code}"' in page
    assert code_text("en", f"remark_{code}") in page.replace("&#39;", "'").replace("&#34;", '"')
    assert code_text("en", "meters_unheard") in page
    assert "Nothing needs to be done" not in page
    assert "Meters ready" not in page + sign_in(cast.ANNA).get("/counter").text
    assert ">paired<" not in page

    pc.beat(2, meters=report())
    page = sign_in(cast.ANNA).get("/branch").text
    assert remarks(services) == ()
    assert "Nothing needs to be done" in page
    assert "Meters ready" in sign_in(cast.ANNA).get("/counter").text


def test_a_word_of_a_newer_gateway_is_no_good_news(pc: BranchPc, services: Services) -> None:
    pc.beat(1, meters=report(trouble="word_of_tomorrow"))

    assert remarks(services) == ("cannot_be_read",)


def test_the_branch_page_says_that_a_meter_was_not_seen_for_days(
    pc: BranchPc, services: Services, sign_in: SignIn, clock: Clock
) -> None:
    seen(services, clock() - timedelta(days=14))
    pc.beat(1, meters=report())

    assert remarks(services) == ("unseen_for_days",)
    page = sign_in(cast.ANNA).get("/branch").text
    assert "three working days" in page
    assert ">paired<" not in page


def test_of_two_cuffs_the_silent_one_is_told_though_the_other_was_heard(
    pc: BranchPc, services: Services, clock: Clock
) -> None:
    pc.beat(1, meters=report())
    seen(services, clock() - timedelta(days=1))
    for step, outcome in (("camera", "works"), ("sound", "works"), ("line", ""), ("meters", "")):
        service_morning.answer(services, cast.ANNA.who, step, outcome)

    assert remarks(services) == ("unseen_this_morning",)


def test_the_measuring_page_knows_every_remark() -> None:
    assert set(rules.REMARKS) <= set(desks.REMARKS)
    assert desks.UNHEARD == rules.UNHEARD
    assert desks.remarks("not_seen", ["unseen_for_days", "battery_low"], has_put_aside=False) == ["battery_low"]
