"""The people whom an older commit registered are found under today's spelling; what it took wrongly can be recognised."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import select

from telemed import commands
from telemed.access import admin_tasks
from telemed.access.relations import Principal
from telemed.booking import service_slots
from telemed.bootstrap import Application
from telemed.branches.models import Region
from telemed.patients import service, service_index, service_mend
from telemed.patients.models import Patient
from telemed.patients.rules_birth import Birth
from tests.carried.folders import Carried, run_jobs

pytestmark = pytest.mark.db


def test_everybody_is_indexed_anew_but_who_was_erased(application: Application, carried: Carried) -> None:
    services = application.services
    run_jobs(application)

    progress = service_index.progress(services)
    assert (progress.is_over, progress.erased, progress.damaged) == (True, 1, 0)
    assert progress.seen == progress.total
    assert admin_tasks.check_audit(services)[0] == []
    for name in ("apostrophe",):
        patient_id = UUID(carried.facts["odd"][name])
        with services.db.read() as tx:
            row = tx.get_one(Patient, patient_id)
            identity = services.vault.open(tx, row, "identity")
        clerk = Principal(id=patient_id, role="clerk", branch_id=row.home_branch_id)
        typed = f"{identity['family_name']} {identity['given_name']}".replace("'", "\u02bc")
        found = service.find_people(services, clerk, name=typed, born=Birth.of(identity["birth_date"]))
        assert [one.id for one in found] == [patient_id]


def test_what_that_commit_took_wrongly_is_reported_and_can_be_mended(application: Application, carried: Carried) -> None:
    services, odd = application.services, carried.facts["odd"]
    run_jobs(application)

    lines = commands.run(services, "check", {})

    assert f"phone_wrong phone patient {odd['phone']}" in lines
    assert {f"number_wrong {field} patient {odd['zeros']}" for field in ("snils", "policy")} <= set(lines)
    assert any(line.startswith("same_person") and odd["twice_1"] in line and odd["twice_2"] in line for line in lines)
    assert any(line.startswith("shift_off_grid") for line in lines)
    with services.db.read() as tx:
        region = tx.scalars(select(Region.id)).one()
    coordinator = Principal(id=UUID(odd["phone"]), role="coordinator", region_id=region)
    service_mend.mend_phone(services, coordinator, UUID(odd["phone"]), "")
    for field in ("snils", "policy"):
        service_mend.mend_number(services, coordinator, UUID(odd["zeros"]), field, "")
    service_mend.judge_pair(services, coordinator, UUID(odd["twice_1"]), UUID(odd["twice_2"]), "same")
    for shift in service_slots.shifts_off_grid(services, coordinator):
        service_slots.mend_shift(services, coordinator, shift.id)
    assert commands.run(services, "check", {}) == []
