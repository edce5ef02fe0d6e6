"""The way of a red flag: it waits for nobody and nothing. The card comes at once, with what is so about the doctor; what
was typed is stored whole; what was said wrongly can be corrected, and both stay.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import unescape
from time import monotonic
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event

from telemed.access.accounts import IDLE
from telemed.bootstrap import Application
from telemed.checkup import rules, service, web
from telemed.consultation import service as consultation
from telemed.consultation import service_handover
from telemed.readings import service as readings
from telemed.services import Services
from tests import cast
from tests.checkup.test_station import typed
from tests.conftest import Clock
from tests.consultation.conftest import SECOND, second  # noqa: F401 - a fixture
from tests.make import Hands
from tests.readings.sender import Sender

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
RED = typed(**{"symptom-chest_pain": "yes"}, medicines="эналаприл 10 мг вечером по 1/2")
NOBODY_KNOWS = "Nobody has been told"


@pytest.fixture
def visit(services: Services) -> UUID:
    return service.open_visit(services, cast.ANNA.who, cast.MARIA.id, cast.OZERKI, "document")


@pytest.fixture
def anna(sign_in: SignIn) -> FlaskClient:
    return sign_in(cast.ANNA)


def told(page: str) -> str:
    """Return what the red card says about the doctor; fails without a card that can be read and dialled at once."""
    card = page.partition('class="alarm"')[2].partition("</section>")[0]
    assert "Call an ambulance now" in card
    assert {"tel:112", "tel:103"} <= set(re.findall(r'href="(tel:\d+)"', card))
    return unescape(re.sub(r"<[^>]+>", "", card.partition("data-told>")[2].partition("</p>")[0])).strip()


def send(anna: FlaskClient, visit: UUID, data: dict[str, str] = RED) -> str:
    """Post the questions and return the page that comes, within the time that a red card may take."""
    begun = monotonic()
    page = anna.post(f"/visits/{visit}/questions", data=data, follow_redirects=True).text
    assert monotonic() - begun < 5
    return page


def stored(services: Services, visit: UUID) -> dict[str, object]:
    return service.answers_of(services, cast.MARIA.who, visit)


# --- it waits for none of these -----------------------------------------------------------------------------------


def test_a_red_flag_is_stored_whole_however_wrong_the_rest_of_the_form_is(
    services: Services, anna: FlaskClient, visit: UUID, jobs: Callable[[], int]
) -> None:
    words = "утром и вечером\r\n" * 60 + "вечером по 1/2"
    assert len(words) > rules.TEXT_MAX
    data = {"symptom-chest_pain": "yes", "cuff": "gigantic", "fasting": "often", "medicines": words, "allergies": words}
    assert told(send(anna, visit, data)) == "The answers are stored. No doctor has been told yet."
    jobs()

    kept = stored(services, visit)
    assert (kept["medicines"], kept["allergies"]) == (words.replace("\r\n", "\n"),) * 2
    assert (kept["symptoms"], kept["cuff"]) == (["chest_pain"], "")
    assert consultation.queue(services, cast.VERA.who)[0].level == "RED"


def test_what_is_added_after_a_red_flag_is_stored_whole_too(services: Services, anna: FlaskClient, visit: UUID) -> None:
    send(anna, visit, {"symptom-chest_pain": "yes"})
    words = "ж" * (rules.TEXT_MAX + 1)

    assert anna.post(f"/visits/{visit}/complete", data={"medicines": words}).status_code == 302
    assert stored(services, visit)["medicines"] == words


@contextmanager
def held_write_lock(application: Application) -> Iterator[None]:
    """Another use case of this process holds the write lock and does not give it back."""
    begun, over = threading.Event(), threading.Event()

    def hold() -> None:
        with application.services.db.write():
            begun.set()
            over.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert begun.wait(5)
    try:
        yield
    finally:
        over.set()
        holder.join()


@contextmanager
def locked_database(application: Application) -> Iterator[None]:
    """Another process has begun to write into the file and does not end."""
    other = sqlite3.connect(application.services.db.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("begin immediate")
    try:
        yield
    finally:
        other.execute("rollback")
        other.close()


@contextmanager
def full_disk(application: Application) -> Iterator[None]:
    """The database cannot grow by a page."""
    engine = application.services.db.engine

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("pragma max_page_count=1")

    event.listen(engine, "connect", limit)
    engine.dispose()
    try:
        yield
    finally:
        event.remove(engine, "connect", limit)
        engine.dispose()


@contextmanager
def wrong_form(_application: Application) -> Iterator[None]:
    """Nothing holds the server up; the rest of the form is wrong (see HINDERED)."""
    yield


@contextmanager
def kept_case(application: Application) -> Iterator[None]:
    """The case is at the doctors already, and kept for one who is away."""
    services = application.services
    (visit,) = service.visits_at(services, cast.ANNA.who, cast.OZERKI)
    service.answer_questions(services, cast.ANNA.who, visit.id, {"symptoms": [], "arm": "left", "cuff": "medium"})
    service.finish(services, cast.ANNA.who, visit.id)
    while application.worker.run_due():
        pass
    (case,) = consultation.queue(services, cast.VERA.who)
    consultation.take(services, cast.VERA.who, case.id)
    service_handover.hand_over(services, cast.VERA.who, case.id, SECOND.id, "жду анализ")
    yield


HINDERED = RED | {"cuff": "gigantic", "fasting": "often", "question": "ж" * 40_000}


@pytest.mark.parametrize("hindrance", [wrong_form, locked_database, kept_case, held_write_lock, full_disk])
def test_the_whole_way_of_a_red_flag_waits_for_nothing(
    application: Application, services: Services, anna: FlaskClient, visit: UUID, jobs: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch, hindrance: Callable[[Application], object], second: object,  # noqa: F811
) -> None:  # fmt: skip
    """From the yes to a doctor: the card at once whatever holds up the rest, and once nothing does, the page's next try
    brings every word and the case before all others.
    """
    monkeypatch.setattr(web, "RED_WAIT_S", 0.3)
    with hindrance(application):  # type: ignore[attr-defined]
        first = told(send(anna, visit, HINDERED))
        is_held_up = hindrance in (locked_database, held_write_lock, full_disk)
        assert first.startswith(NOBODY_KNOWS) == is_held_up
    again = told(send(anna, visit, HINDERED))
    jobs()
    (case,) = consultation.queue(services, cast.VERA.who)
    consultation.take(services, cast.VERA.who, case.id)

    assert not again.startswith(NOBODY_KNOWS)
    assert (case.level, case.is_kept, case.needs_a_doctor_now) == ("RED", False, True)
    assert {name: stored(services, visit)[name] for name in ("medicines", "question")} == {
        "medicines": RED["medicines"], "question": HINDERED["question"],
    }  # fmt: skip
    assert told(anna.get(f"/visits/{visit}/emergency").text) == f"{cast.VERA.name} has the case."


@pytest.mark.parametrize("hindrance", [held_write_lock, locked_database, full_disk])
@pytest.mark.parametrize("idle_min", [0, 5], ids=["a fresh session", "a session that would be noted as in use"])
def test_the_card_comes_from_the_form_alone_when_nothing_can_be_stored(
    application: Application, anna: FlaskClient, visit: UUID, clock: Clock, monkeypatch: pytest.MonkeyPatch,
    hindrance: Callable[[Application], object], idle_min: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(web, "RED_WAIT_S", 0.3)
    clock.forward(minutes=idle_min)
    with hindrance(application):  # type: ignore[attr-defined]
        page = send(anna, visit, RED | {"question": "ж" * 40_000})  # more than fits into the pages that are there
        look_again = anna.get(f"/visits/{visit}/emergency").text

    assert told(page).startswith(NOBODY_KNOWS)
    assert "Call 103." in told(page)
    assert "No doctor has been told yet" in told(look_again)


def test_what_was_held_up_is_stored_as_soon_as_it_can_be(
    application: Application, services: Services, anna: FlaskClient, visit: UUID, jobs: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(web, "RED_WAIT_S", 0.1)
    with held_write_lock(application):
        assert "still being stored" in told(send(anna, visit))
    for thread in threading.enumerate():
        if thread.name.endswith("(run)"):
            thread.join(10)
    jobs()

    assert stored(services, visit)["medicines"] == RED["medicines"]
    assert told(anna.get(f"/visits/{visit}/emergency").text).startswith("The case is in the doctors' queue.")


def test_a_session_that_has_ended_holds_no_card_up(anna: FlaskClient, visit: UUID, clock: Clock) -> None:
    clock.forward(seconds=IDLE.total_seconds() + 60)
    answer = anna.post(f"/visits/{visit}/questions", data=RED)

    assert answer.status_code == 401
    assert told(answer.text).startswith(NOBODY_KNOWS)


def test_a_form_token_that_is_too_old_holds_no_card_up(
    application: Application, anna: FlaskClient, visit: UUID
) -> None:
    application.app.config["WTF_CSRF_ENABLED"] = True
    answer = anna.post(f"/visits/{visit}/questions", data=RED | {"csrf_token": "old"})

    assert answer.status_code == 400
    assert told(answer.text).startswith(NOBODY_KNOWS)


def test_a_visit_that_was_closed_in_another_window_holds_no_card_up(
    services: Services, anna: FlaskClient, visit: UUID
) -> None:
    service.close_visit(services, cast.ANNA.who, visit)

    assert told(send(anna, visit)).startswith(NOBODY_KNOWS)


def test_without_a_red_flag_an_error_is_the_usual_page(application: Application, anna: FlaskClient, visit: UUID) -> None:
    with full_disk(application):
        page = send(anna, visit, typed())

    assert "class=\"alarm\"" not in page


def test_a_kept_case_is_kept_from_nobody_once_it_is_red(
    services: Services, anna: FlaskClient, visit: UUID, jobs: Callable[[], int], sign_in: SignIn,
    second: object,  # noqa: F811
) -> None:  # fmt: skip
    send(anna, visit, typed())
    service.finish(services, cast.ANNA.who, visit)
    jobs()
    (case,) = consultation.queue(services, cast.VERA.who)
    consultation.take(services, cast.VERA.who, case.id)
    service_handover.hand_over(services, cast.VERA.who, case.id, SECOND.id, "жду анализ")
    assert consultation.queue(services, cast.VERA.who)[0].is_kept
    anna.post(f"/visits/{visit}/correct", data={"symptom-chest_pain": "yes"})
    jobs()

    first = consultation.queue(services, cast.VERA.who)[0]
    assert (first.level, first.is_kept) == ("RED", False)
    assert "data-elsewhere" not in sign_in(cast.VERA).get("/doctor/queue").text
    consultation.take(services, cast.VERA.who, case.id)
    assert told(anna.get(f"/visits/{visit}/emergency").text) == f"{cast.VERA.name} has the case."


# --- what the card says is so -------------------------------------------------------------------------------------


def test_the_card_says_what_is_so_about_the_doctor(
    services: Services, anna: FlaskClient, visit: UUID, jobs: Callable[[], int]
) -> None:
    said = [told(send(anna, visit))]
    jobs()
    look = f"/visits/{visit}/emergency"
    said.append(told(anna.get(look).text))
    (case,) = consultation.queue(services, cast.VERA.who)
    consultation.take(services, cast.VERA.who, case.id)
    said += [told(anna.get(look).text), told(anna.get(f"/counter/visits/{visit}").text)]
    consultation.end(services, cast.VERA.who, case.id, "not_reached")
    said.append(told(anna.get(look).text))

    assert said == [
        "The answers are stored. No doctor has been told yet.",
        "The case is in the doctors' queue. No doctor has taken it yet.",
        f"{cast.VERA.name} has the case.",
        f"{cast.VERA.name} has the case.",
        "No doctor has this case any more.",
    ]


def test_under_the_red_card_the_doctor_comes_before_the_measuring(
    services: Services, anna: FlaskClient, visit: UUID, jobs: Callable[[], int]
) -> None:
    send(anna, visit)
    jobs()
    page = anna.get(f"/counter/visits/{visit}").text
    places = [page.index(part) for part in ("tel:112", "tel:103", "data-to-call", "data-call-start", 'class="measure"')]

    assert places == sorted(places)


def test_before_the_case_is_queued_the_card_itself_calls_the_doctor(
    services: Services, anna: FlaskClient, visit: UUID, jobs: Callable[[], int]
) -> None:
    page = send(anna, visit)
    assert f'action="/visits/{visit}/finish"' in page.partition('class="alarm"')[2].partition("</section>")[0]
    anna.post(f"/visits/{visit}/finish", data={"despite": "cannot_wait"})
    jobs()

    assert consultation.queue(services, cast.VERA.who)[0].cannot_wait


# --- at once, and corrected ---------------------------------------------------------------------------------------


def test_each_red_flag_has_its_own_button_that_sends_without_scripts(anna: FlaskClient, visit: UUID) -> None:
    page = anna.get(f"/visits/{visit}/questions").text

    assert page.count("data-at-once") == len(rules.RED_FLAGS)
    for code in rules.RED_FLAGS:
        part = page.partition(f'id="symptom-{code}"')[2]
        assert part.index("data-at-once") < part.index("<fieldset")


def test_a_yes_that_was_wrong_is_taken_back_and_the_doctor_sees_both(
    services: Services, hands: Hands, anna: FlaskClient, visit: UUID, jobs: Callable[[], int], sign_in: SignIn
) -> None:
    send(anna, visit)
    jobs()
    (case,) = consultation.queue(services, cast.VERA.who)
    assert f'href="/visits/{visit}/correct"' in anna.get(f"/counter/visits/{visit}").text
    answer = anna.post(f"/visits/{visit}/correct", data={"symptom-chest_pain": "no", "medicines": "амлодипин 5 мг"})
    jobs()
    consultation.take(services, cast.VERA.who, case.id)
    vera, both = sign_in(cast.VERA), []
    for path in (f"/doctor/cases/{case.id}", f"/doctor/cases/{case.id}/answers"):
        both.append(vera.get(path).text.partition("data-taken-back")[2].partition("</ul>")[0])
    shown = both[0]
    assert shown == both[1], "the page that is open hears of the correction and fetches it"

    assert answer.location.endswith(f"/counter/visits/{visit}")
    assert (stored(services, visit)["symptoms"], stored(services, visit)["medicines"]) == ([], "амлодипин 5 мг")
    assert "chest pain" in shown.lower()
    assert RED["medicines"] in shown
    with services.db.read() as tx:
        assert readings.triage_of(tx, visit) != "RED"


def test_a_correction_leaves_what_it_does_not_name_and_shows_nothing_of_it(
    services: Services, anna: FlaskClient, visit: UUID
) -> None:
    send(anna, visit, typed(**{"symptom-dizziness": "yes"}, medicines="лозартан", question="можно ли в баню"))
    before = stored(services, visit)
    page = anna.get(f"/visits/{visit}/correct").text
    anna.post(f"/visits/{visit}/correct", data={"symptom-headache": "yes", "arm": "right"})
    after = stored(services, visit)

    assert "лозартан" not in page
    assert "checked" in page.partition('id="symptom-dizziness"')[2].partition("As before")[0], "chosen: as before"
    assert set(after["symptoms"]) == {"headache", "dizziness"}
    assert {name: after[name] for name in ("medicines", "question", "fasting", "cuff")} == {
        name: before[name] for name in ("medicines", "question", "fasting", "cuff")
    }
    assert [{name: old[name] for name in old if name != "at"} for old in after["earlier"]] == [{"arm": "left"}]


def test_a_red_flag_said_later_leads_to_the_card_also_while_the_doctors_have_the_case(
    services: Services, anna: FlaskClient, visit: UUID, jobs: Callable[[], int]
) -> None:
    send(anna, visit, typed())
    service.finish(services, cast.ANNA.who, visit)
    jobs()
    answer = anna.post(f"/visits/{visit}/correct", data={"symptom-fainting": "yes"})
    jobs()

    assert answer.location.endswith(f"/visits/{visit}/emergency")
    assert consultation.queue(services, cast.VERA.who)[0].level == "RED"


def test_the_same_form_sent_twice_takes_nothing_back(services: Services, anna: FlaskClient, visit: UUID) -> None:
    """The page sends as soon as the yes is chosen, again until it is stored, and whole at the end."""
    send(anna, visit, {"symptom-chest_pain": "yes"})
    send(anna, visit, {"symptom-chest_pain": "yes"})
    send(anna, visit, RED | {"symptom-headache": "yes"})

    assert "earlier" not in stored(services, visit)


def test_another_branchs_clerk_corrects_nothing(sign_in: SignIn, anna: FlaskClient, visit: UUID) -> None:
    send(anna, visit, typed())
    boris = sign_in(cast.BORIS)

    assert boris.get(f"/visits/{visit}/correct").status_code == 404
    assert boris.post(f"/visits/{visit}/correct", data={"symptom-headache": "yes"}).status_code == 404


def test_a_correction_before_the_questions_asks_for_them_first(anna: FlaskClient, visit: UUID) -> None:
    answer = anna.post(f"/visits/{visit}/correct", data={"symptom-headache": "yes"})

    assert answer.location.endswith(f"/counter/visits/{visit}")


def test_a_number_that_makes_a_visit_red_shows_the_same_card(
    application: Application, services: Services, anna: FlaskClient, visit: UUID, jobs: Callable[[], int]
) -> None:
    sender = Sender(application)
    send(anna, visit, typed())
    service.ask_measurement(services, cast.ANNA.who, visit, "glucose")
    sender.opened(visit)
    sender.reading(visit, **sender.glucose(2.4))
    sender.judged()
    assert told(anna.get(f"/counter/visits/{visit}").text) == "The answers are stored. No doctor has been told yet."
    jobs()

    assert told(anna.get(f"/counter/visits/{visit}").text).startswith("The case is in the doctors' queue.")
