"""Use cases of the quality record: a page's minutes come in, the coordinator sees branches and calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Subject
from telemed.branches.models import Branch
from telemed.consultation import rules
from telemed.consultation.models import CallMinute, CallStep, Consultation
from telemed.consultation.relations import subject_of
from telemed.errors import NotFound
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
    """How calls went: of a branch, or one call. Shares are of the time talked."""

    id: UUID
    name: str
    at: datetime | None
    calls: int
    minutes: float
    concealed_pct: float
    frozen_pct: float
    cuts: int
    set_up_ms: int | None
    step: str
    line_class: str | None


_SECONDS = func.sum(CallMinute.seconds)
_FIGURES = (
    func.count(func.distinct(CallMinute.consultation_id)),
    _SECONDS,
    func.sum(func.coalesce(CallMinute.concealed_pct, 0) * CallMinute.seconds),
    func.sum(CallMinute.frozen_s),
    func.sum(CallMinute.cuts),
    func.avg(CallMinute.set_up_ms),
    func.max(CallMinute.at),
)


def quality_of_region(services: Services, who: Principal) -> list[Quality]:
    """Return the last 30 days of each branch of the coordinator's region, the worst voice first."""
    with services.look(who, "consultation.read_quality", Subject(region_id=who.region_id)) as tx:
        query = (
            select(CallMinute.branch_id, *_FIGURES)
            .join(Branch, Branch.id == CallMinute.branch_id)
            .where(Branch.region_id == who.region_id, CallMinute.at >= services.clock() - rules.QUALITY_SHOWN)
            .group_by(CallMinute.branch_id)
        )
        branches = {row.id: row for row in tx.scalars(select(Branch).where(Branch.region_id == who.region_id))}
        found = [
            _quality(row, f"{branches[row[0]].name}, {branches[row[0]].place}", branches[row[0]].line_class, "")
            for row in tx.execute(query)
        ]
    return sorted(found, key=lambda one: -one.concealed_pct)


def quality_of_branch(services: Services, who: Principal, branch_id: UUID) -> tuple[str, list[Quality]]:
    """Return the branch's name and its newest hundred calls. Raises NotFound for a branch of another region."""
    with services.db.read() as tx:
        branch = tx.get(Branch, branch_id)
    if branch is None or branch.region_id != who.region_id:
        raise NotFound()
    with services.look(who, "consultation.read_quality", Subject(region_id=who.region_id)) as tx:
        rows = tx.execute(_calls_of(branch_id)).all()
        lowest = _lowest_steps(tx, [row[0] for row in rows])
        name = f"{branch.name}, {branch.place}"
        return name, [_quality(row, "", None, lowest.get(row[0], rules.MODES[0])) for row in rows]


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


def _quality(row: Any, name: str, line_class: str | None, step: str) -> Quality:
    id_, calls, seconds, concealed, frozen_s, cuts, set_up_ms, at = row
    seconds = seconds or 1
    return Quality(
        id=id_, name=name, at=at, calls=calls, minutes=round(seconds / 60, 1), line_class=line_class, step=step,
        concealed_pct=round(concealed / seconds, 1), frozen_pct=round(100 * frozen_s / seconds, 1), cuts=cuts,
        set_up_ms=None if set_up_ms is None else round(set_up_ms),
    )  # fmt: skip
