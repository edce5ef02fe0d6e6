"""Who gives no care never gets a clinical word: not on a page, not in an export, an answer of the API or over a socket.

One story puts strings that occur nowhere else into every clinical field. Then each role opens everything that the
product has, in each language, and looks for them in the bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.routing import Rule

from telemed import i18n
from telemed.booking import service as booking
from telemed.bootstrap import Application
from telemed.checkup import service as checkup
from telemed.checkup.models import Visit
from telemed.consultation import service as consultation
from telemed.consultation import service_handover
from telemed.consultation.models import Consultation
from telemed.delivery import service as delivery
from telemed.delivery.models import Order, Parcel
from telemed.ids import new_id
from telemed.prescription import service as prescription
from telemed.prescription.catalogue import medicines
from telemed.readings.models import QuarantinedItem
from tests import cast
from tests.consultation.conftest import SECOND
from tests.make import Hands
from tests.prescription import made
from tests.readings.sender import Sender, pressure

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
LANGUAGES = tuple(i18n.LANGUAGES)
REASON = "diabetes"
SYSTOLIC, DIASTOLIC, GLUCOSE = 183, 109, 21.7
DRUG = "lorizapril-10"
# Who sees neither a value, a diagnosis nor a drug's name. The clerk types some of it: see TYPED.
WITHOUT_CARE = (cast.ANNA, cast.EGOR, cast.FEDOR, cast.GALINA, cast.OLEG, cast.TAMARA)
TYPED = {"checkup.questions"}  # the clerk's own form: what was typed into it may stand there again
NAMES_A_COMPLAINT = {"checkup.questions", "checkup.correct"}  # the question is read aloud to everybody


@dataclass
class Story:
    """What happened: ids by the names that routes use, and the words that only who gives care may read."""

    ids: dict[str, list[Any]] = field(default_factory=dict)
    secret: list[str] = field(default_factory=list)
    drugs: list[str] = field(default_factory=list)

    def keep(self, text: str) -> str:
        self.secret.append(text)
        return text


@pytest.fixture
def sockets(application: Application, sign_in: SignIn) -> dict[str, Any]:
    """A live line of each person without care, who may listen to all that the product lets them."""
    return {
        person.login: application.io.test_client(application.app, flask_test_client=sign_in(person))
        for person in WITHOUT_CARE
    }


@pytest.fixture
def story(application: Application, hands: Hands, jobs: Callable[[], int], sockets: dict[str, Any]) -> Story:
    """Invite, measure, talk, prescribe, send: with a secret in each clinical field."""
    services, story = application.services, Story()
    with services.db.write() as tx:
        hands._account(tx, SECOND, "-")
    for purpose in ("care", "telemedicine", "delivery"):
        made.agree(hands, purpose=purpose)
    before = earlier_case(hands)
    invitation_id = booking.invite(services, cast.VERA.who, cast.MARIA.id, REASON)
    for language in LANGUAGES:
        story.keep(i18n.code_text(language, f"reason_{REASON}"))
    booking_id = hands.booking(cast.MARIA, invitation_id=invitation_id)
    gateway = Sender(application)
    visit_id = checkup.open_visit(services, cast.ANNA.who, cast.MARIA.id, cast.OZERKI, "document", booking_id)
    gateway.opened(visit_id)
    listen(sockets, visit_id)
    answers = {
        "symptoms": ["headache"], "arm": "left", "cuff": "medium", "question": story.keep("вопрос-к3в7"),
        "medicines": story.keep("лекарство-к8ф2"), "allergies": story.keep("аллергия-к1м9"), "fasting": False,
    }  # fmt: skip
    checkup.answer_questions(services, cast.ANNA.who, visit_id, answers)
    gateway.reading(visit_id, decoded=pressure(SYSTOLIC, DIASTOLIC, 72))
    gateway.reading(visit_id, **gateway.glucose(GLUCOSE))
    gateway.reading(None)  # for the tray
    gateway.judged()
    jobs()
    with services.db.write() as tx:
        case_id = consultation.queue_case(services, tx, visit_id)
        item_ids = list(tx.scalars(select(QuarantinedItem.id)))
    assert case_id is not None
    treat(services, story, case_id)
    jobs()
    with services.db.read() as tx:
        order, parcel = tx.scalars(select(Order)).one(), tx.scalars(select(Parcel)).one()
        story.ids["order_id"], story.ids["parcel_id"] = [order.id], [parcel.id]
    delivery.pack(services, cast.DINA.who, order.id, [DRUG], 1, 240)
    delivery.assign(services, cast.EGOR.who, parcel.id, cast.FEDOR.id)
    story.ids |= {
        "patient_id": [cast.MARIA.id], "visit_id": [visit_id], "case_id": [case_id, before],
        "consultation_id": [case_id], "booking_id": [booking_id], "branch_id": [cast.OZERKI], "item_id": item_ids,
        "kind": ["blood_pressure", "glucose"], "photo_id": [new_id()], "check_id": [new_id()],
    }  # fmt: skip
    return story


def earlier_case(hands: Hands) -> UUID:
    """An ended case of two days ago, by which Vera may invite."""
    case_id, at = made.case(hands), hands.clock() - timedelta(days=2)
    with hands.services.db.write() as tx:
        case = tx.get_one(Consultation, case_id)
        tx.get_one(Visit, case.visit_id).state = "closed"
        case.state, case.outcome, case.queued_at, case.ended_at = "ended", "advised", at, at
    return case_id


def treat(services: Any, story: Story, case_id: UUID) -> None:
    """Let two doctors work on the case and prescribe."""
    consultation.take(services, SECOND.who, case_id)
    service_handover.hand_over(services, SECOND.who, case_id, cast.VERA.id, story.keep("передача-к5т4"))
    consultation.take(services, cast.VERA.who, case_id)
    note = {name: story.keep(f"{name}-к6р2") for name in ("complaint", "findings", "assessment", "plan")}
    consultation.save_note(services, cast.VERA.who, case_id, note, 0)
    items = [{"code": DRUG, "quantity": 1, "directions": story.keep("по 1 таблетке утром-к4н8"), "days": 30}]
    prescription_id = prescription.draft(services, cast.VERA.who, case_id, items, made.IN_PERSON)
    shown = prescription.read_prescription(services, cast.VERA.who, prescription_id)
    prescription.sign(services, cast.VERA.who, prescription_id, shown.content_hash)
    story.ids["prescription_id"] = [prescription_id]
    story.drugs += [DRUG, *medicines()[DRUG].inn.values()]


def listen(sockets: dict[str, Any], visit_id: UUID) -> None:
    rooms = [f"branch:{cast.OZERKI}", f"visit:{visit_id}"]
    rooms += [f"{kind}:{cast.LAKE}" for kind in ("queue", "dispatch", "pharmacy")]
    for socket, room in itertools.product(sockets.values(), rooms):
        socket.emit("watch", {"room": room}, callback=True)


def addresses(application: Application, story: Story) -> Iterator[tuple[Rule, str]]:
    """Yield every address that can be opened, with each id that fits."""
    for rule in application.app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.endpoint == "static":
            continue
        names = sorted(rule.arguments)
        for values in itertools.product(*(story.ids[name] for name in names)):
            built = rule.build(dict(zip(names, values, strict=True)))
            assert built is not None
            more = (
                f"?patient_id={cast.MARIA.id}" if rule.endpoint in ("booking.slots", "feedback.complain_page") else ""
            )
            yield rule, built[1] + more


def seen_by(
    application: Application, story: Story, client: FlaskClient, language: str
) -> Iterator[tuple[Rule, str, bytes]]:
    client.set_cookie("lang", language)
    for rule, path in addresses(application, story):
        answer = client.get(path)
        assert answer.status_code != 500, path
        yield rule, path, answer.data + str(answer.headers).encode()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("person", WITHOUT_CARE, ids=lambda person: person.role)
def test_no_page_export_or_answer_shows_a_clinical_word_to_who_gives_no_care(
    application: Application, story: Story, sign_in: SignIn, person: cast.Person, language: str
) -> None:
    opened, found = 0, []
    for rule, path, content in seen_by(application, story, sign_in(person), language):
        opened += b"<h1" in content or rule.endpoint.endswith(("export", "read_round"))
        secret = story.drugs + [text for text in story.secret if rule.endpoint not in TYPED or "-к" not in text]
        found += [f"{path}: {text}" for text in secret if text.encode() in content]
        if rule.endpoint not in NAMES_A_COMPLAINT:
            found += [f"{path}: {text}" for text in values_of(language) if text.encode() in content]

    assert opened >= 2, "the person really sees pages"
    assert found == []


def values_of(language: str) -> list[str]:
    """Return how the values of the visit would stand on a page."""
    return [f"{SYSTOLIC}/{DIASTOLIC}", f"{SYSTOLIC} / {DIASTOLIC}", str(GLUCOSE), str(GLUCOSE).replace(".", ",")]


def test_the_doctor_and_the_patient_do_read_what_the_others_may_not(
    application: Application, story: Story, sign_in: SignIn
) -> None:
    """The premise: the same look finds each of the strings where it belongs."""
    seen = b"".join(
        content
        for language in LANGUAGES
        for _rule, _path, content in seen_by(application, story, sign_in(cast.VERA), language)
    )

    assert [text for text in story.secret + values_of("ru")[:1] if text.encode() not in seen] == []
    assert medicines()[DRUG].inn["ru"].encode() in seen


def test_no_socket_word_tells_anything_clinical(story: Story, sockets: dict[str, Any]) -> None:
    heard = {login: str(socket.get_received()) for login, socket in sockets.items()}

    assert "visit:changed" in heard["anna"]
    assert [
        f"{login}: {text}"
        for login, words in heard.items()
        for text in [*story.secret, *story.drugs, REASON, str(SYSTOLIC), str(GLUCOSE)]
        if text in words
    ] == []


def test_the_pharmacist_reads_what_to_pack_and_nothing_else(
    application: Application, story: Story, sign_in: SignIn
) -> None:
    directions = "по 1 таблетке утром-к4н8"
    for language in LANGUAGES:
        for _rule, path, content in seen_by(application, story, sign_in(cast.DINA), language):
            found = [text for text in story.secret if text != directions and text.encode() in content]
            assert found == [], path


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_clerk_sees_of_the_birth_date_the_year_alone(
    application: Application, story: Story, sign_in: SignIn, language: str
) -> None:
    born, found = cast.MARIA.birth_date, []
    ways = {born.isoformat(), f"{born:%d.%m.%Y}", f"{born:%m/%d/%Y}", f"{born:%d/%m/%Y}"}
    for _rule, path, content in seen_by(application, story, sign_in(cast.ANNA), language):
        found += [f"{path}: {text}" for text in ways if text.encode() in content]

    assert found == []
