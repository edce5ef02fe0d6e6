"""News and jobs in one table. An event's durable consequences are rows stored in the event's own transaction.

A job runs in one transaction together with the row that says it is done, so each consequence happens exactly once
however often workers are killed. A worker holds a lease; `attempts` is the fencing number: who lost the lease
cannot finish.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import JSON, CursorResult, case, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from telemed.clock import Clock, iso, parse_iso
from telemed.db import Base, Database
from telemed.ids import new_id
from telemed.prepared import PreparedInsert

LEASE_S = 60
ATTEMPTS = 10
POLL_S = 0.5
KEEP_DONE = timedelta(days=7)

log = structlog.get_logger()


class Job(Base):
    """`state`: wait, run, done, failed. `payload` holds ids, codes and times only."""

    __tablename__ = "job"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    run_at: Mapped[datetime] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    worker: Mapped[str | None]
    dedupe_key: Mapped[str] = mapped_column(unique=True)
    last_error: Mapped[str | None]
    created_at: Mapped[datetime]
    done_at: Mapped[datetime | None]


_JOBS = PreparedInsert(Job.metadata.tables[Job.__tablename__])
Handler = Callable[[Any, Session, Any], None]  # (services, tx, event)


@dataclass(frozen=True)
class Live:
    """A push after the commit: the socket event `name` to the rooms that `rooms` names. Of the event it carries the
    attributes `ids` and nothing else.
    """

    name: str
    rooms: Callable[[Any], Iterable[str]]
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recurring:
    """A chore. `run(services, tx)` is called about every `every_s` seconds by exactly one worker."""

    name: str
    every_s: int
    run: Callable[[Any, Session], None]


@dataclass(frozen=True)
class Journey:
    """The table of consequences, see journey.py."""

    durable: dict[type, tuple[Handler, ...]] = field(default_factory=dict)
    live: dict[type, tuple[Live, ...]] = field(default_factory=dict)
    urgent: tuple[Handler, ...] = ()  # these go before all others, and every server runs them itself
    recurring: tuple[Recurring, ...] = ()

    def handlers(self) -> dict[str, tuple[type, Handler]]:
        """Return every durable consequence by the name its jobs carry."""
        return {
            job_kind(event, handler): (event, handler)
            for event, handlers in self.durable.items()
            for handler in handlers
        }


    def urgent_kinds(self) -> frozenset[str]:
        """Return the names of the jobs that wait for no other and for no other process."""
        return frozenset(kind for kind, (_event, handler) in self.handlers().items() if handler in self.urgent)


def job_kind(event: type, handler: Handler) -> str:
    """Return `Event>slice.handler`, stable across releases as long as neither is renamed."""
    slice_name = handler.__module__.removeprefix("telemed.").split(".")[0]
    return f"{event.__name__}>{slice_name}.{handler.__name__}"


def publish(tx: Session, event: Any, journey: Journey, now: datetime) -> None:
    """Store the event's durable consequences in `tx`, and note it for the live push after the commit."""
    handlers = journey.durable.get(type(event), ())
    payload = _to_json(event) if handlers else {}
    jobs = [(job_kind(type(event), handler), new_id()) for handler in handlers]
    if jobs:
        _JOBS.run(
            tx,
            [
                {
                    "id": job_id, "kind": kind, "payload": payload, "run_at": now, "state": "wait", "attempts": 0,
                    "dedupe_key": f"{kind}:{job_id}", "created_at": now,
                }
                for kind, job_id in jobs
            ],
        )  # fmt: skip
    tx.info.setdefault("news", []).append(event)


