"""The demo region: made once, added to, never into a real deployment."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from telemed import demo
from telemed.access import audit
from telemed.access.accounts import sign_in
from telemed.access.models import Account
from telemed.admin import migrate
from telemed.booking.models import Invitation, Shift
from telemed.bootstrap import build_services
from telemed.branches.models import Branch, Meter
from telemed.clock import utc_now
from telemed.errors import StartRefused
from telemed.patients.models import Consent, Patient
from telemed.services import Services
from telemed.settings import Settings, from_environment


@pytest.fixture
def empty(tmp_path: Path) -> Settings:
    settings = from_environment({"TELEMED_DATA_DIR": str(tmp_path), "TELEMED_DEMO": "1"}, tmp_path)
    migrate(settings)
    return settings


def count(services: Services, table: type) -> int:
    with services.db.read() as tx:
        return tx.scalar(select(func.count()).select_from(table)) or 0


def test_the_default_region_is_made_in_five_seconds(empty: Settings) -> None:
    started_s = time.monotonic()
    demo.seed(empty)
    took_s = time.monotonic() - started_s
    services = build_services(empty)

    assert (count(services, Branch), count(services, Meter), count(services, Patient)) == (12, 24, 480)
    assert count(services, Consent) == 4 * 480
    assert count(services, Invitation) > 12
    assert took_s < 5


def test_a_second_run_changes_nothing_and_says_so(empty: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    demo.seed(empty, 2, 5)
    services = build_services(empty)
    before = {table: count(services, table) for table in (Branch, Patient, Account, Shift, Invitation)}
    demo.seed(empty, 2, 5)

    assert {table: count(services, table) for table in before} == before
    assert "there already" in capsys.readouterr().out


def test_a_larger_region_begins_with_the_smaller_one(empty: Settings) -> None:
    demo.seed(empty, 1, 3)
    demo.seed(empty, 3, 3)
    services = build_services(empty)

    assert (count(services, Branch), count(services, Patient)) == (3, 9)


def test_people_sign_in_with_the_known_password_and_open_sealed_patients(empty: Settings) -> None:
    demo.seed(empty, 1, 3)
    services = build_services(empty)

    assert sign_in(services, "demo.clerk", demo.PASSWORD, "127.0.0.1")
    with services.db.read() as tx:
        patient = tx.scalars(select(Patient)).first()
        assert patient is not None
        assert services.vault.open(tx, patient, "identity")["family_name"]
        assert services.vault.open(tx, patient, "contact")["phone"].startswith("+7900")
        assert audit.first_broken(tx) is None


def test_a_doctor_is_on_duty_at_any_hour_for_two_weeks(empty: Settings) -> None:
    demo.seed(empty, 1, 1)
    services = build_services(empty)

    with services.db.read() as tx:
        for hours in range(0, 13 * 24, 5):
            moment = utc_now() + timedelta(hours=hours)
            assert tx.scalars(select(Shift).where(Shift.starts_at <= moment, Shift.ends_at > moment)).first()


def test_a_folder_with_another_region_is_refused(empty: Settings) -> None:
    demo.seed(empty, 1, 1, seed=1)

    with pytest.raises(StartRefused, match="another region"):
        demo.seed(empty, 1, 1, seed=2)


def test_outside_a_demo_nothing_is_seeded(tmp_path: Path) -> None:
    real = from_environment({"TELEMED_DATA_DIR": str(tmp_path)}, tmp_path)
    migrate(real)

    with pytest.raises(StartRefused, match="TELEMED_DEMO"):
        demo.seed(real)


def test_a_real_deployment_is_refused_even_with_the_demo_setting(tmp_path: Path) -> None:
    real = from_environment({"TELEMED_DATA_DIR": str(tmp_path)}, tmp_path)
    migrate(real)
    pretending = from_environment({"TELEMED_DATA_DIR": str(tmp_path), "TELEMED_DEMO": "1"}, tmp_path)

    with pytest.raises(StartRefused, match="real deployment"):
        demo.seed(pretending)
