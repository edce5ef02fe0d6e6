"""Every state of a visit has a way on: the counter offers a true way out of visit x answers x urgency x case x parcel, and
after it the next patient sits down.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from telemed.checkup import service as checkup
from telemed.consultation import service
from telemed.consultation.models import Consultation
from telemed.delivery.models import Order, Parcel
from telemed.prescription import service as prescriptions
from telemed.readings import service as readings
from telemed.services import Services
from tests import cast
from tests.make import Hands
from tests.prescription import made

ANNA, VERA = cast.ANNA.who, cast.VERA.who
CALM = {"symptoms": [], "question": "", "medicines": "", "allergies": "", "arm": "left", "cuff": "medium"}
RED = {**CALM, "symptoms": ["chest_pain"]}
ANSWERS = {"unasked": None, "calm": CALM, "red": RED}
CASES = (None, "waiting", "taken", "in_call", "ended", "abandoned")
PARCELS = (None, "ordered", "packed", "delivered")
STATES = [
    (answers, is_ready, case, parcel)
    for answers, is_ready, case, parcel in product(ANSWERS, (False, True), CASES, PARCELS)
    if (answers != "unasked" or not is_ready) and (parcel is None or case == "ended")
]


class Corner:
    """Maria at the corner of Ozerki, in any state."""

    def __init__(self, services: Services, hands: Hands, jobs: Callable[[], int]) -> None:
        self.services, self.hands, self.jobs = services, hands, jobs

    def bring(self, answers: str, *, is_ready: bool, case: str | None, parcel: str | None) -> UUID:
        """Return a visit that is in this state."""
        visit = checkup.open_visit(self.services, ANNA, cast.MARIA.id, cast.OZERKI, "document")
        if ANSWERS[answers] is not None:
            checkup.answer_questions(self.services, ANNA, visit, ANSWERS[answers])
            self.jobs()
        if is_ready:
            checkup.finish(self.services, ANNA, visit)
            self.jobs()
        self._case(visit, case, parcel)
        return visit

    def _case(self, visit: UUID, state: str | None, parcel: str | None) -> None:
        with self.services.db.write() as tx:
            known = service.consultation_of_visit(tx, visit)
            if state is None:
                if known is not None:
                    tx.delete(known)
                return
            case = service.queue_case(self.services, tx, visit)
            doctor = cast.VERA.id if state in ("taken", "in_call", "ended") else None
            tx.execute(update(Consultation).where(Consultation.id == case).values(state="taken", doctor_id=doctor))
        if parcel is not None:
            made.agree(self.hands, cast.MARIA)
            draft = prescriptions.draft(self.services, VERA, case, made.TABLETS, made.IN_PERSON)
            shown = prescriptions.read_prescription(self.services, VERA, draft)
            prescriptions.sign(self.services, VERA, draft, shown.content_hash)
            self.jobs()
        with self.services.db.write() as tx:
            ended = self.services.clock() if state == "ended" else None
            tx.execute(update(Consultation).where(Consultation.id == case).values(state=state, ended_at=ended))
            if parcel is not None:
                order = tx.query(Order).one()
                tx.execute(update(Parcel).where(Parcel.order_id == order.id).values(state=parcel))


@pytest.fixture
def corner(services: Services, hands: Hands, jobs: Callable[[], int]) -> Corner:
    return Corner(services, hands, jobs)


def ways_out(page: str, visit: UUID) -> list[tuple[str, dict[str, str]]]:
    """Return the forms of a page that end the visit: address and hidden fields."""
    forms = re.findall(r'<form method="post" action="([^"]+)"[^>]*>(.*?)</form>', page, re.DOTALL)
    ending = [(url, body) for url, body in forms if url in (f"/visits/{visit}/close", f"/visits/{visit}/end")]
    return [(url, dict(re.findall(r'name="(\w+)" value="([^"]*)"', body))) for url, body in ending]


@pytest.mark.parametrize(("answers", "is_ready", "case", "parcel"), STATES, ids=lambda value: str(value))
def test_every_state_of_a_visit_has_a_way_on(
    corner: Corner, services: Services, sign_in: Callable[..., FlaskClient],
    answers: str, is_ready: bool, case: str | None, parcel: str | None,
) -> None:  # fmt: skip
    visit = corner.bring(answers, is_ready=is_ready, case=case, parcel=parcel)
    anna = sign_in(cast.ANNA)
    page = anna.get(f"/counter/visits/{visit}")
    ways = [way for way in ways_out(page.text, visit) if way[1].get("ending") != "wrong_person"]

    assert page.status_code == 200
    assert ways, "no way out of this state"
    if case == "ended":
        assert ways[0][0].endswith("/close")
        assert "Everything is measured" not in page.text
    url, fields = ways[0]
    anna.post(url, data=fields)
    assert checkup.visit_view(services, ANNA, visit).state == "closed"
    assert checkup.open_visit(services, ANNA, cast.IVAN.id, cast.OZERKI, "document")
    assert anna.get("/counter").status_code == 200


@pytest.mark.parametrize("case", [None, "waiting", "taken", "in_call", "ended"])
def test_after_an_emergency_the_counter_offers_the_ambulance(
    corner: Corner, services: Services, sign_in: Callable[..., FlaskClient], case: str | None
) -> None:
    visit = corner.bring("red", is_ready=False, case=case, parcel=None)
    anna = sign_in(cast.ANNA)
    ways = ways_out(anna.get(f"/counter/visits/{visit}").text, visit)
    assert ("ambulance" in [fields.get("ending") for _url, fields in ways]) is True

    desk = anna.post(f"/visits/{visit}/end", data={"ending": "ambulance"}, follow_redirects=True)

    assert "closed, the ambulance has the patient" in desk.text
    assert checkup.open_visit(services, ANNA, cast.IVAN.id, cast.OZERKI, "document")


def test_a_red_patient_whom_the_ambulance_took_before_any_doctor_is_still_a_doctors_case(
    corner: Corner, services: Services, jobs: Callable[[], int], sign_in: Callable[..., FlaskClient]
) -> None:
    visit = corner.bring("red", is_ready=False, case="waiting", parcel=None)
    with services.db.write() as tx:
        tx.execute(update(Consultation).values(doctor_id=None, state="waiting"))
    sign_in(cast.ANNA).post(f"/visits/{visit}/end", data={"ending": "ambulance"})
    jobs()

    assert [(case.level, case.needs_a_doctor_now) for case in service.queue(services, VERA)] == [("RED", True)]
    assert readings.level_of_visit(services, ANNA, visit) == "RED"
