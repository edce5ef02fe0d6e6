"""Use cases of the quality record: a page's minutes come in, the coordinator sees branches and calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Select, func, select
from sqlalchemy import case as sql_case
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Subject
from telemed.branches.models import Branch
from telemed.consultation import rules, verdicts
from telemed.consultation.models import CallMinute, CallStep, Consultation
from telemed.consultation.relations import subject_of
from telemed.errors import NotFound
from telemed.rules_text import by_name
from telemed.services import Services


def record_minute(
    services: Services, who: Principal, case_id: UUID, minute_id: UUID, figures: Mapping[str, Any]
) -> None:
    """Keep one minute of one side once. It may come shortly after the end: the last minute always does."""
    with services.act(who, "consultation.join_call", subject_of(services, case_id)) as tx:
        case = tx.get(Consultation, case_id)
        assert case is not None
        if (who.role == "doctor" and case.doctor_id != who.id) or tx.get(CallMinute, minute_id) is not None:
            return
        tx.add(
            CallMinute(
                id=minute_id, consultation_id=case.id, branch_id=case.branch_id, role=str(who.role),
                at=services.clock(), **figures,
            )
        )  # fmt: skip


@dataclass(frozen=True)
class Quality:
    """How calls went: of a branch, a week or one call. Shares are of the time talked; voice that no page could measure
    is None. `verdict` and `trend` are words of verdicts.py; `at` is the newest minute, of a week its Monday.
    """

    id: UUID
    name: str
    at: datetime | None
    calls: int
    minutes: float
    concealed_pct: float | None
    frozen_pct: float
    cuts: int
    set_up_ms: int | None
    step: str
    line_class: str | None
    verdict: str
    trend: str


_SECONDS = func.sum(CallMinute.seconds)
_FIGURES = (
    func.count(func.distinct(CallMinute.consultation_id)),
    _SECONDS,
    func.sum(sql_case((CallMinute.concealed_pct.is_not(None), CallMinute.seconds), else_=0)),
    func.sum(func.coalesce(CallMinute.concealed_pct, 0) * CallMinute.seconds),
    func.sum(CallMinute.frozen_s),
    func.sum(CallMinute.cuts),
    func.avg(CallMinute.set_up_ms),
    func.max(CallMinute.at),
)


def quality_of_region(services: Services, who: Principal) -> list[Quality]:
    """Return the last 30 days of each branch of the coordinator's region that had a call, the worst first."""
    with services.look(who, "consultation.read_quality", Subject(region_id=who.region_id)) as tx:
        now = services.clock()
        begin, newest = now - rules.QUALITY_SHOWN, now - rules.QUALITY_NOW
        before, lately = (
            {row[0]: row for row in tx.execute(_by_branch(who.region_id, *span))}
            for span in ((begin, newest), (newest, None))
        )
        rows = tx.execute(_by_branch(who.region_id, begin)).all()
        branches = {row.id: row for row in tx.scalars(select(Branch).where(Branch.region_id == who.region_id))}
        found = [
            _quality(
                row, name=_name(branches[row[0]]), line_class=branches[row[0]].line_class,
                trend=verdicts.trend(_concealed_pct(before.get(row[0])), _concealed_pct(lately.get(row[0]))),
            )
            for row in rows
        ]
    return sorted(
        found, key=lambda one: (verdicts.VERDICTS.index(one.verdict), -(one.concealed_pct or 0), by_name(one.name))
    )


def without_calls(services: Services, who: Principal) -> list[tuple[UUID, str, str | None]]:
    """Return the region's other branches as (id, name, class of the line): nobody talked there in the last 30 days."""
    with services.look(who, "consultation.read_quality", Subject(region_id=who.region_id)) as tx:
        talked = select(CallMinute.branch_id).where(CallMinute.at >= services.clock() - rules.QUALITY_SHOWN)
        rows = tx.scalars(
            select(Branch).where(Branch.region_id == who.region_id, Branch.id.not_in(talked))
        )
        found = [(row.id, _name(row), row.line_class) for row in rows]
    return sorted(found, key=lambda row: by_name(row[1], who.language))


