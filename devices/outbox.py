"""The numbered, hash-chained queue to the server. What it acknowledged stays 30 days: it may lose it to a restore."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

from devices import sealing, wire
from devices.journal import SEALED, Journal

KEEP_DAYS = 30

ITEM_COLUMNS = ", ".join(wire.Item.__annotations__)


class Outbox:
    """Items of one gateway in one branch. `has_news` is set whenever there is something to send."""

    def __init__(
        self, journal: Journal, gateway_id: str, branch_id: str, new_id: Callable[[], str] | None = None
    ) -> None:
        self.journal = journal
        self.gateway_id = gateway_id
        self.branch_id = branch_id
        self.has_news = asyncio.Event()
        self._new_id = new_id or (lambda: str(uuid4()))
        if self.waiting():
            self.has_news.set()

    def append_mark(self, kind: str, visit_id: str, at: str) -> None:
        """Put "visit opened" or "visit closed" into the sequence."""
        self._append(kind, visit_id, at, "", None, b"")

    def append_reading(
        self, reading_key: str, visit_id: str | None, received_at: str, ingest_key: wire.PublicKey, record: bytes,
        alias: str = "",
    ) -> bool:  # fmt: skip
        """Seal a record into the sequence; False, and nothing done, when this measurement was received before. By `alias`
        it is known here too, should its name change.
        """
        if self.has_seen(reading_key):
            return False
        with self.journal.transaction() as db:
            self._append(wire.READING, visit_id, received_at, reading_key, ingest_key, record)
            if alias:
                db.execute("insert or ignore into seen select ?, max(seq) from item", (alias,))
        return True

    def has_seen(self, reading_key: str) -> bool:
        """Say whether this measurement stands in the sequence already, or once did."""
        return self.journal.one("select 1 from seen where reading_key = ?", reading_key) is not None

    def came_at(self, reading_key: str) -> str | None:
        """Return when this measurement came first, as long as its item is held."""
        query = "select received_at from seen join item using (seq) where seen.reading_key = ?"
        found = self.journal.one(query, reading_key)
        return str(found[0]) if found else None

    def came_over_another(self, reading_key: str, connection_id: str) -> bool:
        """Say whether this measurement stands in the sequence since another connection."""
        query = (
            "select 1 from seen join item using (seq) join packet on packet.received_at = item.received_at"
            " where seen.reading_key = ? and packet.state = ? and packet.connection_id <> ?"
        )
        return self.journal.one(query, reading_key, SEALED, connection_id) is not None

    def _append(
        self,
        kind: str,
        visit_id: str | None,
        received_at: str,
        reading_key: str,
        ingest_key: wire.PublicKey | None,
        record: bytes,
    ) -> None:
        with self.journal.transaction() as db:
            last = self.journal.one("select seq, hash from item order by seq desc limit 1")
            seq, prev = (last[0] + 1, last[1]) if last else (1, wire.CHAIN_START)
            key_id, sealed = "", ""
            if ingest_key is not None:
                key_id = ingest_key.id
                info = wire.ingest_info(self.gateway_id, self.branch_id, key_id, seq, prev, visit_id, received_at)
                sealed = wire.b64(sealing.seal(ingest_key.raw, info, record))
            item = wire.Item(seq, kind, self._new_id(), visit_id, received_at, reading_key, key_id, sealed, prev, "")
            item = replace(item, hash=wire.chain_hash(self.gateway_id, self.branch_id, item))
            marks = ", ".join("?" * len(vars(item)))
            db.execute(f"insert into item ({ITEM_COLUMNS}) values ({marks})", tuple(vars(item).values()))
            if reading_key:
                db.execute("insert into seen values (?, ?)", (reading_key, seq))
        self.has_news.set()

    def next_batch(self) -> list[wire.Item]:
        """Return the oldest unsent items that go into one request; without any, `has_news` is cleared."""
        rows = self.journal.rows(
            f"select {ITEM_COLUMNS} from item where sent = 0 order by seq limit ?", wire.MAX_ITEMS_A_BATCH
        )
        if not rows:
            self.has_news.clear()
        batch: list[wire.Item] = []
        size = 0
        for row in rows:
            item = wire.Item(*row)
            size += len(item.sealed) + 700  # ids, hashes and names of one item
            if batch and (size > wire.MAX_BATCH_BYTES or item.seq != batch[-1].seq + 1):
                break
            batch.append(item)
        return batch

    def note_answer(self, answer: wire.ReadingsAnswer) -> bool:
        """Keep the server's verdicts; say whether it now holds more than before."""
        before = self.waiting()
        with self.journal.transaction() as db:
            for result in answer.results:
                db.execute(
                    "update item set status = ?, code = ? where seq = ? and event_id = ?",
                    (result.status, result.code, result.seq, result.event_id),
                )
            db.execute("update item set sent = 1 where seq <= ? and sent = 0", (answer.watermark,))
            self.journal.remember("epoch", answer.epoch)
        return self.waiting() < before

    def send_again_from(self, seq: int) -> bool:
        """Queue everything from this number on again; False when some of it is no longer held here."""
        oldest = self.journal.one("select min(seq) from item")
        with self.journal.transaction() as db:
            db.execute("update item set sent = 0 where seq >= ?", (seq,))
        if self.waiting():
            self.has_news.set()
        return oldest is None or oldest[0] is None or seq >= oldest[0]

    def enter_epoch(self, epoch: str, watermark: int) -> bool:
        """Take over the epoch of a restored server and queue what it has lost. False when some is no longer held."""
        with self.journal.transaction():
            self.journal.remember("epoch", epoch)
            return self.send_again_from(watermark + 1)

    def epoch(self) -> str:
        """Return the server's epoch as last heard."""
        return self.journal.setting("epoch")

    def waiting(self) -> int:
        """Return how many items the server has not acknowledged."""
        return self.journal.count("select count(*) from item where sent = 0")

    def stored(self) -> int:
        """Return how many items are held."""
        return self.journal.count("select count(*) from item")