class Worker:
    """Run due jobs, one transaction each, what is urgent first. `services` is handed to the handlers. With `only_urgent`
    nothing else is run.
    """

    def __init__(
        self, services: Any, db: Database, journey: Journey, clock: Clock, *, only_urgent: bool = False
    ) -> None:  # fmt: skip
        self.only_urgent, self._urgent = only_urgent, journey.urgent_kinds()
        self.services, self.db, self.journey, self.clock = services, db, journey, clock
        self.name = str(new_id())
        self._handlers = journey.handlers()
        chores = () if only_urgent else journey.recurring
        self._recurring = {f"every:{chore.name}": chore for chore in chores}
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Run in a background thread until `stop`."""
        self._thread = threading.Thread(target=self.run_forever, name="jobs", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look at the table at once."""
        self._wake.set()

    def stop(self) -> None:
        """Finish the job in hand and leave."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def run_forever(self) -> None:
        """Run due jobs; sleep until woken or for the polling interval."""
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self.plan_recurring()
                while not self._stop.is_set() and self.run_due():
                    pass
            except Exception as error:  # the edge of the worker: it must outlive a locked or absent database
                log.error("jobs.round_failed", error=type(error).__name__)
            self._wake.wait(POLL_S)

    def plan_recurring(self) -> None:
        """Make sure that each chore of the present period has its row."""
        now = self.clock()
        keys = {_period_key(chore, now): chore for chore in self._recurring.values()}
        with self.db.read() as tx:
            known = set(tx.scalars(select(Job.dedupe_key).where(Job.dedupe_key.in_(keys))))
        for key, chore in keys.items():
            if key not in known:
                self._plan(key, chore, now)

    def _plan(self, key: str, chore: Recurring, now: datetime) -> None:
        job = Job(
            id=new_id(), kind=f"every:{chore.name}", payload={}, run_at=now, state="wait",
            dedupe_key=key, created_at=now,
        )  # fmt: skip
        try:
            with self.db.write() as tx:
                tx.add(job)
        except IntegrityError:
            pass  # another worker was first

    def run_due(self, limit: int = 20) -> int:
        """Claim and run up to `limit` due jobs; return how many were claimed."""
        jobs = self._claim(limit)
        for job_id, kind, payload, attempts in jobs:
            self._run(job_id, kind, payload, attempts)
        return len(jobs)

    def _claim(self, limit: int) -> list[tuple[UUID, str, dict[str, Any], int]]:
        now = self.clock()
        due = (Job.run_at <= now) & ((Job.state == "wait") | ((Job.state == "run") & (Job.lease_until < now)))
        is_urgent = Job.kind.in_(self._urgent)
        if self.only_urgent:
            due &= is_urgent
        with self.db.read() as tx:
            if tx.scalar(select(Job.id).where(due).limit(1)) is None:
                return []
        order = (case((is_urgent, 0), else_=1), Job.run_at)
        chosen = select(Job.id).where(due).order_by(*order).limit(limit).with_for_update(skip_locked=True)
        with self.db.write() as tx:
            rows = tx.execute(
                update(Job)
                .where(Job.id.in_(chosen))
                .values(
                    state="run",
                    worker=self.name,
                    lease_until=now + timedelta(seconds=LEASE_S),
                    attempts=Job.attempts + 1,
                )
                .returning(Job.id, Job.kind, Job.payload, Job.attempts, Job.run_at)
                .execution_options(synchronize_session=False)
            ).all()
        rows = sorted(rows, key=lambda r: (r.kind not in self._urgent, r.run_at))
        return [(r.id, r.kind, r.payload, r.attempts) for r in rows]

    def _run(self, job_id: UUID, kind: str, payload: dict[str, Any], attempts: int) -> None:
        try:
            with self.db.write() as tx:
                self._do(tx, kind, payload)
                self._finish(tx, job_id, attempts)
        except LeaseLost:
            log.warning("jobs.lease_lost", job_id=str(job_id), kind=kind)
        except Exception as error:  # the edge of a job: it is tried again later, and says what failed
            log.error("jobs.failed", job_id=str(job_id), kind=kind, error=type(error).__name__, attempts=attempts)
            self._put_back(job_id, attempts, type(error).__name__)

    def _do(self, tx: Session, kind: str, payload: dict[str, Any]) -> None:
        if chore := self._recurring.get(kind):
            chore.run(self.services, tx)
            return
        event_class, handler = self._handlers[kind]
        handler(self.services, tx, _from_json(event_class, payload))

    def _finish(self, tx: Session, job_id: UUID, attempts: int) -> None:
        held = (Job.id == job_id) & (Job.worker == self.name) & (Job.attempts == attempts) & (Job.state == "run")
        done: CursorResult[Any] = tx.execute(  # type: ignore[assignment]
            update(Job).where(held).values(state="done", done_at=self.clock(), lease_until=None)
        )
        if done.rowcount != 1:
            raise LeaseLost

    def _put_back(self, job_id: UUID, attempts: int, error: str) -> None:
        state = "failed" if attempts >= ATTEMPTS else "wait"
        later = self.clock() + timedelta(seconds=min(2**attempts, 600))
        with self.db.write() as tx:
            tx.execute(
                update(Job)
                .where(Job.id == job_id, Job.worker == self.name, Job.attempts == attempts)
                .values(state=state, run_at=later, lease_until=None, last_error=error)
            )


class LeaseLost(Exception):
    """Another worker has the job now; what this one did is rolled back."""


def job_counts(tx: Session) -> dict[str, int]:
    """Return how many jobs are in each state."""
    return dict(tx.execute(select(Job.state, func.count()).group_by(Job.state)).all())  # type: ignore[arg-type]


def forget_done(services: Any, tx: Session) -> None:
    """Remove finished jobs after a week; failed ones stay until somebody looks."""
    tx.execute(delete(Job).where(Job.state == "done", Job.done_at < services.clock() - KEEP_DONE))


def _period_key(chore: Recurring, now: datetime) -> str:
    return f"every:{chore.name}:{int(now.timestamp()) // chore.every_s}"


def _to_json(event: Any) -> dict[str, Any]:
    return {f.name: _plain(getattr(event, f.name)) for f in fields(event)}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value.astimezone(UTC))
    return str(value) if isinstance(value, UUID) else value


def _from_json(event_class: type, payload: dict[str, Any]) -> Any:
    read: dict[str, Callable[[Any], Any]] = {"UUID": UUID, "datetime": parse_iso}
    values = {}
    for f in fields(event_class):
        if f.name not in payload:  # stored by the release before, which did not know the field: its default holds
            continue
        kind = str(f.type).removesuffix(" | None")
        value = payload[f.name]
        values[f.name] = read.get(kind, lambda v: v)(value) if value is not None else None
    return event_class(**values)
