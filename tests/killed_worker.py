"""A worker process of test_outbox: it dies by SIGKILL at random moments inside a job. Its lease is one second."""

from __future__ import annotations

import os
import random
import signal
import sys
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from telemed import outbox
from telemed.clock import set_ahead, utc_now
from telemed.db import Database
from telemed.outbox import Journey, Worker


@dataclass(frozen=True)
class BellRang:
    branch_id: UUID
    number: int


def ring(_services: object, tx: outbox.Session, event: BellRang) -> None:
    if random.random() < 0.03:
        os.kill(os.getpid(), signal.SIGKILL)
    tx.execute(text("INSERT INTO effect VALUES (:number)"), {"number": event.number})
    if random.random() < 0.03:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    outbox.LEASE_S = 0  # whoever dies loses the job at once
    ring.__module__ = "telemed.tests"
    set_ahead(int(os.environ.get("TEST_CLOCK_OFFSET_S") or 0))
    worker = Worker(None, Database(sys.argv[1]), Journey(durable={BellRang: (ring,)}), utc_now)
    while worker.run_due(limit=5):
        pass
