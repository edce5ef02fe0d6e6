"""What stands between this gateway and a meter that is enrolled: kept until the meter has been read, told to the branch.

A meter that is not read must not look like one that has nothing to say.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from devices import wire
from devices.journal import Journal

CANNOT_BE_READ = "cannot_be_read"  # it answers, and nothing comes of it, again and again
OTHER_METER = "other_meter"  # where it was, another one answers
RECORDS_MISSING = "records_missing"  # it counts more records than it gives
TROUBLES = (CANNOT_BE_READ, OTHER_METER, RECORDS_MISSING)
TOLD_FOR = timedelta(days=1)  # what nobody can mend is news for so long


class Troubles:
    """The trouble of each meter, on the disk: a restart mends nothing."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def note(self, enrolment_id: str, code: str, now: datetime) -> None:
        """Tell this of a meter from now on."""
        if code != self.of(enrolment_id, now):
            self._journal.remember(_name(enrolment_id), json.dumps({"code": code, "at": wire.iso(now)}))

    def clear(self, enrolment_id: str, *codes: str) -> None:
        """Tell these of a meter no more."""
        kept = self._journal.setting(_name(enrolment_id))
        if kept and json.loads(kept)["code"] in codes:
            self._journal.remember(_name(enrolment_id), "")

    def of(self, enrolment_id: str, now: datetime) -> str | None:
        """Return what is told of a meter, or None."""
        kept = self._journal.setting(_name(enrolment_id))
        if not kept:
            return None
        told = json.loads(kept)
        is_over = told["code"] == RECORDS_MISSING and now - wire.parse_iso(told["at"]) > TOLD_FOR
        return None if is_over else str(told["code"])


def _name(enrolment_id: str) -> str:
    return f"trouble:{enrolment_id}"
