"""The database side of the operator's commands."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, select

from telemed.access import audit, heads
from telemed.access.models import Account, AuditRow, Deployment
from telemed.access.relations import SYSTEM, Principal, Subject
from telemed.ids import new_id
from telemed.outbox import job_counts
from telemed.services import Services


def accounts_of(services: Services) -> list[tuple[str, str, bool]]:
    """Return login, role and whether it is disabled, of every account."""
    with services.db.read() as tx:
        rows = tx.scalars(select(Account).order_by(Account.role, Account.login))
        return [(row.login, row.role, row.disabled_at is not None) for row in rows]


def check_audit(services: Services, *copies: Path) -> tuple[list[heads.Fault], int]:
    """Return what is wrong with the audit trail, and how many rows it has. `copies` are heads kept elsewhere."""
    with services.db.read() as tx:
        broken = audit.first_broken(tx)
        wrong = [] if broken is None else [heads.Fault("audit_chain_broken", {"row": broken})]
        for path in (heads.path_of(services), *copies):
            wrong += heads.faults(services, tx, path)
        return wrong, tx.scalar(select(func.count(AuditRow.no))) or 0


def failed_jobs(services: Services) -> int:
    """Return how many jobs failed for good."""
    with services.db.read() as tx:
        return job_counts(tx).get("failed", 0)


def audit_rows(services: Services) -> int:
    """Return how many rows the audit trail has."""
    with services.db.read() as tx:
        return heads.rows(tx)


def begin_epoch(services: Services, kept: int) -> None:
    """Give the deployment a new epoch; heads of the audit trail beyond the `kept` rows of the backup are void."""
    with services.db.write() as tx:
        deployment = tx.scalars(select(Deployment)).one()
        deployment.epoch = new_id()
        audit.record(tx, services.clock(), SYSTEM, "system.restore", Subject(), allowed=True, reason="command")
    services.epoch = deployment.epoch
    heads.sign_now(services, kept=kept)


def rotate_keys(services: Services) -> None:
    """Add a new version of every domain key; old versions still open what they sealed."""
    with services.db.write() as tx:
        services.keys.rotate(tx)
        audit.record(tx, services.clock(), SYSTEM, "system.rotate_keys", Subject(), allowed=True, reason="command")


def key_lines(services: Services) -> list[str]:
    """Return one line a domain with its newest version."""
    return [f"{domain:10} version {version}" for domain, version in sorted(services.keys.versions().items())]


def newest_audit(services: Services, who: Principal, limit: int) -> list[AuditRow]:
    """Return the newest audit rows; audited itself."""
    with services.act(who, "audit.read") as tx:
        return list(tx.scalars(select(AuditRow).order_by(AuditRow.no.desc()).limit(limit)))
