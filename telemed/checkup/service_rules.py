"""Which guideline's rule each branch measures blood pressure by: the coordinator chooses, new visits follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select

from telemed.access.relations import Principal, Subject
from telemed.branches.models import Branch
from telemed.checkup.service_series import protocols
from telemed.errors import Invalid, NotFound
from telemed.rules_text import by_name
from telemed.services import Services
from telemed.settings import SERIES_RULES


@dataclass(frozen=True)
class SeriesRule:
    """A rule in figures. `mean_of`: all or last_two; `one_more_above_mmhg` and `enough_below_mmhg` None where the
    guideline says nothing of it.
    """

    name: str
    guideline: str
    year: int
    rest_min: int
    readings: int
    interval_min: int
    mean_of: str
    one_more_above_mmhg: int | None
    enough_below_mmhg: tuple[int, int] | None


@dataclass(frozen=True)
class BranchRule:
    """The rule of a branch; `is_own` is False where the deployment's is followed."""

    id: UUID
    place: str
    name: str
    rule: str
    is_own: bool


def known_rules() -> list[SeriesRule]:
    """Return the rules that may be chosen, the usual one first."""
    return [_rule(protocols()[name]) for name in SERIES_RULES]


def _rule(protocol: dict[str, Any]) -> SeriesRule:
    pressure = protocol["series"]["blood_pressure"]
    enough = pressure["enough_below_mmhg"]
    return SeriesRule(
        protocol["id"], protocol["guideline"], protocol["year"], pressure["rest_s"] // 60, pressure["readings"],
        pressure["interval_s"] // 60, pressure["mean_of"], pressure["one_more_above_mmhg"],
        tuple(enough) if enough else None,
    )  # fmt: skip


def rules_of_region(services: Services, who: Principal) -> list[BranchRule]:
    """Return the rule of every branch of the coordinator's region, in order of place."""
    with services.look(who, "region.read", Subject(region_id=who.region_id)) as tx:
        rows = tx.scalars(select(Branch).where(Branch.region_id == who.region_id))
        usual = services.settings.series_rule
        return [
            BranchRule(row.id, row.place, row.name, row.series_rule or usual, row.series_rule is not None)
            for row in sorted(rows, key=lambda row: (by_name(row.place, who.language), row.name))
        ]


def set_rule(services: Services, who: Principal, branch_id: UUID | None, rule: str) -> None:
    """Let a branch, or with None the whole region, measure by a rule from the next visit on; "" is the deployment's.
    Raises Invalid, NotFound.
    """
    if rule and rule not in SERIES_RULES:
        raise Invalid(fields={"rule": "required"})
    subject = Subject(branch_id=branch_id) if branch_id else Subject(region_id=who.region_id)
    with services.act(who, "branch.set_rule", subject) as tx:
        mine = select(Branch).where(Branch.region_id == who.region_id)
        rows = tx.scalars(mine.where(Branch.id == branch_id) if branch_id else mine).all()
        if branch_id and not rows:
            raise NotFound()
        for row in rows:
            row.series_rule = rule or None
