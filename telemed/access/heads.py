"""Signed heads of the audit trail, outside the database: a chain alone cannot tell that its end was cut off, or that
all of it was written anew.

One line of JSON each in `audit-heads.jsonl`, about every hour or thousand rows, and when the server stops. Keep copies
where the machine's administrator cannot reach them: `audit verify --heads FILE` holds the trail against such a copy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed import line_file
from telemed.access.models import AuditRow, Deployment
from telemed.clock import iso, parse_iso
from telemed.crypto import ledger
from telemed.crypto.signing import DerivedKey
from telemed.errors import StartRefused
from telemed.services import Services

NAME = "audit-heads.jsonl"
ROWS, AGE = 1_000, timedelta(hours=1)


@dataclass(frozen=True)
class Head:
    """The trail had `rows` rows and ended with `hash`. `kept`: a backup with so many rows was put in; of the heads before,
    those beyond it are void.
    """

    rows: int
    hash: str
    at: str
    epoch: str
    erased: int
    kept: int | None
    signature: str = ""  # hex

    def values(self) -> tuple[str | int, ...]:
        """Return what is signed."""
        kept = "" if self.kept is None else self.kept
        return ("telemed-audit-head-1", self.rows, self.hash, self.at, self.epoch, self.erased, kept)


def path_of(services: Services) -> Path:
    """Return the file of this data folder."""
    return services.settings.server_dir / NAME


def rows(tx: Session) -> int:
    """Return how many rows the trail has."""
    newest = _newest(tx)
    return newest.no if newest else 0


def sign_when_due(services: Services, tx: Session) -> None:
    """Sign a head after a thousand rows or an hour, if there are new rows. A chore."""
    last = _last(path_of(services))
    newest = _newest(tx)
    if newest is None or (last is not None and newest.no <= last.rows):
        return
    is_old = last is None or services.clock() - parse_iso(last.at) >= AGE
    if last is None or is_old or newest.no - last.rows >= ROWS:
        _sign(services, tx, newest)


def sign_now(services: Services, *, kept: int | None = None) -> None:
    """Sign a head of the trail as it stands, if it has rows that no head covers."""
    with services.db.read() as tx:
        newest, last = _newest(tx), _last(path_of(services))
        if newest is not None and (kept is not None or last is None or newest.no != last.rows):
            _sign(services, tx, newest, kept)


def _newest(tx: Session) -> AuditRow | None:
    return tx.scalar(select(AuditRow).order_by(AuditRow.no.desc()).limit(1))


def _sign(services: Services, tx: Session, newest: AuditRow, kept: int | None = None) -> None:
    epoch = tx.scalars(select(Deployment.epoch)).one()
    erased = len(services.keys.ledger.read()) if services.keys.ledger else 0
    head = Head(newest.no, newest.hash, iso(services.clock()), str(epoch), erased, kept)
    signature = _key(services).sign(*head.values()).hex()
    with line_file.growing(path_of(services)) as (_lines, append):
        append(json.dumps(asdict(replace(head, signature=signature))))


def _key(services: Services) -> DerivedKey:
    return DerivedKey(services.keys.derive("audit-head"))


def _last(path: Path) -> Head | None:
    line = line_file.last_line(path)
    return None if line is None else _parse(path, line)


def _parse(path: Path, line: str) -> Head:
    try:
        return Head(**json.loads(line))
    except (ValueError, TypeError):
        raise StartRefused(f"{path} holds a line that is no head of the audit trail.") from None


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with the trail: a code with its sentence in the catalogues, and the numbers in it."""

    code: str
    facts: dict[str, object]

    @property
    def at(self) -> datetime | None:
        """Return when the head was signed that is not borne out, for a page that shows local times."""
        return parse_iso(str(self.facts["at"])) if "at" in self.facts else None


def faults(services: Services, tx: Session, path: Path) -> Iterator[Fault]:
    """Yield what a file's heads say that the trail, or the list of erasures, does not bear out."""
    try:
        found = [_parse(path, line) for line in line_file.lines(path)]
        erased = len(services.keys.ledger.read()) if services.keys.ledger else 0
    except StartRefused as damaged:
        yield Fault("audit_file_damaged", {"file": ledger.NAME if ledger.NAME in str(damaged) else path.name})
        return
    standing: list[Head] = []
    for head in found:
        if not _is_ours(services, head):
            yield Fault("audit_head_foreign", {"row": head.rows, "at": head.at})
            continue
        if head.kept is not None:  # the rows after the backup are gone, as the operator knows
            standing = [older for older in standing if older.rows <= head.kept]
        standing.append(head)
    yield from _unborne(tx, standing)
    if standing and standing[-1].erased > erased:
        yield Fault("erasures_cut", {"now": erased, "then": standing[-1].erased, "at": standing[-1].at})


def _is_ours(services: Services, head: Head) -> bool:
    try:
        signature = bytes.fromhex(head.signature)
    except ValueError:
        return False
    return _key(services).verify(signature, *head.values())


def _unborne(tx: Session, standing: list[Head]) -> Iterator[Fault]:
    now = rows(tx)
    for head in standing:
        if head.rows > now:
            yield Fault("audit_cut", {"now": now, "then": head.rows, "at": head.at})
        elif tx.scalar(select(AuditRow.hash).where(AuditRow.no == head.rows)) != head.hash:
            yield Fault("audit_rewritten", {"row": head.rows, "at": head.at})
