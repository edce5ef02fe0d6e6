"""Meter truth on the server's path: what was sent is kept and shown to the doctor, a crisis passes at once, a doubtful
reading asks for a repeat by a code, an irregular pulse is never given a diagnosis.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from telemed.bootstrap import Application
from telemed.checkup.models import SeriesStep
from telemed.consultation import service as consultation
from telemed.ids import new_id
from telemed.readings import service
from telemed.readings.events import TriageChanged
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.make import Hands
from tests.readings.sender import Sender, later, pressure

SignIn = Callable[[Any], FlaskClient]


@pytest.fixture
def sender(application: Application) -> Sender:
    return Sender(application)


@pytest.fixture
def visit(hands: Hands, services: Services) -> UUID:
    """Maria's visit with a series of three pressures, of which Vera is the doctor."""
    hands.booking(cast.MARIA, cast.VERA)
    visit_id = hands.visit(cast.MARIA, protocol="standard-1", answered_at=services.clock())
    with services.db.write() as tx:
        for ordinal in (1, 2, 3):
            tx.add(SeriesStep(id=new_id(), visit_id=visit_id, kind="blood_pressure", ordinal=ordinal, state="waiting",
                              not_before=services.clock(), tries=0, arm="left"))  # fmt: skip
    return visit_id


def measure(sender: Sender, visit: UUID, clock: Clock, *values: dict[str, Any], **record: Any) -> None:
    """Let each value come in a batch of its own, a minute apart."""
    if not sender.items:
        sender.judged([sender.opened(visit)])
    for decoded in values:
        clock.forward(minutes=1)
        assert sender.judged([sender.reading(visit, decoded=decoded, **record)]) == [("accepted", None)]


def taken(services: Services, visit: UUID) -> UUID:
    """Let Vera take the visit's case."""
    with services.db.write() as tx:
        case_id = consultation.queue_case(services, tx, visit, "YELLOW")
    assert case_id is not None
    consultation.take(services, cast.VERA.who, case_id)
    return case_id


def level(services: Services, visit: UUID) -> str:
    with services.db.read() as tx:
        return service.triage_of(tx, visit)


# --- what was sent ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", ["live", "corrected", "meter", "unknown"])
def test_packet_times_offset_and_quality_are_kept_as_they_came(
    sender: Sender, services: Services, visit: UUID, quality: str
) -> None:
    sender.opened(visit)
    effective, now = later(services.clock, seconds=-20), later(services.clock)
    sender.reading(
        visit, raw="1e800052006100", meter_time="2019-01-01T00:00:05", offset_s=20, effective_at=effective,
        received_at=now, time_quality=quality,
    )  # fmt: skip
    sender.judged()

    (view,) = service.readings_of_visit(services, cast.VERA.who, visit)
    truth = view.truth
    assert truth is not None
    assert (truth.raw, truth.meter_time, truth.offset_s) == ("1e80 0052 0061 00", "2019-01-01 00:00:05", 20)
    assert (later(lambda: truth.effective_at), later(lambda: truth.received_at)) == (effective, now)  # type: ignore[arg-type,return-value]
    assert (truth.time_quality, truth.meter, truth.serial) == (quality, "Simulated SIM", "1")


def test_the_doctor_may_open_what_the_meter_sent(
    sign_in: SignIn, sender: Sender, services: Services, visit: UUID, clock: Clock
) -> None:
    measure(sender, visit, clock, pressure(151, 88, 70), raw="1e800052006100", meter_time="2026-11-23T09:01:07")
    page = sign_in(cast.VERA).get(f"/doctor/cases/{taken(services, visit)}/values").text

    assert "<details data-truth" in page
    assert "1e80 0052 0061 00" in page
    assert "2026-11-23 09:01:07" in page
    assert "received right after the measurement" in page


@pytest.mark.parametrize(("language", "unit"), [("ru", "моль/л"), ("be", "моль/л"), ("en", "mol/L")])
def test_the_unit_of_the_meter_is_in_the_doctors_language(
    sign_in: SignIn, sender: Sender, services: Services, visit: UUID, language: str, unit: str
) -> None:
    sender.judged([sender.opened(visit), sender.reading(visit, **sender.glucose(5.8))])
    page = _page(sign_in(cast.VERA), language, taken(services, visit))

    assert re.search(rf"<dd>\s*{unit}\s*</dd>", page)


def test_what_says_nothing_of_the_patient_stands_after_what_does(
    sign_in: SignIn, sender: Sender, services: Services, visit: UUID, clock: Clock
) -> None:
    measure(sender, visit, clock, pressure(None, None, None), verdict="not_a_result", reasons=["no_pressure"])
    for reasons in (["control_solution"], ["glucose_hi"]):
        clock.forward(minutes=1)
        sender.judged([sender.reading(visit, **sender.glucose(None, verdict="not_a_result", reasons=reasons))])
    measure(sender, visit, clock, pressure(None, None, None), verdict="not_a_result", reasons=["pressure_lo"])
    measure(sender, visit, clock, pressure(151, 88, 70))
    none, control, high, low, real = [view.id for view in service.readings_of_visit(services, cast.VERA.who, visit)]
    page = sign_in(cast.VERA).get(f"/doctor/cases/{taken(services, visit)}/values").text

    rows = re.findall(r'data-reading="([^"]+)"( class="no-result")?', page)
    assert [UUID(row) for row, _class in rows] == [high, low, real, none, control], "HI and LO are results"
    assert [bool(small) for _row, small in rows] == [False, False, False, True, True]