def quality_of_branch(services: Services, who: Principal, branch_id: UUID) -> tuple[str, list[Quality]]:
    """Return the branch's name and its newest hundred calls. Raises NotFound for a branch of another region."""
    branch = _own(services, who, branch_id)
    with services.look(who, "consultation.read_quality", Subject(region_id=who.region_id)) as tx:
        rows = tx.execute(_calls_of(branch_id)).all()
        lowest = _lowest_steps(tx, [row[0] for row in rows])
        return _name(branch), [_quality(row, step=lowest.get(row[0], rules.MODES[0])) for row in rows]


def quality_by_week(services: Services, who: Principal, branch_id: UUID) -> list[Quality]:
    """Return the newest eight weeks of a branch that had a call, newest first, each compared with the one before it."""
    branch = _own(services, who, branch_id)
    with services.look(who, "consultation.read_quality", Subject(region_id=who.region_id)) as tx:
        mondays = _mondays(services.clock(), branch.zone)
        rows = [
            (monday, row)
            for monday, following in zip(mondays[1:], mondays, strict=False)
            for row in tx.execute(_by_branch(who.region_id, monday, following).where(CallMinute.branch_id == branch_id))
        ]
        shares = [*(_concealed_pct(row) for _monday, row in rows), None]
        return [
            replace(_quality(row, trend=verdicts.trend(shares[number + 1], shares[number])), at=monday)
            for number, (monday, row) in enumerate(rows)
        ]


def _own(services: Services, who: Principal, branch_id: UUID) -> Branch:
    with services.db.read() as tx:
        branch = tx.get(Branch, branch_id)
    if branch is None or branch.region_id != who.region_id:
        raise NotFound()
    return branch


def _name(branch: Branch) -> str:
    return f"{branch.name}, {branch.place}"


def _mondays(now: datetime, zone: str) -> list[datetime]:
    """Return where the weeks begin at the branch, the coming Monday first."""
    today = now.astimezone(ZoneInfo(zone)).date()
    coming = today + timedelta(days=7 - today.weekday())
    days = [coming - timedelta(weeks=number) for number in range(rules.QUALITY_WEEKS + 1)]
    return [datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC) for day in days]


def _by_branch(region_id: UUID | None, begin: datetime, end: datetime | None = None) -> Select[Any]:
    query = (
        select(CallMinute.branch_id, *_FIGURES)
        .join(Branch, Branch.id == CallMinute.branch_id)
        .where(Branch.region_id == region_id, CallMinute.at >= begin)
        .group_by(CallMinute.branch_id)
    )
    return query if end is None else query.where(CallMinute.at < end)


def _calls_of(branch_id: UUID) -> Select[Any]:
    return (
        select(CallMinute.consultation_id, *_FIGURES)
        .where(CallMinute.branch_id == branch_id)
        .group_by(CallMinute.consultation_id)
        .order_by(func.max(CallMinute.at).desc())
        .limit(100)
    )


def _lowest_steps(tx: Session, case_ids: list[UUID]) -> dict[UUID, str]:
    rows = tx.execute(
        select(CallStep.consultation_id, CallStep.kind)
        .where(CallStep.consultation_id.in_(case_ids), CallStep.kind.in_(rules.MODES))
        .distinct()
    )
    found: dict[UUID, list[str]] = {}
    for case_id, kind in rows:
        found.setdefault(case_id, []).append(kind)
    return {case_id: rules.lowest(kinds) for case_id, kinds in found.items()}


def _concealed_pct(row: Any) -> float | None:
    """Return the share of the voice that was made up; None when nothing was measured."""
    if row is None or not row[3]:
        return None
    return round(float(row[4] / row[3]), 1)


def _quality(
    row: Any, *, name: str = "", line_class: str | None = None, step: str = "", trend: str = "new"
) -> Quality:
    id_, calls, seconds, _heard_s, _concealed, frozen_s, cuts, set_up_ms, at = row
    seconds = seconds or 1
    figures: dict[str, Any] = {
        "minutes": round(seconds / 60, 1), "concealed_pct": _concealed_pct(row),
        "frozen_pct": round(100 * frozen_s / seconds, 1), "cuts": cuts,
        "set_up_ms": None if set_up_ms is None else round(set_up_ms),
    }  # fmt: skip
    return Quality(
        id=id_, name=name, at=at, calls=calls, line_class=line_class, step=step, trend=trend,
        verdict=verdicts.verdict(**figures), **figures,
    )  # fmt: skip
