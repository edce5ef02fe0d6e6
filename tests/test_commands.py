"""An operator's commands: one sentence each, no write beside a running server, a backup that really restores."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from uuid import UUID

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


def restored(settings: Settings, folder: Path, backup: Path, erased: Path | None = None) -> Settings:
    """A backup restored into another data folder with the same root key."""
    fresh = replace(
        settings, data_dir=folder, database_url=f"sqlite:///{folder / 'server' / 'telemed.db'}"
    )
    if not fresh.server_dir.exists():
        shutil.copytree(settings.server_dir / "keys", fresh.server_dir / "keys")
    admin.restore(fresh, backup, erased)
    return fresh


def opens(settings: Settings, patient_id: UUID) -> bool:
    services = build_services(settings)
    with services.db.read() as tx:
        row = tx.get(Patient, patient_id)
        assert row is not None
        try:
            return bool(services.vault.open(tx, row, "identity"))
        except Unsealable:
            assert row.phone_index is row.snils_index is row.policy_index is None
            return False


def test_an_older_backup_brings_no_erased_patient_back(settings: Settings, tmp_path: Path) -> None:
    admin.backup(settings, tmp_path / "before")
    admin.order(settings, "erase", patient_id=str(cast.MARIA.id))
    admin.backup(settings, tmp_path / "after")
    assert opens(restored(settings, tmp_path / "premise", tmp_path / "before"), cast.MARIA.id), "it holds her"

    told = restored(settings, tmp_path / "told", tmp_path / "before", tmp_path / "after" / "erased.jsonl")
    assert (opens(told, cast.MARIA.id), opens(told, cast.IVAN.id)) == (False, True)

    (settings.server_dir / "telemed.db").unlink()  # the same machine, after its disk's database was lost
    for log in settings.server_dir.glob("telemed.db-*"):
        log.unlink()
    same = restored(settings, settings.data_dir, tmp_path / "before")
    assert (opens(same, cast.MARIA.id), opens(same, cast.IVAN.id)) == (False, True)
    assert admin.verify_audit(same) == 0, "heads later than the backup are void after a restore"

    admin.backup(same, tmp_path / "again")
    assert not opens(restored(settings, tmp_path / "third", tmp_path / "again"), cast.MARIA.id)


def test_a_damaged_list_of_erasures_stops_a_restore(settings: Settings, tmp_path: Path) -> None:
    for person in (cast.MARIA, cast.IVAN):
        admin.order(settings, "erase", patient_id=str(person.id))
    admin.backup(settings, tmp_path / "copy")
    ledger = tmp_path / "copy" / "erased.jsonl"
    ledger.write_text("".join(ledger.read_text().splitlines(keepends=True)[1:]))

    with pytest.raises(StartRefused, match="Line 1"):
        restored(settings, tmp_path / "fresh", tmp_path / "copy")
    assert not (tmp_path / "fresh" / "server" / "telemed.db").exists()


def test_a_shortened_list_of_erasures_and_a_cut_audit_trail_are_found(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    admin.order(settings, "erase", patient_id=str(cast.MARIA.id))
    ledger = settings.server_dir / "erased.jsonl"
    whole = ledger.read_text()
    ledger.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    assert admin.verify_audit(settings) == 1
    assert "The list of erasures has 1 entries" in capsys.readouterr().out

    ledger.write_text(whole)
    assert admin.verify_audit(settings) == 0
    with sqlite3.connect(settings.server_dir / "telemed.db") as database:
        database.execute("DELETE FROM audit WHERE no = (SELECT max(no) FROM audit)")
    assert admin.verify_audit(settings) == 1
    assert "its end was cut off" in capsys.readouterr().out


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
