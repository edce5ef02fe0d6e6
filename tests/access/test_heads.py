"""Signed heads outside the database find what a hash chain alone cannot: a cut end, a trail written anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, select

from telemed.access import admin_tasks, audit, heads
from telemed.access.models import AuditRow
from telemed.access.relations import Subject
from telemed.bootstrap import Application
from telemed.services import Services
from tests import cast
from tests.conftest import Clock


def write(services: Services, rows: int) -> None:
    with services.db.write() as tx:
        for _ in range(rows):
            audit.record(tx, services.clock(), cast.ANNA.who, "patient.find", Subject(), allowed=True, reason="allowed")


def found(services: Services, *copies: Path) -> list[str]:
    return [fault.code for fault in admin_tasks.check_audit(services, *copies)[0]]


@pytest.fixture
def signed(services: Services) -> Services:
    """A trail of 30 rows with heads at 10, 20 and 30."""
    for _ in range(3):
        write(services, 10)
        heads.sign_now(services)
    assert found(services) == []
    return services


def test_every_cut_of_the_end_is_found(signed: Services) -> None:
    for keep in range(30):
        with signed.db.write() as tx:
            tx.execute(delete(AuditRow).where(AuditRow.no > keep))
            assert audit.first_broken(tx) is None, "the chain itself is whole"
            told = list(heads.faults(signed, tx, heads.path_of(signed)))
            tx.rollback()
        assert [fault.code for fault in told] == ["audit_cut"] * (3 - keep // 10)


def test_a_trail_written_anew_is_found(signed: Services) -> None:
    with signed.db.write() as tx:
        previous = audit.ROOT
        for row in tx.scalars(select(AuditRow).order_by(AuditRow.no)):
            row.role = "nobody" if row.no == 15 else row.role
            row.previous = previous
            previous = row.hash = audit.row_hash(row)
        assert audit.first_broken(tx) is None

    assert found(signed) == ["audit_rewritten"] * 2


def test_a_head_that_somebody_else_wrote_is_found(signed: Services) -> None:
    path = heads.path_of(signed)
    lines = path.read_text().splitlines()
    edited = json.loads(lines[-1]) | {"rows": 29}
    path.write_text("\n".join([*lines[:-1], json.dumps(edited)]) + "\n")

    assert found(signed) == ["audit_head_foreign"]


@pytest.mark.parametrize("name", ["audit-heads.jsonl", "erased.jsonl"])
def test_a_damaged_file_is_named(signed: Services, name: str) -> None:
    (signed.settings.server_dir / name).write_bytes(b"\xff{}\n")

    (fault,) = admin_tasks.check_audit(signed)[0]

    assert (fault.code, fault.facts["file"]) == ("audit_file_damaged", name)


def test_the_auditor_reads_what_is_wrong_in_words_and_local_time(
    signed: Services, sign_in: Callable[[cast.Person], FlaskClient]
) -> None:
    with signed.db.write() as tx:
        tx.execute(delete(AuditRow).where(AuditRow.no > 25))

    page = sign_in(cast.TAMARA).get("/audit").text

    assert "its end was cut off" in page
    assert cast.NOON.strftime("%d.%m.%Y") in page
    assert "000Z" not in page


def test_a_copy_kept_elsewhere_finds_what_the_machines_own_file_hides(signed: Services, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(heads.path_of(signed).read_bytes())
    heads.path_of(signed).unlink()
    with signed.db.write() as tx:
        tx.execute(delete(AuditRow).where(AuditRow.no > 25))

    assert found(signed) == []
    assert found(signed, copy) == ["audit_cut"]


def test_a_line_that_a_kill_left_unfinished_does_no_harm(signed: Services) -> None:
    path = heads.path_of(signed)
    with path.open("a") as file:
        file.write('{"rows": 3')
    assert found(signed) == []

    write(signed, 1)
    heads.sign_now(signed)
    assert found(signed) == []
    assert len(path.read_text().splitlines()) == 4


def test_a_head_is_signed_every_hour_or_thousand_rows_and_not_without_news(
    application: Application, clock: Clock
) -> None:
    services, path = application.services, heads.path_of(application.services)

    def count_after(minutes: int, rows: int) -> int:
        clock.forward(minutes=minutes)
        if rows:
            write(services, rows)
        with services.db.write() as tx:
            heads.sign_when_due(services, tx)
        return len(path.read_text().splitlines())

    assert count_after(0, 1) == 1
    assert count_after(1, 999) == 1
    assert count_after(1, 1) == 2
    assert count_after(1, 1) == 2
    assert count_after(60, 0) == 3
    assert count_after(120, 0) == 3
