"""The list of shredded keys, kept outside the database and in every backup: an older backup must give nothing back.

One line of JSON each: subject, domain, time, and a MAC over the line and the MAC before it, so that no line can be
changed or taken out of the middle unseen; signed heads of the audit trail tell how many there must be.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from telemed import line_file
from telemed.crypto.digest import fields
from telemed.errors import StartRefused

NAME = "erased.jsonl"
START = ""


@dataclass(frozen=True)
class Erased:
    """One subject's keys of one domain are gone, since `at`."""

    subject: UUID
    domain: str
    at: str


class Ledger:
    """Appends to and reads one file. Only its deployment can: the MAC's key is derived from the root."""

    def __init__(self, path: Path, key: bytes) -> None:
        self.path, self._key = path, key

    def like(self, path: Path) -> Ledger:
        """Return the ledger of another file of this deployment, a backup's perhaps."""
        return Ledger(path, self._key)

    def add(self, *erased: Erased) -> None:
        """Append what is not yet there; it is on the disk when this returns. Raises StartRefused as `read` does."""
        with line_file.growing(self.path) as (lines, append):
            known, last = self._checked(lines)
            names = {(old.subject, old.domain) for old in known}
            for one in erased:
                if (one.subject, one.domain) in names:
                    continue
                last = self._mac(last, one)
                append(json.dumps({"subject": str(one.subject), "domain": one.domain, "at": one.at, "mac": last}))

    def read(self) -> list[Erased]:
        """Return all entries, oldest first; none without a file. Raises StartRefused when a line is not as written."""
        return self._checked(line_file.lines(self.path))[0]

    def _checked(self, lines: list[str]) -> tuple[list[Erased], str]:
        known, last = [], START
        for number, line in enumerate(lines, 1):
            one, mac = _parse(line, self.path, number)
            last = self._mac(last, one)
            if not hmac.compare_digest(last, mac):
                raise _damaged(self.path, number)
            known.append(one)
        return known, last

    def _mac(self, previous: str, one: Erased) -> str:
        values = fields("telemed-erased-1", previous, str(one.subject), one.domain, one.at)
        return hmac.digest(self._key, values, "sha256").hex()


def _parse(line: str, path: Path, number: int) -> tuple[Erased, str]:
    try:
        raw = json.loads(line)
        return Erased(UUID(raw["subject"]), str(raw["domain"]), str(raw["at"])), str(raw["mac"])
    except (ValueError, KeyError, TypeError):
        raise _damaged(path, number) from None


def _damaged(path: Path, number: int) -> StartRefused:
    return StartRefused(f"Line {number} of {path} is not as it was written; take {NAME} from the newest backup.")
