"""Jobs: stored with their event, run exactly once however often workers are killed, lost leases cannot finish."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update

from telemed import journey, outbox
from telemed.checkup import service as checkup
from telemed.consultation import service as consultation
from telemed.outbox import ATTEMPTS, Job, Journey, Recurring, Worker
from telemed.services import Services
from telemed.settings import Settings
from tests import cast
from tests.conftest import Clock
from tests.make import Hands

KILLED_WORKER = Path(__file__).parent / "killed_worker.py"
JOBS = 120


@dataclass(frozen=True)
class BellRang:
    """An event of the tests."""

    branch_id: UUID
    number: int


def journey_of(handler: Callable) -> Journey:
    return Journey(durable={BellRang: (handler,)})


def ring(services: Services, table: Journey, number: int = 1) -> None:
    with services.db.write() as tx:
        outbox.publish(tx, BellRang(cast.OZERKI, number), table, services.clock())


def states(services: Services) -> list[str]:
    with services.db.read() as tx:
        return list(tx.scalars(select(Job.state).where(Job.kind.like("BellRang%")).order_by(Job.created_at)))


def test_an_event_and_its_jobs_are_stored_together_or_not_at_all(services: Services) -> None:
    table = journey_of(lambda _services, _tx, _event: None)
    with services.db.write() as tx:
        outbox.publish(tx, BellRang(cast.OZERKI, 1), table, services.clock())
        tx.rollback()
    assert states(services) == []

    ring(services, table)
    assert states(services) == ["wait"]


def test_a_handler_gets_the_event_as_it_was_published(services: Services, clock: Clock) -> None:
    seen: list[BellRang] = []
    table = journey_of(lambda _services, _tx, event: seen.append(event))
    ring(services, table, 7)

    assert Worker(services, services.db, table, clock).run_due() == 1
    assert seen == [BellRang(cast.OZERKI, 7)]
    assert states(services) == ["done"]


def test_a_failing_job_backs_off_and_is_failed_after_its_last_attempt(services: Services, clock: Clock) -> None:
    calls: list[int] = []

    def fail(_services: object, _tx: object, event: BellRang) -> None:
        calls.append(event.number)
        raise OSError("no paper")

    table = journey_of(fail)
    worker = Worker(services, services.db, table, clock)
    ring(services, table)
    assert worker.run_due() == 1
    assert worker.run_due() == 0, "it waits before the next try"

    for _ in range(ATTEMPTS + 3):
        clock.forward(minutes=15)
        worker.run_due()

    assert states(services) == ["failed"]
    assert len(calls) == ATTEMPTS


def test_what_a_failed_job_did_is_rolled_back(services: Services, clock: Clock, hands: Hands) -> None:
    def half(services_: Services, tx: outbox.Session, _event: BellRang) -> None:
        tx.execute(text("UPDATE branch SET name = 'half'"))
        raise OSError

    ring(services, journey_of(half))
    Worker(services, services.db, journey_of(half), clock).run_due()

    with services.db.read() as tx:
        assert tx.execute(text("SELECT count(*) FROM branch WHERE name = 'half'")).scalar() == 0


def test_who_lost_the_lease_cannot_finish(services: Services, clock: Clock) -> None:
    effects: list[str] = []

    def slow(services_: Services, tx: outbox.Session, _event: BellRang) -> None:
        effects.append("slow")
        # While this one works, its lease runs out and another worker takes the job.
        tx.execute(update(Job).values(attempts=Job.attempts + 1, worker="another"))

    table = journey_of(slow)
    ring(services, table)
    Worker(services, services.db, table, clock).run_due()

    assert effects == ["slow"]
    assert states(services) == ["run"], "the late finish rolled back, the job is as the other's claim left it"


def test_a_chore_runs_once_a_period_however_many_workers_plan_it(services: Services, clock: Clock) -> None:
    runs: list[int] = []
    table = Journey(recurring=(Recurring("sweep", 3600, lambda _services, _tx: runs.append(1)),))
    workers = [Worker(services, services.db, table, clock) for _ in range(2)]

    for _ in range(3):
        for worker in workers:
            worker.plan_recurring()
            worker.run_due()
    assert runs == [1]

    clock.forward(hours=1)
    for worker in workers:
        worker.plan_recurring()
        worker.run_due()
    assert runs == [1, 1]


@pytest.mark.db
@pytest.mark.parametrize("jobs", [JOBS, pytest.param(3_000, marks=pytest.mark.soak)])
def test_killed_workers_lose_and_double_nothing(db_services: Services, db_settings: Settings, jobs: int) -> None:
    """Two processes that kill -9 themselves at random in the middle of a job; the effects are counted."""
    table = journey_of(lambda *_: None)
    with db_services.db.write() as tx:
        tx.execute(text("CREATE TABLE effect (number INTEGER)"))
        for number in range(jobs):
            outbox.publish(tx, BellRang(cast.OZERKI, number), table, db_services.clock())
        tx.execute(update(Job).values(kind="BellRang>tests.ring"))
    killed = 0
    for _ in range(jobs):
        command = [sys.executable, str(KILLED_WORKER), db_settings.database_url]
        codes = [
            process.wait(60)
            for process in [subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(Path.cwd())}) for _ in "ab"]
        ]
        killed += sum(code == -9 for code in codes)
        if codes == [0, 0]:
            break

    with db_services.db.read() as tx:
        assert tx.scalar(select(func.count()).where(Job.state == "done")) == jobs
        numbers = [row.number for row in tx.execute(text("SELECT number FROM effect"))]
    assert sorted(numbers) == list(range(jobs))
    assert killed > 0, "the test must have killed somebody"


@pytest.mark.parametrize("event", [*journey.DURABLE, *journey.LIVE])
def test_an_event_carries_ids_codes_and_times_only(event: type) -> None:
    allowed = {"UUID", "datetime", "UUID | None", "bool", "int", "str"}
    codes = {"level", "status", "outcome", "purpose", "kind", "reason", "line_class", "state", "verdict", "ending"}

    assert {str(field.type) for field in fields(event)} <= allowed
    assert {field.name for field in fields(event) if str(field.type) == "str"} <= codes


def test_what_is_urgent_waits_behind_no_other_job(services: Services, clock: Clock) -> None:
    ran: list[str] = []

    def usual(_services: Services, _tx: object, _event: BellRang) -> None:
        ran.append("usual")

    def urgent(_services: Services, _tx: object, _event: BellRang) -> None:
        ran.append("urgent")

    table = Journey(durable={BellRang: (usual, urgent)}, urgent=(urgent,))
    for _ in range(3):
        ring(services, table)
        clock.forward(seconds=1)
    Worker(services, services.db, table, clock).run_due(limit=4)

    assert ran == ["urgent", "urgent", "urgent", "usual"]


@pytest.mark.db
def test_every_server_brings_a_red_flag_before_the_doctors_itself(db_services: Services, clock: Clock) -> None:
    """On PostgreSQL another process runs the jobs; what a red flag starts does not depend on it."""
    services, who = db_services, cast.ANNA.who
    visit = checkup.open_visit(services, who, cast.MARIA.id, cast.OZERKI, "document")
    checkup.answer_questions(services, who, visit, {"symptoms": ["chest_pain"], "arm": "", "cuff": ""})
    worker = Worker(services, services.db, journey.JOURNEY, clock, only_urgent=True)
    worker.plan_recurring()
    while worker.run_due():
        pass

    assert [case.level for case in consultation.queue(services, cast.VERA.who)] == ["RED"]
    with services.db.read() as tx:
        kinds = set(tx.scalars(select(Job.kind).where(Job.state == "wait")))
    assert kinds == {"VisitOpened>pilot.count_came"}, "all else is left to the other process"
