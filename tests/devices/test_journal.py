"""The journal keeps what it promised, over a kill, a full disk and a second gateway."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from devices import journal as journal_module
from devices.journal import (
    SEALED,
    UNDECODABLE,
    Connection,
    Journal,
    JournalBroken,
    JournalFull,
    JournalLocked,
)

AT = "2026-11-23T10:00:00.000Z"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.db")
    opened.open_connection(Connection("c", "meter", AT))
    yield opened
    opened.close()


def test_only_the_owner_reads_the_journal_also_one_that_was_made_open(tmp_path: Path) -> None:
    path, log = tmp_path / "journal.db", tmp_path / "journal.db-wal"
    before = os.umask(0o022)
    try:
        for _ in range(2):
            opened = Journal(path)
            opened.open_connection(Connection(uuid4().hex, "meter", AT))

            assert {file.stat().st_mode & 0o777 for file in (path, log)} == {0o600}

            path.chmod(0o644)
            opened.close()
    finally:
        os.umask(before)


def test_durability_settings_are_those_that_survive_a_power_cut(journal: Journal) -> None:
    pragmas = {name: journal.db.pragma(name) for name in ("journal_mode", "synchronous", "wal_autocheckpoint")}

    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "wal_autocheckpoint": 0}
    assert journal.db.pragma("secure_delete") == 1
    assert journal.db.pragma("foreign_keys") == 1


def test_a_sealed_packet_leaves_no_plain_bytes_in_any_file(journal: Journal) -> None:
    secret = b"PLAIN-BYTES-OF-A-READING"
    journal.keep_packet("c", 1, "2a35", secret, AT, None)
    files = [journal.path, journal.path.with_name("journal.db-wal")]
    assert any(secret in file.read_bytes() for file in files), "the packet was never written"

    journal.settle_packet(1, SEALED)
    journal.checkpoint()

    assert not any(secret in file.read_bytes() for file in files if file.exists())


def test_an_unreadable_packet_keeps_its_bytes_for_a_person(journal: Journal) -> None:
    journal.keep_packet("c", 1, "2a35", b"\xff", AT, None)
    journal.settle_packet(1, UNDECODABLE)

    assert (journal.undecodable(), journal.undecodable_at()) == (1, AT)
    assert journal.rows("select raw from packet") == [(b"\xff",)]


def test_a_settled_packet_is_never_settled_again(journal: Journal) -> None:
    journal.keep_packet("c", 1, "2a35", b"\xff", AT, None)
    journal.settle_packet(1, SEALED)
    journal.settle_packet(1, UNDECODABLE)

    assert journal.rows("select state from packet") == [(SEALED,)]


def test_a_second_gateway_on_the_same_folder_is_refused(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "BUSY_TIMEOUT_MS", 10)

    with pytest.raises(JournalLocked):
        Journal(journal.path)


def test_a_transaction_that_fails_leaves_nothing(journal: Journal) -> None:
    with contextlib.suppress(ZeroDivisionError), journal.transaction():
        journal.remember("a", "1")
        raise ZeroDivisionError

    assert journal.setting("a") == ""


def test_a_full_disk_is_said_plainly_and_the_journal_goes_on_when_there_is_room(journal: Journal) -> None:
    pages = journal.db.pragma("page_count")
    journal.db.pragma("max_page_count", pages)

    def keep_many() -> None:
        for number in range(1, 1000):
            journal.keep_packet("c", number, "2a35", bytes(2000), AT, None)

    with pytest.raises(JournalFull):
        keep_many()
    kept = len(journal.new_packets())
    journal.db.pragma("max_page_count", pages + 1000)
    journal.keep_packet("c", 5000, "2a35", b"\x01", AT, None)

    assert len(journal.new_packets()) == kept + 1
    assert not journal.is_broken


def test_a_journal_that_cannot_be_read_is_refused_for_good(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"this is no database" * 1000)

    with pytest.raises(JournalBroken):
        Journal(path)


def test_a_journal_of_an_older_gateway_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    old = Journal(path)
    old.open_connection(Connection("c", "meter", AT))
    old.keep_packet("c", 1, "2a35", b"\x01", AT, None)
    for column in ("no", "is_whole"):
        old.db.execute(f"alter table connection drop column {column}")
    old.db.pragma("user_version", 1)
    old.close()

    taken_over = Journal(path)
    taken_over.open_connection(Connection("d", "meter", AT))
    assert [packet.raw for packet in taken_over.new_packets()] == [b"\x01"]
    taken_over.close()


def test_old_sent_items_go_but_the_newest_stays(journal: Journal) -> None:
    for seq in (1, 2, 3):
        journal.db.execute(
            "insert into item values (?, 'reading', ?, null, ?, '', '', '', '', '', 1, null, null)", (seq, str(seq), AT)
        )
    journal.forget_before("2027-01-01")

    assert journal.rows("select seq from item") == [(3,)]


WRITER = """
import sys
from pathlib import Path
from devices.journal import Connection, Journal
journal = Journal(Path(sys.argv[1]))
connection = "c%s" % sys.argv[2]
journal.open_connection(Connection(connection, "meter", "2026-11-23T10:00:00.000Z"))
for number in range(1, 1000000):
    journal.keep_packet(connection, number, "2a35", number.to_bytes(4, "big"), "2026-11-23T10:00:00.000Z", None)
    sys.stdout.write("%d\\n" % number)
    sys.stdout.flush()
    if number % 50 == 0:
        journal.checkpoint(only_when_large=False)
"""


def test_every_packet_whose_callback_returned_is_there_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for turn in range(5):
        acknowledged = 0
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(turn)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[2],
        ) as writer:
            assert writer.stdout is not None
            for _ in range(20 + 37 * turn):
                acknowledged = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *(int(line) for line in writer.stdout if line.endswith(b"\n"))])
        journal = Journal(path)
        kept = [packet for packet in journal.new_packets() if packet.connection_id == f"c{turn}"]
        journal.close()

        assert [int.from_bytes(packet.raw, "big") for packet in kept][:acknowledged] == list(range(1, acknowledged + 1))
        assert len(kept) - acknowledged in (0, 1), "at most the packet under way was not acknowledged"


def test_a_killed_process_leaves_no_connection_open(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    first = Journal(path)
    first.open_connection(Connection("c", "meter", AT))
    first.close()
    second = Journal(path)

    assert second.connection("c").ended_at == AT
    second.close()
