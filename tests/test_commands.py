"""An operator's commands: one sentence each, no write beside a running server, a backup that really restores."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from telemed import admin, schema
from telemed.bootstrap import build_services
from telemed.crypto.envelope import Unsealable
from telemed.errors import Invalid, StartRefused
from telemed.patients.models import Patient
from telemed.serve import _listening, only_one
from telemed.settings import Settings
from tests import cast


def create_account(settings: Settings, login: str, branch: str = "174001") -> None:
    admin.order(
        settings, "account create", login=login, password="long and good enough", role="clerk", name="Лена",
        branch=branch, language="ru",
    )  # fmt: skip


def test_audit_verify_names_the_first_broken_row(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    for login in ("lena", "nina", "zoya"):
        create_account(settings, login)
    assert admin.verify_audit(settings) == 0

    with sqlite3.connect(settings.server_dir / "telemed.db") as database:
        database.execute("UPDATE audit SET role = 'nobody' WHERE no = 1")
    assert admin.verify_audit(settings) == 1
    assert "row 1" in capsys.readouterr().out


def test_an_account_for_an_unknown_branch_is_refused(settings: Settings) -> None:
    with pytest.raises(Invalid) as caught:
        create_account(settings, "lena", branch="999999")

    assert caught.value.fields == {"branch": "not_found"}


def test_a_backup_holds_no_subject_key_and_restores_to_readable_data(settings: Settings, tmp_path: Path) -> None:
    admin.backup(settings, tmp_path / "copy")
    with sqlite3.connect(tmp_path / "copy" / "telemed.db") as database:
        assert database.execute("SELECT count(*) FROM subject_keys").fetchone() == (0,)

    fresh = replace(
        settings, data_dir=tmp_path / "fresh", database_url=f"sqlite:///{tmp_path / 'fresh' / 'server' / 'telemed.db'}"
    )
    shutil.copytree(settings.server_dir / "keys", fresh.server_dir / "keys")
    admin.restore(fresh, tmp_path / "copy")

    before, after = build_services(settings), build_services(fresh)
    assert after.epoch != before.epoch
    with after.db.read() as tx:
        assert after.vault.open(tx, tx.get(Patient, cast.MARIA.id), "identity")["given_name"] == "Мария"
    with pytest.raises(StartRefused, match="exists"):
        admin.restore(fresh, tmp_path / "copy")


def test_half_a_backup_is_refused(settings: Settings, tmp_path: Path) -> None:
    admin.backup(settings, tmp_path / "copy")
    (tmp_path / "copy" / "subject-keys.db").unlink()

    with pytest.raises(StartRefused, match="not a whole backup"):
        admin.restore(replace(settings, data_dir=tmp_path / "fresh"), tmp_path / "copy")


def test_an_erased_patient_can_be_opened_and_found_by_nobody(settings: Settings) -> None:
    admin.order(settings, "erase", patient_id=str(cast.MARIA.id))

    services = build_services(settings)
    with services.db.read() as tx:
        row = tx.get(Patient, cast.MARIA.id)
        assert (row.phone_index, row.snils_index, row.policy_index) == (None, None, None)
        with pytest.raises(Unsealable):
            services.vault.open(tx, row, "identity")
        assert services.vault.open(tx, tx.get(Patient, cast.IVAN.id), "identity")
    with pytest.raises(Invalid):
        admin.order(settings, "erase", patient_id="nobody")


def test_keys_are_rotated_and_old_data_still_opens(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    admin.order(settings, "keys rotate")

    assert "clinical   version 2" in capsys.readouterr().out
    services = build_services(settings)
    with services.db.read() as tx:
        assert services.vault.open(tx, tx.get(Patient, cast.MARIA.id), "identity")


def test_triage_prints_a_level_a_line_and_names_what_it_cannot_read(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [json.dumps({"symptoms": ["chest_pain"]}), "{", json.dumps({"symptoms": ["hiccups"]})]

    assert admin.triage(io.StringIO("\n".join(lines))) == 1

    told = capsys.readouterr()
    assert told.out.split() == ["RED"]
    assert len(told.err.splitlines()) == 2


def test_a_command_that_needs_the_server_stopped_says_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "STARTING_S", 0.0)
    with only_one(settings):
        with pytest.raises(StartRefused, match="already runs"):
            admin.migrate(settings)
        with pytest.raises(StartRefused, match="takes no commands"):
            admin.order(settings, "keys rotate")  # held by a process that does not listen
        assert admin.verify_audit(settings) == 0, "commands that only read go on"


def test_a_taken_port_is_one_sentence(settings: Settings) -> None:
    first = _listening(settings)
    try:
        with pytest.raises(StartRefused, match="is taken"):
            _listening(replace(settings, port=first.getsockname()[1]))
    finally:
        first.close()


def test_a_folder_that_was_never_prepared_says_what_to_do(tmp_path: Path, settings: Settings) -> None:
    empty = replace(settings, data_dir=tmp_path / "empty", database_url=f"sqlite:///{tmp_path / 'empty.db'}")
    schema.upgrade(empty.database_url)

    with pytest.raises(StartRefused, match="migrate"):
        build_services(empty)


def test_the_doctor_names_what_to_mend(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    (settings.server_dir / "keys" / "root.key").chmod(0o644)

    assert admin.doctor(settings) == 1
    assert "chmod 600" in capsys.readouterr().out


def test_custody_of_an_untouched_region_is_whole(settings: Settings) -> None:
    assert admin.check_custody(settings) == 0
