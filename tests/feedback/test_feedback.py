"""Ratings: once, and nobody's. Complaints: with a person who answers, a due date, and nobody else's eyes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import inspect, select, update

from telemed.access.models import Account, AuditRow
from telemed.bootstrap import Application
from telemed.consultation.events import ConsultationEnded
from telemed.errors import Conflict, Forbidden, Invalid, NotFound
from telemed.feedback import rules, service
from telemed.feedback.models import Complaint, Rating, RatingToken
from telemed.ids import new_id
from telemed.outbox import Job
from telemed.services import Services
from tests import cast
from tests.conftest import Clock

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
Rate = Callable[..., None]


def offer(services: Services, villager: cast.Villager = cast.MARIA, kind: str = "visit") -> str:
    """Give a villager the right to rate and return its token."""
    with services.db.write() as tx:
        service.offer(services, tx, kind, new_id(), villager.id, villager.branch_id)
    return service.tickets_of_patient(services, villager.who)[0].token


def ratings(services: Services) -> list[Rating]:
    with services.db.read() as tx:
        return list(tx.scalars(select(Rating)))


# --- rating -------------------------------------------------------------------------------------------------------


def test_after_a_consultation_and_a_parcel_the_patient_is_asked_once_each(
    services: Services, jobs: Callable[[], int]
) -> None:
    visit, parcel, now = new_id(), new_id(), services.clock()
    ended = ConsultationEnded(new_id(), visit, cast.MARIA.id, cast.OZERKI, cast.LAKE, "treated", now)
    for _ in range(2):
        with services.db.write() as tx:
            services.publish(tx, ended)
        jobs()
    with services.db.write() as tx:
        service.offer(services, tx, "parcel", parcel, cast.MARIA.id, cast.OZERKI)

    assert sorted(ticket.kind for ticket in service.tickets_of_patient(services, cast.MARIA.who)) == ["parcel", "visit"]
    assert service.tickets_of_patient(services, cast.IVAN.who) == []


def test_a_token_rates_once(services: Services) -> None:
    token = offer(services)
    service.rate(services, token, 4, "partly", " спасибо ")
    with pytest.raises(NotFound) as refused:
        service.rate(services, token, 5, None, "")

    assert refused.value.code == "rating_token_over"
    [rating] = ratings(services)
    with services.db.read() as tx:
        assert services.vault.open(tx, rating, "words") == {"text": "спасибо"}
    assert (rating.score, rating.helped, rating.branch_id) == (4, "partly", cast.OZERKI)
    assert service.tickets_of_patient(services, cast.MARIA.who) == []


def test_a_token_ends_after_its_life_and_an_unknown_one_is_not_called_ended(services: Services, clock: Clock) -> None:
    token = offer(services)
    clock.now += rules.TOKEN_LIFE
    codes = {token: "rating_token_over", **dict.fromkeys(("0" * 32, "", "x" * 5000), "rating_token_unknown")}
    for text, code in codes.items():
        with pytest.raises(NotFound) as refused:
            service.rate(services, text, 5, None, "")
        assert refused.value.code == code


def test_no_column_and_no_row_leads_from_a_rating_to_the_patient(
    services: Services, clock: Clock, jobs: Callable[[], int]
) -> None:
    tokens = {villager.id: offer(services, villager) for villager in (cast.MARIA, cast.IVAN)}
    clock.forward(minutes=17)
    moment = clock()
    service.rate(services, tokens[cast.IVAN.id], 1, "no", "плохо")
    jobs()
    with services.db.read() as tx:
        [rating] = tx.scalars(select(Rating))
        used = tx.scalars(select(RatingToken).where(RatingToken.used_at.is_not(None))).one()
        given = tx.scalars(select(AuditRow).where(AuditRow.action == "rating.give")).one()
        job_times = {job.created_at for job in tx.scalars(select(Job).where(Job.kind.like("RatingGiven%")))}

    values = {str(getattr(rating, column.key)) for column in inspect(Rating).column_attrs}
    secrets = {str(cast.IVAN.id), str(used.id), str(used.about_id), used.token_hash.hex(), tokens[cast.IVAN.id]}
    assert not values & secrets
    assert (given.actor_id, given.subject) == (None, {})
    # Neither does the moment: the patient's ticket does not say when it was used.
    assert moment not in {getattr(used, column.key) for column in inspect(RatingToken).column_attrs}
    assert job_times == {moment}
    assert rating.day == date(2026, 11, 23)


@pytest.mark.parametrize(
    ("score", "helped", "words", "fields"),
    [
        (None, None, "", {"score": "required"}),
        (0, None, "", {"score": "required"}),
        (6, "maybe", "x" * 1001, {"score": "required", "helped": "invalid", "words": "too_long"}),
    ],
)
def test_a_wrong_rating_keeps_its_token(
    services: Services, score: int | None, helped: str | None, words: str, fields: dict[str, str]
) -> None:
    token = offer(services)
    with pytest.raises(Invalid) as refused:
        service.rate(services, token, score, helped, words)

    assert refused.value.fields == fields
    service.rate(services, token, 5, None, "")


def test_the_coordinator_sees_means_of_her_region_without_small_groups(services: Services) -> None:
    for score in (5, 4, 3):
        service.rate(services, offer(services), score, "yes", "")
    service.rate(services, offer(services, cast.PELAGEYA), 1, "no", "")

    seen = service.ratings_summary(services, cast.GALINA.who, at_least=1)
    assert [(row.place, row.count, row.mean, row.helped) for row in seen] == [
        ("Озерки", 3, 4.0, 3),
        ("Сосново", 1, 1.0, 0),
    ]
    assert [row.count for row in service.ratings_summary(services, cast.GALINA.who, at_least=2)] == [3]
    assert service.ratings_summary(services, cast.KIRA.who, at_least=1) == []
    with pytest.raises(Forbidden):
        service.ratings_summary(services, cast.ANNA.who, at_least=1)


def test_rating_over_the_page(application: Application, services: Services) -> None:
    nobody, token = application.app.test_client(), offer(services)
    assert nobody.get("/rate").status_code == 200
    assert nobody.post("/rate", data={"token": token, "score": "5", "helped": "yes"}).status_code == 200
    assert nobody.post("/rate", data={"token": token, "score": "5"}).status_code == 404
    assert len(ratings(services)) == 1


@pytest.mark.parametrize(
    "data", [{}, {"score": "x"}, {"score": "7"}, {"score": "5", "helped": "maybe"}, {"score": "5", "words": "x" * 1001}]
)  # fmt: skip
def test_a_bad_rating_comes_back_in_the_readers_words(
    application: Application, services: Services, data: dict[str, str]
) -> None:
    client = application.app.test_client()
    client.set_cookie("lang", "ru")
    response = client.post("/rate", data={"token": offer(services), **data})

    assert response.status_code == 422
    assert "error-summary" in response.text
    assert "valid" not in response.text.split("error-summary")[1].split("</ul>")[0].lower()
    assert ratings(services) == []


# --- complaints ---------------------------------------------------------------------------------------------------


def complain(services: Services, **more: Any) -> str:
    return service.file_complaint(services, cast.MARIA.who, cast.MARIA.id, "waiting", "Ждала три часа", **more)


def test_a_complaint_has_a_number_a_person_and_a_due_date(services: Services) -> None:
    number = complain(services)
    [seen] = service.complaints(services, cast.GALINA.who)

    assert number == "202611-0001"
    assert (seen.number, seen.responsible, seen.due_on) == (number, cast.GALINA.name, date(2026, 12, 23))
    assert (seen.state, seen.is_late, seen.is_mine, seen.text) == ("open", False, True, "Ждала три часа")
    assert complain(services) == "202611-0002"


def test_the_coordinator_with_the_fewest_open_complaints_answers(services: Services) -> None:
    other = new_id()
    with services.db.write() as tx:
        account = Account(
            id=other, login="zoya", role="coordinator", display_name="Зоя", password_hash="-",
            region_id=cast.LAKE, language="ru", created_at=services.clock(),
        )  # fmt: skip
        tx.add(account)
    for _ in range(3):
        complain(services)
    with services.db.read() as tx:
        given = [row.responsible_id for row in tx.scalars(select(Complaint).order_by(Complaint.number))]

    assert given == [cast.GALINA.id, other, cast.GALINA.id]


def test_without_a_responsible_person_nothing_is_promised(services: Services) -> None:
    with services.db.write() as tx:
        tx.execute(update(Account).where(Account.role == "coordinator").values(disabled_at=services.clock()))
    with pytest.raises(Conflict) as refused:
        complain(services)

    assert refused.value.code == "nobody_responsible"


def test_late_is_the_day_after_the_due_date_in_the_branchs_zone(services: Services, clock: Clock) -> None:
    complain(services)
    late = []
    for days in (30, 1):
        clock.forward(days=days)
        late.append(service.complaints(services, cast.GALINA.who)[0].is_late)

    assert late == [False, True]


def test_only_the_region_reads_and_answers(services: Services) -> None:
    complain(services)
    complaint = service.complaints(services, cast.GALINA.who)[0]
    assert service.complaints(services, cast.KIRA.who) == []
    with pytest.raises(NotFound):
        service.answer_complaint(services, cast.KIRA.who, complaint.id, "Нет")
    with pytest.raises(Forbidden):
        service.complaints(services, cast.ANNA.who)
    with pytest.raises(NotFound):
        service.answer_complaint(services, cast.GALINA.who, new_id(), "Да")

    service.answer_complaint(services, cast.GALINA.who, complaint.id, "Просим прощения")
    [own] = service.complaints_of_patient(services, cast.MARIA.who)
    assert (own.state, own.reply) == ("answered", "Просим прощения")
    assert service.complaints_of_patient(services, cast.IVAN.who) == []
    with pytest.raises(Conflict):
        service.answer_complaint(services, cast.GALINA.who, complaint.id, "Ещё раз")


def test_who_may_complain_for_whom(services: Services) -> None:
    assert service.file_complaint(services, cast.ANNA.who, cast.MARIA.id, "other", "со слов")
    for who in (cast.BORIS.who, cast.IVAN.who, replace(cast.ANNA.who, branch_id=cast.RECHNOYE)):
        with pytest.raises(NotFound):
            service.file_complaint(services, who, cast.MARIA.id, "other", "!")
    with pytest.raises(Forbidden):
        service.file_complaint(services, cast.VERA.who, cast.MARIA.id, "other", "!")
    with pytest.raises(NotFound):
        service.file_complaint(services, cast.ANNA.who, new_id(), "other", "!")


def test_the_words_of_a_complaint_are_sealed(services: Services) -> None:
    complain(services)
    with services.db.read() as tx:
        row = tx.scalars(select(Complaint)).one()
        assert row.words is not None
        assert "часа".encode() not in row.words


def test_complaining_over_the_page(sign_in: SignIn, services: Services) -> None:
    maria, once = sign_in(cast.MARIA), str(new_id())
    assert maria.get("/complaints/new").status_code == 200
    sent = {"category": "device", "text": "жмёт", "complaint_id": once}
    pages = [maria.post("/complaints/new", data=sent) for _ in range(2)]

    assert [page.status_code for page in pages] == [200, 200]
    assert all("202611-0001" in page.text for page in pages)
    assert len(service.complaints_of_patient(services, cast.MARIA.who)) == 1


@pytest.mark.parametrize(
    "data", [{}, {"category": "joke", "text": "x"}, {"category": "other", "text": "  "}, {"category": "other"},
             {"category": "other", "text": "x" * 1001}]
)  # fmt: skip
def test_a_bad_complaint_comes_back(sign_in: SignIn, services: Services, data: dict[str, str]) -> None:
    response = sign_in(cast.MARIA).post("/complaints/new", data=data)

    assert response.status_code == 422
    assert "error-summary" in response.text
    assert service.complaints_of_patient(services, cast.MARIA.who) == []


def test_a_clerk_complains_from_the_patients_page(sign_in: SignIn) -> None:
    anna = sign_in(cast.ANNA)
    assert anna.get("/complaints/new").status_code == 302
    assert anna.get(f"/complaints/new?patient_id={cast.MARIA.id}").status_code == 200
    sent = {"category": "device", "text": "жмёт"}
    assert anna.post("/complaints/new", data={**sent, "patient_id": str(cast.MARIA.id)}).status_code == 200
    assert anna.post("/complaints/new", data={**sent, "patient_id": str(cast.PELAGEYA.id)}).status_code == 404
    assert anna.post("/complaints/new", data={**sent, "patient_id": "x"}).status_code == 404
    assert sign_in(cast.VERA).get("/complaints/new").status_code == 403


def test_answering_over_the_page(sign_in: SignIn, services: Services) -> None:
    galina = sign_in(cast.GALINA)
    assert "No complaints" in galina.get("/complaints").text
    complain(services)
    complaint = service.complaints(services, cast.GALINA.who)[0]
    path = f"/complaints/{complaint.id}/reply"
    assert "Ждала три часа" in galina.get("/complaints").text
    for text in ("", "x" * 1001):
        galina.post(path, data={"text": text})
    assert service.complaints(services, cast.GALINA.who)[0].state == "open"
    assert galina.post(path, data={"text": "Исправим"}).status_code == 302
    assert galina.post(path, data={"text": "Ещё"}).status_code == 409

    assert "Исправим" in galina.get("/complaints").text
    assert sign_in(cast.KIRA).post(path, data={"text": "!"}).status_code == 404
    assert sign_in(cast.ANNA).get("/complaints").status_code == 403
