"""Power cuts: record all a journal asks of its disk, then make the files as any cut could have left them.

What was synced is there. What was written since the last sync of its file is there, or not, or torn at 512 bytes, each
piece by itself: so also in another order. As SQLite does, we believe that a write harms no byte beside it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from devices import wire
from devices.journal import NEW, SEALED, Connection, Journal
from devices.meters import BLOOD_PRESSURE
from devices.outbox import Outbox
from devices.sealer import Sealer
from devices.session import Session
from devices.simulator.models import Pressure

SECTOR = 512
VFS_NAME = "power-cut"
GATEWAY, BRANCH = "gateway", "branch"
BEGUN = datetime(2026, 11, 23, 10, tzinfo=UTC)
INGEST = wire.PublicKey("ingest-1", X25519PrivateKey.generate().public_key().public_bytes_raw())

WRITE, TRUNCATE, SYNC, DELETE, FOLDER = "write", "truncate", "sync", "delete", "folder"


@dataclass(frozen=True)
class Step:
    """One request to the disk. `at` is an offset, or the new size."""

    kind: str
    file: str
    at: int = 0
    content: bytes = b""


@dataclass
class Promises:
    """What had been promised when a step was asked for; indexes into `steps`."""

    packets: dict[tuple[str, int], bytes] = field(default_factory=dict)
    hashes: list[str] = field(default_factory=list)


@dataclass
class Tape:
    """Everything that was asked of the disk, and what the journal had promised when."""

    steps: list[Step] = field(default_factory=list)
    packets: list[tuple[int, tuple[str, int], bytes]] = field(default_factory=list)
    hashes: list[tuple[int, str]] = field(default_factory=list)

    def promised(self, cut: int) -> Promises:
        """Return what had been promised before the cut."""
        return Promises(
            {key: raw for step, key, raw in self.packets if step <= cut},
            [digest for step, digest in self.hashes if step <= cut],
        )


class _RecordedFile(apsw.VFSFile):
    def __init__(self, tape: Tape, name: str, opened: object, flags: list[int]) -> None:
        super().__init__("", opened, flags)  # type: ignore[arg-type]
        self._tape, self._name = tape, name
        # SQLite's own disk layer syncs the folder with the first sync of a log, so that its name is durable too.
        self._is_new_name = bool(flags[0] & (apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL))

    def xWrite(self, data: bytes, offset: int) -> None:
        self._tape.steps.append(Step(WRITE, self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._tape.steps.append(Step(TRUNCATE, self._name, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._tape.steps.append(Step(SYNC, self._name))
        if self._is_new_name:
            self._is_new_name = False
            self._tape.steps.append(Step(FOLDER, self._name))


class _RecordedDisk(apsw.VFS):
    def __init__(self, tape: Tape) -> None:
        super().__init__(VFS_NAME, "")
        self._tape = tape

    def xOpen(self, name: object, flags: list[int]) -> apsw.VFSFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        return _RecordedFile(self._tape, Path(str(path)).name, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self._tape.steps.append(Step(DELETE, Path(filename).name))
        super().xDelete(filename, syncdir)
        if syncdir:
            self._tape.steps.append(Step(FOLDER, ""))


@contextmanager
def recorded(tape: Tape) -> Iterator[str]:
    """Yield the name of a VFS that writes all requests on the tape."""
    disk = _RecordedDisk(tape)
    try:
        yield VFS_NAME
    finally:
        disk.unregister()


class Story:
    """A gateway's days on a recorded disk, with every promise noted when it is given."""

    def __init__(self, folder: Path, synchronous: str = "full") -> None:
        self.tape = Tape()
        self._path = folder / "journal.db"
        self._synchronous = synchronous
        self._ordinals = 0
        self._pressures = 0

    def tell(self, days: int = 3) -> Tape:
        """Return the tape of readings taken, sealed, sent, and of the file being closed and opened again."""
        with recorded(self.tape) as vfs:
            for day in range(days):
                journal = Journal(self._path, vfs=vfs)
                journal.db.execute(f"pragma synchronous={self._synchronous}")
                self._day(journal, day)
                if day % 2:
                    journal.db.close()  # without the last checkpoint, as a killed process leaves it
                else:
                    journal.close()
        return self.tape

    def _day(self, journal: Journal, day: int) -> None:
        outbox = Outbox(journal, GATEWAY, BRANCH)
        session = Session(journal, outbox)
        sealer = Sealer(journal, outbox, session, lambda: INGEST, "gateway", UTC)
        now = BEGUN + timedelta(days=day)
        for visit in range(3):
            session.open_visit(f"visit-{day}-{visit}", now)
            self._note_chain(journal)
            for turn in range(3):
                session.ask_for(f"visit-{day}-{visit}", BLOOD_PRESSURE, turn + 1, now)
                self._take(journal, session, f"{day}-{visit}-{turn}", now)
                sealer.seal_new()
                self._note_chain(journal)
            journal.checkpoint(only_when_large=visit == 0)
            sent = journal.count("select max(seq) from item")
            outbox.note_answer(wire.ReadingsAnswer("epoch", sent, ()))
        self._take(journal, session, f"{day}-left", now)

    def _take(self, journal: Journal, session: Session, name: str, now: datetime) -> None:
        journal.open_connection(Connection(name, "meter", wire.iso(now), None, 0))
        for ordinal in range(1, 4):
            self._pressures += 1
            at = now.replace(tzinfo=None) + timedelta(seconds=self._pressures)
            raw = Pressure(128, 80, 70, at).packet()
            journal.keep_packet(name, ordinal, "2a35", raw, wire.iso(now), session.open_visit_id)
            self.tape.packets.append((len(self.tape.steps), (name, ordinal), raw))
        journal.end_connection(name, wire.iso(now))

    def _note_chain(self, journal: Journal) -> None:
        for (digest,) in journal.rows("select hash from item where seq > ? order by seq", len(self.tape.hashes)):
            self.tape.hashes.append((len(self.tape.steps), digest))


