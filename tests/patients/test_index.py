"""Indexing everybody anew: in portions, resumable, audited; old and new stand side by side; nobody is merged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from uuid import UUID

from flask.testing import FlaskClient
from sqlalchemy import delete, select

from telemed.access import admin_tasks
from telemed.access.models import AuditRow
from telemed.bootstrap import Application
from telemed.crypto.keys import SubjectKey
from telemed.patients import service, service_index
from telemed.patients.models import Patient, PeopleIndex
from telemed.services import Services
from tests import cast
from tests.page import words_of
from tests.patients.test_register import NEW

BORN = date(1950, 5, 1)


def as_before(services: Services, count: int) -> list[UUID]:
    """Register people and leave them indexed as the release before left them."""
    letters = "абвгдежзи"
    people = [
        service.register_patient(services, cast.ANNA.who, replace(NEW, given_name="Нин" + letters[n % 9] * (n // 9 + 1)))
        for n in range(count)
    ]
    with services.db.write() as tx:
        for row in tx.scalars(select(Patient)):
            row.name_index = None
    return people


def run(application: Application) -> None:
    """Let the jobs of the start run to their end."""
    application.worker.plan_recurring()
    while application.worker.run_due():
        pass


def test_everybody_is_indexed_in_portions_and_each_has_an_audit_row(application: Application) -> None:
    services = application.services
    people = as_before(services, 3 * service_index.AT_ONCE)

    run(application)

    progress = service_index.progress(services)
    assert (progress.done, progress.erased, progress.damaged) == (len(people) + len(cast.VILLAGERS), 0, 0)
    assert progress.is_over
    with services.db.read() as tx:
        assert tx.scalars(select(Patient.id).where(Patient.name_index.is_(None))).all() == []
        rows = tx.scalars(select(AuditRow).where(AuditRow.action == "patient.index")).all()
    assert {row.subject["patient_id"] for row in rows} == {str(one) for one in (*people, *(v.id for v in cast.VILLAGERS))}
    assert len(rows) == progress.seen
    assert admin_tasks.check_audit(services)[0] == []


def test_who_is_not_reached_yet_is_found_under_the_old_index(services: Services) -> None:
    as_before(services, 1)

    found = service.find_people(services, cast.ANNA.who, name="Ёлкина Мария Петровна", born=cast.MARIA.birth_date)

    assert [one.id for one in found] == [cast.MARIA.id]


def test_a_killed_run_goes_on_where_it_was(application: Application) -> None:
    services = application.services
    as_before(services, 2 * service_index.AT_ONCE)
    with services.db.write() as tx:
        service_index.index_more_people(services, tx)  # and here the process is killed: its next job never runs
    half = service_index.progress(services)
    assert (half.seen, half.is_over) == (service_index.AT_ONCE, False)

    run(application)

    assert service_index.progress(services).is_over
    assert service_index.progress(services).seen == 2 * service_index.AT_ONCE + len(cast.VILLAGERS)


def test_a_portion_that_was_done_is_not_done_again(services: Services) -> None:
    as_before(services, 3 * service_index.AT_ONCE)
    with services.db.write() as tx:
        service_index.index_more_people(services, tx)
        first = tx.get_one(PeopleIndex, service_index.FORM).cursor
        service_index.index_more_people(services, tx, first)
        service_index.index_more_people(services, tx, first)

    assert service_index.progress(services).seen == 2 * service_index.AT_ONCE


def test_erased_and_damaged_people_are_skipped_and_counted(application: Application) -> None:
    services = application.services
    people = as_before(services, 3)
    service.erase_patient(services, people[0])
    with services.db.write() as tx:
        row = tx.get_one(Patient, people[1])
        assert row.identity is not None
        row.identity = row.identity[:-1] + bytes([row.identity[-1] ^ 1])  # another byte than before, whatever it was

    run(application)

    progress = service_index.progress(services)
    assert (progress.done, progress.erased, progress.damaged) == (1 + len(cast.VILLAGERS), 1, 1)
    assert progress.is_over


def test_a_lost_key_is_counted_as_erased_and_stops_nobody(application: Application) -> None:
    services = application.services
    people = as_before(services, 2)
    with services.db.write() as tx:
        tx.execute(delete(SubjectKey).where(SubjectKey.subject_id == people[0]))

    run(application)

    assert service_index.progress(services).erased == 1


def test_the_search_says_how_far_it_is(sign_in: Callable[[cast.Person], FlaskClient], services: Services) -> None:
    as_before(services, 2 * service_index.AT_ONCE)
    with services.db.write() as tx:
        service_index.index_more_people(services, tx)

    page = sign_in(cast.ANNA).get("/patients")

    total = 2 * service_index.AT_ONCE + len(cast.VILLAGERS)
    assert f"{service_index.AT_ONCE} / {total}" in words_of(page.text)


def test_nobody_is_merged(application: Application) -> None:
    services = application.services
    first = service.register_patient(services, cast.ANNA.who, replace(NEW, given_name="Мар\u2019яна"))
    second = service.register_patient(services, cast.ANNA.who, replace(NEW, given_name="Мар'яна"), is_sure=True)
    with services.db.write() as tx:
        for row in tx.scalars(select(Patient)):
            row.name_index = None

    run(application)

    found = service.find_people(services, cast.ANNA.who, name="Серова Мар'яна", born=BORN)
    assert {one.id for one in found} == {first, second}