# --- verdicts -----------------------------------------------------------------------------------------------------


def test_a_true_crisis_passes_at_once_and_is_flagged_urgent(
    application: Application, sender: Sender, services: Services, visit: UUID, clock: Clock
) -> None:
    sender.judged([sender.opened(visit)])
    news: list[Any] = []
    services.db.after_commit = news.extend
    measure(sender, visit, clock, pressure(245, 130, 96))

    (view,) = service.readings_of_visit(services, cast.VERA.who, visit)
    assert (view.shown, view.status, view.is_urgent) == ("245/130", "usable", True)
    assert [one.level for one in news if isinstance(one, TriageChanged)] == ["AMBER"]


@pytest.mark.parametrize(
    ("decoded", "record", "urgent"),
    [
        (pressure(179, 109, 70), {}, False),
        (pressure(180, 80, 70), {}, True),
        (pressure(150, 110, 70), {}, True),
        (pressure(85, 55, 70), {}, True),
        (pressure(245, 130, 70), {"verdict": "not_a_result", "reasons": ["impossible_pressure"]}, False),
    ],
)
def test_urgent_is_what_triage_would_not_let_wait(
    sender: Sender, services: Services, visit: UUID, clock: Clock, decoded: Any, record: dict[str, Any], urgent: bool
) -> None:
    measure(sender, visit, clock, decoded, **record)

    assert service.readings_of_visit(services, cast.VERA.who, visit)[0].is_urgent is urgent


def test_a_crisis_measured_after_the_series_is_not_overlooked(
    sender: Sender, services: Services, visit: UUID, clock: Clock
) -> None:
    measure(sender, visit, clock, *[pressure(128, 80, 70)] * 3)
    assert level(services, visit) != "AMBER"
    measure(sender, visit, clock, pressure(245, 130, 96))

    assert level(services, visit) == "AMBER"


@pytest.mark.parametrize(
    ("reason", "advice"),
    [("body_movement", "movement"), ("cuff_too_loose", "cuff_loose"), ("improper_position", "position")],
)
def test_a_doubtful_reading_asks_the_counter_for_a_repeat_by_code_alone(
    sign_in: SignIn, sender: Sender, services: Services, visit: UUID, clock: Clock, reason: str, advice: str
) -> None:
    measure(sender, visit, clock, pressure(187, 113, 99), verdict="questionable", reasons=[reason])
    with services.db.read() as tx:
        step = tx.scalars(select(SeriesStep).where(SeriesStep.visit_id == visit).order_by(SeriesStep.ordinal)).first()
    page = sign_in(cast.ANNA).get(f"/counter/visits/{visit}")

    assert step is not None
    assert (step.state, step.advice) == ("repeat", advice)
    assert page.status_code == 200
    assert not re.findall(r"\b(187|113|99)\b", _words(page.text))


def _words(page: str) -> str:
    """Return what a person reads, without identities and addresses."""
    return html.unescape(re.sub(r"<[^>]+>|[0-9a-f]{8}-[0-9a-f-]{27}", " ", page))


# --- irregular pulse ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("places", "advised", "mean"), [((1,), False, "145/85"), ((1, 3), True, "147/87")])
def test_an_irregular_pulse_in_two_of_three_advises_an_ecg_and_takes_the_mean_of_three(
    sign_in: SignIn, sender: Sender, services: Services, visit: UUID, clock: Clock,
    places: tuple[int, ...], advised: bool, mean: str,
) -> None:  # fmt: skip
    values = [(150, 90), (148, 86), (142, 84)]
    pressures = [pressure(*value, 70, irregular=place in places) for place, value in enumerate(values, start=1)]
    measure(sender, visit, clock, *pressures)
    case, found = taken(services, visit), service.series_of_visit(services, cast.VERA.who, visit)
    pages = {language: _page(sign_in(cast.VERA), language, case) for language in ("ru", "be", "en")}

    assert found is not None
    assert (found.irregular_pulse, found.shown) == (advised, mean)
    assert ("pulse irregular, ECG advised" in pages["en"]) is advised
    for page in pages.values():
        assert not re.search("fibrillation|фибрилляц|мерцательн|фібрыляц", page, re.IGNORECASE)


def _page(vera: FlaskClient, language: str, case: UUID) -> str:
    vera.set_cookie("lang", language)
    return vera.get(f"/doctor/cases/{case}/values").text


def test_a_movement_makes_no_pulse_irregular(sender: Sender, services: Services, visit: UUID, clock: Clock) -> None:
    moved = {"reasons": ["body_movement"], "verdict": "usable"}
    measure(sender, visit, clock, *[pressure(128, 80, 70, irregular=True)] * 3, **moved)
    found = service.series_of_visit(services, cast.VERA.who, visit)

    assert found is not None
    assert not found.irregular_pulse
