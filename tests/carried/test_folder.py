"""What an older commit left behind opens whole with today's code: sealed rows, the trail and its heads, the backup."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from telemed import admin
from telemed.access import admin_tasks
from telemed.booking import service_reasons
from telemed.booking.models import Invitation
from telemed.booking.rules import REASONS
from telemed.bootstrap import Application, build_services
from telemed.crypto import ledger
from telemed.crypto.envelope import Unsealable
from telemed.db import Base, Reads
from telemed.outbox import job_counts
from telemed.patients.models import Patient
from telemed.services import Services
from tests.carried.folders import COMMITS, Carried, run_jobs, unpack

pytestmark = pytest.mark.db
SHREDDED = ("identity", "contact")  # what the erasure of a patient makes unreadable


def sealed_models() -> list[Any]:
    return [mapper.class_ for mapper in Base.registry.mappers if getattr(mapper.class_, "__sealed__", None)]


def opened(services: Services, erased: set[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return every sealed section of every row: table -> row -> section -> document. Raises Unsealable."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    with services.db.read() as tx:
        for model in sealed_models():
            for row in tx.scalars(select(model)):
                for section in model.__sealed__:
                    if getattr(row, section) is None or (section in SHREDDED and str(row.id) in erased):
                        continue
                    place = found.setdefault(model.__tablename__, {}).setdefault(str(row.id), {})
                    place[section] = services.vault.open(tx, row, section)
    return found


def can_be_opened(services: Services, tx: Reads, patient: Patient) -> list[str]:
    """Return which of a patient's sections still say something."""
    readable = []
    for section in SHREDDED:
        with suppress(Unsealable):
            readable += [section] if services.vault.open(tx, patient, section) else []
    return readable


def assert_kept(before: dict[str, Any], now: dict[str, Any], where: str = "") -> None:
    """Check that nothing of a document is gone; a newer commit may have added to it."""
    for name, value in before.items():
        assert name in now, f"{where}/{name} is gone"
        if isinstance(value, dict):
            assert_kept(value, now[name], f"{where}/{name}")
        else:
            assert now[name] == value, f"{where}/{name} reads otherwise"


def test_every_sealed_section_of_every_row_opens_and_says_what_it_said(carried: Carried) -> None:
    services = build_services(carried.settings)
    found = opened(services, {carried.facts["erased"]})
    services.db.close()

    assert len(carried.facts["opened"]) >= 12
    assert_kept(carried.facts["opened"], found)


def test_the_erased_patient_stays_erased(carried: Carried) -> None:
    services = build_services(carried.settings)
    with services.db.read() as tx:
        patient = tx.get_one(Patient, UUID(carried.facts["erased"]))
        readable = can_be_opened(services, tx, patient)
    services.db.close()

    assert readable == []


def test_the_audit_trail_and_its_signed_heads_hold(carried: Carried, capsys: pytest.CaptureFixture[str]) -> None:
    services = build_services(carried.settings)
    wrong, rows = admin_tasks.check_audit(services)
    services.db.close()

    assert wrong == []
    assert rows >= int(carried.facts["audit"].split()[0])
    assert (carried.settings.server_dir / "audit-heads.jsonl").stat().st_size > 0
    assert admin.verify_audit(carried.settings) == 0
    assert "the chain is whole" in capsys.readouterr().out


def test_every_parcel_is_still_an_unbroken_chain(carried: Carried) -> None:
    assert admin.check_custody(carried.settings) == 0


def test_what_was_due_runs_to_its_end(application: Application) -> None:
    run_jobs(application)

    with application.services.db.read() as tx:
        assert job_counts(tx).get("failed", 0) == 0
    assert admin_tasks.check_audit(application.services)[0] == []


def test_the_reasons_that_lay_in_the_clear_are_sealed_at_the_start(application: Application) -> None:
    services = application.services
    with services.db.read() as tx:
        plain = service_reasons.count_plain_reasons(tx)
    run_jobs(application)

    with services.db.read() as tx:
        sealed = [services.vault.open(tx, row, "clinical") for row in tx.scalars(select(Invitation)) if row.clinical]
        assert service_reasons.count_plain_reasons(tx) == 0
    assert plain > 0
    assert len(sealed) == plain
    assert {document["reason"] for document in sealed} <= set(REASONS)


@pytest.mark.parametrize("commit", COMMITS)
def test_the_backup_comes_back_whole_and_nobody_who_was_erased_does(commit: str, tmp_path: Path) -> None:
    left = unpack(commit, "sqlite", tmp_path / "left")
    there = replace(
        left.settings, data_dir=tmp_path / "new", database_url=f"sqlite:///{tmp_path}/new/server/telemed.db"
    )
    there.server_dir.mkdir(parents=True)
    (left.settings.server_dir / "keys").rename(there.server_dir / "keys")
    restore_older(there, left)
    services = build_services(there)
    found = opened(services, {left.facts["erased"]})
    wrong, _rows = admin_tasks.check_audit(services)
    with services.db.read() as tx:
        shredded = tx.get_one(Patient, UUID(left.facts["erased"]))
        assert can_be_opened(services, tx, shredded) == []
    services.db.close()

    for table, rows in left.facts["backed_up"].items():
        missing = set(rows) - set(found.get(table, {})) - {left.facts["erased"]}
        assert not missing, table
    assert_kept(left.facts["opened"], found)
    assert wrong == []


def restore_older(there: Any, left: Carried) -> None:
    """Restore with the erasures known since, then migrate."""
    admin.restore(there, left.folder / "backup", left.settings.server_dir / ledger.NAME)
    admin.migrate(there)
