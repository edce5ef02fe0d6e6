"""The people whom an older commit registered are found under today's spelling; what it took wrongly can be recognised."""

from __future__ import annotations

from uuid import UUID

import pytest

from telemed.access import admin_tasks
from telemed.access.relations import Principal
from telemed.bootstrap import Application
from telemed.patients import service, service_index
from telemed.patients.models import Patient
from telemed.patients.rules_birth import Birth
from tests.carried.folders import Carried

pytestmark = pytest.mark.db


def test_everybody_is_indexed_anew_but_who_was_erased(application: Application, carried: Carried) -> None:
    services = application.services
    application.worker.plan_recurring()
    while application.worker.run_due():
        pass

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
