"""The morning check at the counter, and what follows from it: the reminder, the call list, the region's view."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from telemed.access.models import AuditRow
from telemed.branches.models import Branch, Gateway, LineCheck, Meter, MorningCheck
from telemed.branches.service import record_line_check
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.make import Hands, meter_of

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
CUFF, DROP = (meter_of(cast.OZERKI, kind) for kind in ("blood_pressure", "glucose"))
LINE = {"rtt_ms": 80, "up_kbit_s": 900, "down_kbit_s": 900, "loss_up_pct": 0, "loss_down_pct": 0}


@pytest.fixture
def corner(hands: Hands, services: Services, clock: Clock) -> Services:
    """A branch whose PC and meters have been heard of this morning."""
    hands.gateway(bytes(32))
    with services.db.write() as tx:
        gateway = tx.scalars(select(Gateway)).one()
        gateway.last_seen_at, gateway.status = clock(), "ok"
        for meter_id in (CUFF, DROP):
            tx.get_one(Meter, meter_id).last_seen_at = clock()
    return services


def measure_line(services: Services, line_class: str) -> None:
    with services.db.write() as tx:
        record_line_check(services, tx, cast.OZERKI, {**LINE, "line_class": line_class})


def check(client: FlaskClient, *, camera: str = "works", sound: str = "works") -> str:
    """Walk through the whole check and return the page of its result."""
    for step, outcome in (("camera", camera), ("sound", sound), ("line", ""), ("meters", "")):
        client.post("/branch/morning", data={"step": step, "outcome": outcome})
    return client.get("/branch/morning").get_data(as_text=True)


def silence(services: Services, meter_id: object) -> None:
    with services.db.write() as tx:
        tx.get_one(Meter, meter_id).last_seen_at = None


def test_a_check_that_runs_over_midnight_goes_on_and_counts(corner: Services, sign_in: SignIn, clock: Clock) -> None:
    clock.now = clock.now.replace(hour=20, minute=50)  # 23:50 in Ozerki
    with corner.db.write() as tx:
        tx.scalars(select(Gateway)).one().last_seen_at = clock()
        for meter_id in (CUFF, DROP):
            tx.get_one(Meter, meter_id).last_seen_at = clock()
    anna = sign_in(cast.ANNA)
    for step in ("camera", "sound"):
        anna.post("/branch/morning", data={"step": step, "outcome": "works"})
    clock.forward(minutes=20)
    measure_line(corner, "good")
    with corner.db.write() as tx:
        tx.scalars(select(Gateway)).one().last_seen_at = clock()
    for step in ("line", "meters"):
        anna.post("/branch/morning", data={"step": step, "outcome": ""})
    page = anna.get("/branch/morning").get_data(as_text=True)
    clock.forward(hours=6)
    later = anna.get("/branch/morning").get_data(as_text=True)

    assert "All patients may come." in page
    assert "All patients may come." not in later


def test_the_clerk_is_led_through_the_steps_one_after_another(corner: Services, sign_in: SignIn) -> None:
    anna = sign_in(cast.ANNA)
    measure_line(corner, "good")
    seen = []
    for step, outcome in (("camera", "works"), ("sound", "works"), ("line", ""), ("meters", "")):
        page = anna.get("/branch/morning").get_data(as_text=True)
        seen += [name for name in ("camera", "sound", "line", "meters") if f"data-morning-{name}" in page]
        anna.post("/branch/morning", data={"step": step, "outcome": outcome})

    assert seen == ["camera", "sound", "line", "meters"]
    assert "All patients may come" in anna.get("/branch/morning").get_data(as_text=True)


def test_the_result_is_kept_with_day_person_and_each_outcome_and_audited(corner: Services, sign_in: SignIn) -> None:
    measure_line(corner, "voice_photos")
    check(sign_in(cast.ANNA), camera="missing")

    with corner.db.read() as tx:
        row = tx.scalars(select(MorningCheck)).one()
        deeds = tx.scalars(select(AuditRow.action)).all()
    assert (row.branch_id, row.checked_by, row.day.isoformat()) == (cast.OZERKI, cast.ANNA.id, "2026-11-23")
    assert (row.camera, row.sound, row.line, row.meters) == ("missing", "works", "voice_photos", "seen")
    assert (row.battery, row.strips, row.calibration, row.verdict) == ("unknown", "unknown", "unknown", "no_video")
    assert deeds.count("branch.check_morning") == 4


def test_the_page_cannot_claim_a_line_that_was_not_measured(corner: Services, sign_in: SignIn, clock: Clock) -> None:
    measure_line(corner, "good")
    clock.forward(minutes=16)
    with corner.db.write() as tx:
        tx.scalars(select(Gateway)).one().last_seen_at = clock()
    anna = sign_in(cast.ANNA)
    for step, outcome in (("camera", "works"), ("sound", "works"), ("line", "good")):
        anna.post("/branch/morning", data={"step": step, "outcome": outcome})

    with corner.db.read() as tx:
        assert tx.scalars(select(MorningCheck)).one().line == "unmeasured"


def test_a_wrong_answer_is_asked_again(corner: Services, sign_in: SignIn) -> None:
    anna = sign_in(cast.ANNA)
    anna.post("/branch/morning", data={"step": "camera", "outcome": "good"})
    anna.post("/branch/morning", data={"step": "verdict", "outcome": "works"})

    with corner.db.read() as tx:
        assert tx.scalars(select(MorningCheck)).all() == []


def test_the_counter_reminds_from_opening_time_until_the_check_is_done(corner: Services, sign_in: SignIn) -> None:
    anna = sign_in(cast.ANNA)
    assert "nobody has checked it this morning" in anna.get("/counter").get_data(as_text=True)
    measure_line(corner, "good")
    check(anna)

    assert "nobody has checked it this morning" not in anna.get("/counter").get_data(as_text=True)


def test_before_opening_the_counter_offers_the_check_and_does_not_warn(corner: Services, sign_in: SignIn) -> None:
    with corner.db.write() as tx:
        tx.get_one(Branch, cast.OZERKI).hours = {"1": ["13:00", "17:00"]}
    page = sign_in(cast.ANNA).get("/counter").get_data(as_text=True)

    assert "nobody has checked it this morning" not in page
    assert "/branch/morning" in page


def test_a_branch_that_is_not_ready_leads_to_the_people_to_call(
    corner: Services, hands: Hands, sign_in: SignIn, clock: Clock
) -> None:
    later = clock() + timedelta(hours=1)
    hands.booking(cast.MARIA, starts_at=later, ends_at=later + timedelta(minutes=15))
    silence(corner, CUFF)
    anna = sign_in(cast.ANNA)
    assert "/day/calls" in check(anna)

    assert "/day/calls" in anna.get("/day").get_data(as_text=True)
    assert "/day/calls" in anna.get("/counter").get_data(as_text=True)
    page = anna.get("/day/calls").get_data(as_text=True)
    assert f"tel:{cast.MARIA.phone}" in page
    assert "Ёлкина" in page


def test_who_was_called_off_leaves_the_list_and_the_clerk_stays_on_it(
    corner: Services, hands: Hands, sign_in: SignIn, clock: Clock
) -> None:
    later = clock() + timedelta(hours=1)
    booking_id = hands.booking(cast.MARIA, starts_at=later, ends_at=later + timedelta(minutes=15))
    anna = sign_in(cast.ANNA)
    answer = anna.post(f"/booking/{booking_id}/cancel", data={"version": 1, "back": "calls"})

    assert answer.location == "/day/calls"
    assert "Nobody is left to call" in anna.get("/day/calls").get_data(as_text=True)


def test_who_is_moved_to_another_day_leaves_the_list(
    corner: Services, hands: Hands, sign_in: SignIn, clock: Clock
) -> None:
    later, tomorrow = clock() + timedelta(hours=1), clock() + timedelta(days=1)
    hands.shift(starts_at=tomorrow)
    booking_id = hands.booking(cast.MARIA, starts_at=later, ends_at=later + timedelta(minutes=15))
    anna = sign_in(cast.ANNA)
    slots = anna.get(f"/booking/slots?patient_id={cast.MARIA.id}&move={booking_id}&version=1&back=calls")
    assert 'name="back" value="calls"' in slots.get_data(as_text=True)
    wish = {
        "patient_id": str(cast.MARIA.id), "doctor_id": str(cast.VERA.id), "starts_at": tomorrow.isoformat(),
        "move": str(booking_id), "version": 1, "back": "calls",
    }  # fmt: skip
    answer = anna.post("/booking", data=wish)

    assert answer.location == "/day/calls"
    assert "Nobody is left to call" in anna.get("/day/calls").get_data(as_text=True)


def test_after_mending_the_check_is_made_again_and_the_newer_counts(
    corner: Services, sign_in: SignIn, clock: Clock
) -> None:
    measure_line(corner, "good")
    silence(corner, CUFF)
    anna = sign_in(cast.ANNA)
    assert "Not ready today" in check(anna)
    with corner.db.write() as tx:
        tx.get_one(Meter, CUFF).last_seen_at = corner.clock()
    clock.forward(seconds=1)
    anna.post("/branch/morning/again")
    assert "Not ready today" in anna.get("/counter").get_data(as_text=True), "until the new run is finished"

    assert "All patients may come" in check(anna)


def test_dates_of_calibration_and_strips_are_kept_and_judged(corner: Services, sign_in: SignIn) -> None:
    measure_line(corner, "good")
    anna = sign_in(cast.ANNA)
    field = f"m{DROP.hex[:8]}-"
    dates = {f"{field}calibration_due_on": "01.02.2027", f"{field}strips_expire_on": "22.11.2026"}
    assert anna.post(f"/branch/morning/meters/{DROP}", data=dates).status_code == 302
    anna.post(f"/branch/morning/meters/{CUFF}", data={f"m{CUFF.hex[:8]}-calibration_due_on": "22.11.2026"})
    page = check(anna)

    assert "The test strips have expired" in page
    assert "calibration of the blood pressure meter is overdue" in page
    assert "Not ready today" in page


def test_a_date_that_is_none_is_told_beside_its_field(corner: Services, sign_in: SignIn) -> None:
    measure_line(corner, "good")
    anna = sign_in(cast.ANNA)
    for step, outcome in (("camera", "works"), ("sound", "works"), ("line", "")):
        anna.post("/branch/morning", data={"step": step, "outcome": outcome})
    answer = anna.post(f"/branch/morning/meters/{DROP}", data={f"m{DROP.hex[:8]}-strips_expire_on": "soon"})

    assert answer.status_code == 422
    assert 'value="soon"' in answer.get_data(as_text=True)


def test_another_branchs_meter_is_out_of_reach(corner: Services, sign_in: SignIn) -> None:
    foreign = meter_of(cast.SOSNOVO, "glucose")

    assert sign_in(cast.ANNA).post(f"/branch/morning/meters/{foreign}").status_code == 404


def test_the_coordinator_sees_each_branch_of_the_region_and_no_other(corner: Services, sign_in: SignIn) -> None:
    silence(corner, CUFF)
    check(sign_in(cast.ANNA))
    page = sign_in(cast.GALINA).get("/mornings").get_data(as_text=True)

    assert "Not ready today" in page
    assert "Сосново" in page
    assert "Речное" not in page
    assert "Озерки" not in sign_in(cast.KIRA).get("/mornings").get_data(as_text=True)


def test_the_day_list_of_another_day_says_nothing_of_this_morning(corner: Services, sign_in: SignIn) -> None:
    anna = sign_in(cast.ANNA)
    assert "nobody has checked it" in anna.get("/day").get_data(as_text=True)

    assert "nobody has checked it" not in anna.get("/day?date=2026-11-24").get_data(as_text=True)


def test_each_morning_begins_unchecked_and_measurements_of_the_line_stay(
    corner: Services, sign_in: SignIn, clock: Clock
) -> None:
    measure_line(corner, "good")
    check(sign_in(cast.ANNA))
    clock.forward(days=1)
    measure_line(corner, "thin")
    anna = sign_in(cast.ANNA)

    assert "nobody has checked it this morning" in anna.get("/counter").get_data(as_text=True)
    with corner.db.read() as tx:
        assert [row.line_class for row in tx.scalars(select(LineCheck).order_by(LineCheck.at))] == ["good", "thin"]