class _Disk:
    """The files of one image in the making."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._synced: dict[str, bytearray] = {}
        self._since: dict[str, list[Step]] = {}

    def take(self, step: Step) -> None:
        """Do a step; until its file is synced it is only perhaps done, and a deletion until the folder is."""
        if step.kind == FOLDER:
            for name, steps in self._since.items():
                if gone := [number for number, other in enumerate(steps, 1) if other.kind == DELETE]:
                    self._synced[name], self._since[name] = bytearray(), steps[gone[-1] :]
        elif step.kind == SYNC:
            self._synced[step.file] = self._content(step.file, share=1.0)
            self._since[step.file] = []
        else:
            self._since.setdefault(step.file, []).append(step)

    def files(self, share: float) -> dict[str, bytes]:
        """Return each file as a cut may leave it; `share` of what was not synced reached the disk."""
        names = {*self._synced, *self._since}
        return {name: bytes(self._content(name, share)) for name in sorted(names)}

    def _content(self, name: str, share: float) -> bytearray:
        content = bytearray(self._synced.get(name, b""))
        for step in self._since.get(name, ()):
            if step.kind == WRITE:
                self._write(content, step, share)
            elif self._chance.random() < share:
                size = step.at if step.kind == TRUNCATE else 0
                del content[size:]
                content.extend(bytes(size - len(content)))
        return content

    def _write(self, content: bytearray, step: Step, share: float) -> None:
        start, end = step.at, step.at + len(step.content)
        while start < end:
            stop = min(end, (start // SECTOR + 1) * SECTOR)
            if share >= 1 or self._chance.random() < share:
                if len(content) < start:  # new room holds whatever stood on the disk before
                    content.extend(self._chance.randbytes(start - len(content)) if share < 1 else bytes(start))
                    del content[start:]
                content[start:stop] = step.content[start - step.at : stop - step.at]
            start = stop


def images(tape: Tape, number: int, chance: random.Random) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Yield `number` cuts, spread over the whole tape, each with the files it may leave."""
    cuts = sorted(chance.randrange(len(tape.steps) + 1) for _ in range(number))
    disk, done = _Disk(chance), 0
    for cut in cuts:
        for step in tape.steps[done:cut]:
            disk.take(step)
        done = cut
        yield cut, disk.files(chance.choice((0.0, 0.1, 0.5, 0.9, 1.0)))


def faults_of(folder: Path, files: dict[str, bytes], promised: Promises) -> list[str]:
    """Open the image with the product's journal and return what is missing or half; empty when all is well."""
    for old in folder.iterdir():
        old.unlink()
    for name, content in files.items():
        if content:  # an empty file is what a file is whose name alone reached the disk
            (folder / name).write_bytes(content)
    journal = Journal(folder / "journal.db")
    try:
        return [*_packet_faults(journal, promised), *_chain_faults(journal, promised), *_use_faults(journal)]
    finally:
        journal.db.close()


def _packet_faults(journal: Journal, promised: Promises) -> Iterator[str]:
    rows = journal.rows("select connection_id, ordinal, raw, state, received_at from packet")
    kept = {(connection_id, ordinal): (raw, state) for connection_id, ordinal, raw, state, _ in rows}
    for key, raw in promised.packets.items():
        if key not in kept:
            yield f"packet {key} is lost"
        elif kept[key] not in ((raw, NEW), (b"", SEALED)):
            yield f"packet {key} is {kept[key]}"
    sealed = sum(state == SEALED for _, state in kept.values())
    if sealed != journal.count("select count(*) from item where kind = 'reading'"):
        yield "packets and items do not match"
    if journal.count("select count(*) from seen") != sealed:
        yield "names and items do not match"


def _chain_faults(journal: Journal, promised: Promises) -> Iterator[str]:
    columns = ", ".join(wire.Item.__annotations__)
    items = [wire.Item(*row) for row in journal.rows(f"select {columns} from item order by seq")]
    if [item.hash for item in items[: len(promised.hashes)]] != promised.hashes:
        yield "the chain lost what it held"
    prev = wire.CHAIN_START
    for seq, item in enumerate(items, 1):
        if (item.seq, item.prev) != (seq, prev) or item.hash != wire.chain_hash(GATEWAY, BRANCH, item):
            yield f"link {seq} is broken"
        prev = item.hash


def _use_faults(journal: Journal) -> Iterator[str]:
    if (verdict := journal.db.pragma("quick_check")) != "ok":
        yield f"the file is damaged: {verdict}"
    journal.open_connection(Connection("after", "meter", wire.iso(BEGUN)))
    journal.keep_packet("after", 1, "2a35", b"\x01", wire.iso(BEGUN), None)
    if journal.new_packets()[-1].connection_id != "after":
        yield "the journal takes nothing more"
