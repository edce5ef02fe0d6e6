"""Whether the server can be reached, and the last time that it could not: told to the server when it is back."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from devices import wire
from devices.journal import Journal, JournalFull

WORTH_TELLING = timedelta(seconds=60)  # a call that failed once is no outage
KEPT = "outage"
PLAIN = "offline"


@dataclass(frozen=True)
class Outage:
    """A time without the server. `until` is None while it lasts."""

    code: str
    since: datetime
    until: datetime | None = None


class Reach:
    """The line's state; an outage that lasts is on the disk, so that a restart does not shorten it."""

    def __init__(self, journal: Journal) -> None:
        self.code = "ok"
        self._journal = journal
        self._kept = _read(journal.setting(KEPT, ""))
        self._open = self._kept if self._kept and self._kept.until is None else None

    def lose(self, code: str, now: datetime) -> None:
        """Note that the server was not reached; the most telling reason stays."""
        self.code = code
        begun = self._open or Outage(code, now)
        self._open = Outage(code if begun.code == PLAIN else begun.code, begun.since)
        if now - self._open.since >= WORTH_TELLING and self._kept != self._open:
            self._keep(self._open)

    def find(self, now: datetime) -> None:
        """Note that the server was heard."""
        self.code = "ok"
        ended, self._open = self._open, None
        if ended is not None and now - ended.since >= WORTH_TELLING:
            self._keep(Outage(ended.code, ended.since, now))

    def report(self) -> dict[str, object] | None:
        """Return the last outage as a heartbeat tells it, or None."""
        told = self._kept
        if told is None or told.until is None:
            return None
        return {"code": told.code, "since": wire.iso(told.since), "until": wire.iso(told.until)}

    def _keep(self, outage: Outage) -> None:
        self._kept = outage
        until = wire.iso(outage.until) if outage.until else None
        document = {"code": outage.code, "since": wire.iso(outage.since), "until": until}
        with contextlib.suppress(JournalFull):  # then it is told as long as this process runs
            self._journal.remember(KEPT, json.dumps(document))


def _read(kept: str) -> Outage | None:
    if not kept:
        return None
    document = json.loads(kept)
    until = document["until"]
    return Outage(document["code"], wire.parse_iso(document["since"]), wire.parse_iso(until) if until else None)
