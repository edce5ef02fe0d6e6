"""Prepared statements: the rows that the ordinary way gives, on either engine, without its cost."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import Select, bindparam, create_engine, select, text, update
from sqlalchemy.exc import InvalidRequestError

from telemed.access import audit
from telemed.access.models import Account
from telemed.access.relations import NOBODY, Subject
from telemed.branches.models import Region
from telemed.db import WriteInRead
from telemed.ids import new_id
from telemed.prepared import ask
from telemed.services import Services
from tests import cast

pytestmark = pytest.mark.db
people, regions = Account.__table__.c, Region.__table__.c
ASKED: list[tuple[Select[Any], dict[str, Any]]] = [
    (select(people.id, people.login, people.branch_id).where(people.id == bindparam("id")), {"id": cast.ANNA.id}),
    (select(people.login).where(people.id == bindparam("id")), {"id": new_id()}),
    (
        select(people.login, people.created_at)
        .where(people.id.in_(bindparam("ids", expanding=True))).order_by(people.login),
        {"ids": [cast.ANNA.id, cast.BORIS.id]},
    ),
    (select(people.login).where(people.id.in_(bindparam("ids", expanding=True))), {"ids": []}),
    (
        select(people.login).where(people.role.in_(["clerk", "doctor"]), people.branch_id == bindparam("branch"))
        .order_by(people.login).limit(2),
        {"branch": cast.OZERKI},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "values"), ASKED)
def test_the_rows_are_those_of_the_ordinary_way(
    db_services: Services, statement: Select[Any], values: dict[str, Any]
) -> None:
    with db_services.db.read() as tx:
        ordinary = [tuple(row) for row in tx.execute(statement, values)]
        in_session = [tuple(row) for row in ask(tx, statement, values)]
    with db_services.db.glance() as now:
        at_a_glance = [tuple(row) for row in ask(now, statement, values)]

    assert in_session == at_a_glance == ordinary


def test_times_are_asked_for_and_come_back_with_their_zone(db_services: Services) -> None:
    since = db_services.clock() - timedelta(days=10_000)
    statement = select(people.created_at).where(people.created_at > bindparam("since")).limit(1)

    with db_services.db.glance() as now:
        found = ask(now, statement, {"since": since}).scalar()

    assert found is not None
    assert found.utcoffset() == timedelta(0)


def test_one_statement_serves_lists_of_any_length(db_services: Services) -> None:
    statement = select(people.id).where(people.id.in_(bindparam("ids", expanding=True)))
    everybody = [cast.ANNA.id, cast.BORIS.id, cast.VERA.id]

    with db_services.db.glance() as now:
        found = [len(list(ask(now, statement, {"ids": everybody[:count]}))) for count in (3, 1, 2, 0, 3)]

    assert found == [3, 1, 2, 0, 3]


def test_a_row_that_was_just_added_is_found(db_services: Services) -> None:
    region_id = new_id()
    names = select(regions.name).where(regions.id == bindparam("id"))
    with db_services.db.write() as tx:
        tx.add(Region(id=region_id, name="Новый край", zone="Europe/Moscow", rx_by_post=False, rx_basis=""))

        assert ask(tx, names, {"id": region_id}).scalar() == "Новый край"


def test_a_change_commits_and_rolls_back_with_its_transaction(db_services: Services) -> None:
    rename = update(Region.__table__).where(regions.id == bindparam("region")).values(name=bindparam("to"))
    name = select(regions.name).where(regions.id == bindparam("id"))

    with db_services.db.write() as tx:
        ask(tx, rename, {"region": cast.LAKE, "to": "Озёрный край"})
    with db_services.db.write() as tx:
        ask(tx, rename, {"region": cast.LAKE, "to": "Никакой край"})
        tx.rollback()

    with db_services.db.glance() as now:
        assert ask(now, name, {"id": cast.LAKE}).scalar() == "Озёрный край"


def test_rows_are_not_written_in_a_transaction_for_reads(db_services: Services) -> None:
    with pytest.raises(WriteInRead), db_services.db.read() as tx:
        audit.record(tx, db_services.clock(), NOBODY, "patient.read", Subject(), allowed=True, reason="allowed")


@pytest.mark.parametrize("db_settings", ["postgresql"], indirect=True)
def test_one_look_fails_and_the_next_succeeds_after_the_database_has_restarted(db_services: Services) -> None:
    name, values = select(regions.name).where(regions.id == bindparam("id")), {"id": cast.LAKE}
    with ExitStack() as stack:
        glances = [stack.enter_context(db_services.db.glance()) for _ in range(5)]
        found = {ask(now, name, values).scalar() for now in glances}  # five connections to keep
    with create_engine(db_services.db.engine.url, isolation_level="AUTOCOMMIT").connect() as other:
        other.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                 " AND datname = current_database()")
        )  # fmt: skip

    with pytest.raises(psycopg.OperationalError), db_services.db.glance() as now:
        ask(now, name, values)

    for _ in range(5):
        with db_services.db.glance() as now:
            assert {ask(now, name, values).scalar()} == found


def test_a_glance_gives_its_connection_back(db_services: Services) -> None:
    name = select(regions.name).where(regions.id == bindparam("id"))
    for _ in range(100):  # more than the pool has
        with pytest.raises(InvalidRequestError), db_services.db.glance() as now:
            ask(now, name, {"another": cast.LAKE})

    with db_services.db.write() as tx:
        tx.get_one(Region, cast.LAKE).name = "Другой край"
    with db_services.db.glance() as now:
        assert ask(now, name, {"id": cast.LAKE}).scalar() == "Другой край"
