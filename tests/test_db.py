"""The database: writers one at a time, readers never wait, what was acknowledged survives kill -9."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from telemed import line_file
from telemed.db import BUSY_MS, Database, NestedWrite, UtcDateTime

WRITER = """
import sys
from sqlalchemy import text
from telemed.db import Database
db = Database(sys.argv[1])
for number in range(int(sys.argv[2]), 10**9):
    with db.write() as tx:
        tx.execute(text("INSERT INTO kept VALUES (:n)"), {"n": number})
    print(number, flush=True)
"""
KILLS = 12


@pytest.fixture
def db(tmp_path: Path) -> Database:
    db = Database(f"sqlite:///{tmp_path / 'test.db'}")
    with db.write() as tx:
        tx.execute(text("CREATE TABLE kept (number INTEGER)"))
    return db


def test_sqlite_runs_with_the_settings_that_lose_nothing(db: Database) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "wal_autocheckpoint": 0, "trusted_schema": 0}

    with db.read() as tx:
        assert {name: tx.execute(text(f"PRAGMA {name}")).scalar() for name in wanted} == wanted


def test_only_the_owner_reads_the_database_also_one_that_was_made_open(tmp_path: Path) -> None:
    path, log = tmp_path / "telemed.db", tmp_path / "telemed.db-wal"
    before = os.umask(0o022)
    try:
        for _ in range(2):
            db = Database(f"sqlite:///{path}")
            with db.write() as tx:
                tx.execute(text("CREATE TABLE IF NOT EXISTS kept (number INTEGER)"))
            with line_file.growing(tmp_path / "heads.jsonl") as (_lines, append):
                append("{}")

            assert {file.stat().st_mode & 0o777 for file in (path, log, tmp_path / "heads.jsonl")} == {0o600}

            for file in (path, log, tmp_path / "heads.jsonl"):
                file.chmod(0o644)
            db.engine.dispose()
    finally:
        os.umask(before)


def test_sixteen_writers_lose_no_update(db: Database) -> None:
    with db.write() as tx:
        tx.execute(text("INSERT INTO kept VALUES (0)"))

    def add() -> None:
        for _ in range(20):
            with db.write() as tx:
                number = tx.execute(text("SELECT number FROM kept")).scalar()
                tx.execute(text("UPDATE kept SET number = :n"), {"n": number + 1})

    threads = [threading.Thread(target=add) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with db.read() as tx:
        assert tx.execute(text("SELECT number FROM kept")).scalar() == 320


def test_a_reader_does_not_wait_for_a_writer(db: Database) -> None:
    with db.write() as writer:
        writer.execute(text("INSERT INTO kept VALUES (1)"))
        with db.read() as reader:
            assert reader.execute(text("SELECT count(*) FROM kept")).scalar() == 0
    with db.read() as reader:
        assert reader.execute(text("SELECT count(*) FROM kept")).scalar() == 1


def test_a_write_inside_a_write_is_refused_at_once(db: Database) -> None:
    def mistake() -> None:
        with db.write() as outer:
            outer.execute(text("INSERT INTO kept VALUES (1)"))
            with db.write():
                pytest.fail("the inner transaction must not begin")

    with pytest.raises(NestedWrite):
        mistake()

    with db.write() as tx:
        assert tx.execute(text("SELECT count(*) FROM kept")).scalar() == 0


def test_a_checkpoint_does_not_wait_for_a_reader(db: Database) -> None:
    log = Path(f"{db.engine.url.database}-wal")
    with db.read() as reader:
        reader.execute(text("SELECT count(*) FROM kept")).scalar()
        with db.write() as tx:
            tx.execute(text("INSERT INTO kept VALUES (1)"))
        begun = time.monotonic()
        db.checkpoint()
        assert time.monotonic() - begun < 5, "readers have no time limit, writers wait behind a checkpoint"
    assert log.stat().st_size > 0, "the reader kept a part of the log in use"

    db.checkpoint()

    assert log.stat().st_size == 0
    with db.read() as tx:
        assert tx.execute(text("PRAGMA busy_timeout")).scalar() == BUSY_MS


def test_news_is_told_after_the_commit_and_not_after_a_rollback(db: Database) -> None:
    told: list[list[str]] = []
    db.after_commit = told.append

    with db.write() as tx:
        tx.info["news"] = ["kept"]
        assert told == []
    with pytest.raises(ZeroDivisionError), db.write() as tx:
        tx.info["news"] = [1 / 0]

    assert told == [["kept"]]


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        UtcDateTime().process_bind_param(datetime(2026, 1, 1), None)  # type: ignore[arg-type]  # noqa: DTZ001


@pytest.mark.parametrize("kills", [KILLS, pytest.param(1_000, marks=pytest.mark.soak)])
def test_every_acknowledged_commit_is_there_after_kill_9(db: Database, kills: int) -> None:
    acknowledged: list[int] = []
    for _ in range(kills):
        begin = acknowledged[-1] + 1_000 if acknowledged else 0
        process = subprocess.Popen([sys.executable, "-c", WRITER, db.url, str(begin)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            acknowledged.append(int(line))
            if len(acknowledged) % 37 == 0:
                process.kill()
                acknowledged += [int(rest) for rest in process.stdout.read().split("\n")[:-1]]
                break
        process.wait()

    with db.read() as tx:
        stored = set(tx.execute(text("SELECT number FROM kept")).scalars())
    assert len(acknowledged) >= 37 * kills
    assert set(acknowledged) <= stored
