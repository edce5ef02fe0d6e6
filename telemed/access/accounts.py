"""Accounts and sign-in: name and password, revocable sessions kept in the database, a limit on wrong tries."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import bindparam, delete, func, outerjoin, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from telemed.access import audit
from telemed.access.models import Account, SignInAttempt, SignInSession
from telemed.access.relations import NOBODY, SYSTEM, Principal, Subject
from telemed.access.roles import ROLES
from telemed.crypto import passwords, tokens
from telemed.db import Reads
from telemed.errors import Forbidden, Invalid, TooMany, Unavailable
from telemed.i18n import LANGUAGES
from telemed.ids import new_id
from telemed.prepared import ask
from telemed.services import Services

log = structlog.get_logger()

ABSOLUTE = timedelta(hours=12)  # NIST SP 800-63B AAL2, the stricter reading
IDLE = timedelta(minutes=30)
PATIENT_LIFE = timedelta(hours=1)
TRIES, TRIES_WINDOW = 8, timedelta(minutes=10)
PASSWORD_MIN = 15  # NIST SP 800-63B-4: a password alone has at least 15 characters
LOGIN = re.compile(r"[a-z0-9][a-z0-9._-]{1,39}")
# Asked at every request, at every socket event and for each listener: columns of the tables, prepared once.
_session, _account = SignInSession.__table__.c, Account.__table__.c
_SEEN = (
    select(
        _session.id, _session.token_hash, _session.patient_id, _session.last_seen_at, _session.expires_at,
        _session.revoked_at, _account.id.label("account_id"), _account.role, _account.display_name,
        _account.branch_id, _account.region_id, _account.language, _account.disabled_at,
    )
    .select_from(outerjoin(SignInSession.__table__, Account.__table__, _account.id == _session.account_id))
    .where(_session.token_hash.in_(bindparam("hashes", expanding=True)))
)  # fmt: skip


def create_account(
    services: Services,
    login: str,
    password: str,
    role: str,
    display_name: str,
    *,
    branch_id: UUID | None = None,
    region_id: UUID | None = None,
    language: str = "ru",
    account_id: UUID | None = None,
) -> UUID:
    """Store an account and return its id. Raises Invalid with the wrong fields."""
    _check_new(login, password, role, display_name, language, demo=services.demo)
    with services.db.write() as tx:
        if tx.scalar(select(Account.id).where(Account.login == login)):
            raise Invalid(fields={"login": "login_taken"})
        account = Account(
            id=account_id or new_id(), login=login, role=role, display_name=display_name.strip(),
            password_hash=passwords.hash_password(password), branch_id=branch_id, region_id=region_id,
            language=language, disabled_at=None, created_at=services.clock(),
        )  # fmt: skip
        tx.add(account)
        subject = Subject(account_id=account.id)
        audit.record(tx, services.clock(), SYSTEM, "account.create", subject, allowed=True, reason="command")
    return account.id


def _check_new(login: str, password: str, role: str, display_name: str, language: str, *, demo: bool) -> None:
    wrong = {}
    if not LOGIN.fullmatch(login):
        wrong["login"] = "login_invalid"
    if len(password) < PASSWORD_MIN and not demo:
        wrong["password"] = "password_too_short"
    if len(password) > 256 or login in password.lower():
        wrong["password"] = "password_invalid"
    if role not in ROLES or role in ("patient", "gateway"):
        wrong["role"] = "role_unknown"
    if not 1 <= len(display_name.strip()) <= 120:
        wrong["display_name"] = "required"
    if language not in LANGUAGES:
        wrong["language"] = "language_unknown"
    if wrong:
        raise Invalid(fields=wrong)


def sign_in(services: Services, login: str, password: str, address: str) -> str:
    """Return a fresh session token. Raises TooMany, or Forbidden(wrong_password) whatever was wrong."""
    targets = [tokens.token_hash(f"login:{login.lower()}"), tokens.token_hash(f"address:{address}")]
    tries = [SignInAttempt(id=new_id(), target_hash=target, at=services.clock()) for target in targets]
    with services.db.write() as tx:
        _refuse_too_many(tx, targets, services.clock())
        tx.add_all(tries)  # counted before it is judged: a hundred tries at once are a hundred tries
        account = tx.scalar(select(Account).where(Account.login == login.lower()))
    # The slow hash runs outside the transaction, also for an unknown name, so that time does not tell.
    right = passwords.verify_password(account.password_hash if account else passwords.DUMMY_HASH, password)
    if not right or account is None or account.disabled_at is not None:
        with services.db.write() as tx:
            now = services.clock()
            audit.record(tx, now, NOBODY, "session.sign_in", Subject(), allowed=False, reason="wrong_password")
        raise Forbidden("wrong_password")
    with services.db.write() as tx:
        tx.execute(delete(SignInAttempt).where(SignInAttempt.id.in_([one.id for one in tries])))
    return open_session(services, account_id=account.id)


def _refuse_too_many(tx: Session, targets: list[bytes], now: datetime) -> None:
    since = now - TRIES_WINDOW
    tx.execute(delete(SignInAttempt).where(SignInAttempt.at < since))
    for target, limit in zip(targets, (TRIES, TRIES * 5), strict=True):
        count = tx.scalar(select(func.count()).where(SignInAttempt.target_hash == target, SignInAttempt.at >= since))
        if (count or 0) >= limit:
            raise TooMany(retry_after_s=int(TRIES_WINDOW.total_seconds()))


def open_session(services: Services, *, account_id: UUID | None = None, patient_id: UUID | None = None) -> str:
    """Store a session for a member of staff or for the patient of a shown card; return its token."""
    now = services.clock()
    token = tokens.new_token()
    life = ABSOLUTE if account_id else PATIENT_LIFE
    session = SignInSession(
        id=new_id(), token_hash=tokens.token_hash(token), account_id=account_id, patient_id=patient_id,
        created_at=now, last_seen_at=now, expires_at=now + life, revoked_at=None,
    )  # fmt: skip
    subject = Subject(account_id=account_id, patient_id=patient_id)
    with services.db.write() as tx:
        tx.add(session)
        audit.record(tx, now, NOBODY, "session.sign_in", subject, allowed=True, reason="allowed")
    return token


def who_is(services: Services, token: str | None) -> Principal:
    """Return the principal of a session token; NOBODY for a missing, ended, idle or revoked one."""
    if not token:
        return NOBODY
    now = services.clock()
    with services.db.glance() as tx:
        session = ask(tx, _SEEN, {"hashes": [tokens.token_hash(token)]}).first()
    if session is None or not _is_alive(session, now):
        return NOBODY
    if now - session.last_seen_at > timedelta(minutes=1):
        _touch(services, session.id, now)
    return _principal(session)


def author_of(services: Services, token: str | None) -> UUID | None:
    """Return whose words a page may keep: of a living session, and of one that only stood idle too long within the last
    half day. Who signed out or was shut out writes nothing any more.
    """
    with services.db.glance() as tx:
        session = ask(tx, _SEEN, {"hashes": [tokens.token_hash(token)]}).first() if token else None
    if session is None or session.revoked_at is not None or services.clock() - session.last_seen_at >= ABSOLUTE:
        return None
    return _principal(session).id


def who_are(services: Services, tx: Reads, session_tokens: Iterable[str]) -> dict[str, Principal]:
    """Return the principals of those session tokens that are alive, by one query. Asking does not keep them alive."""
    by_hash = {tokens.token_hash(token): token for token in session_tokens}
    now = services.clock()
    rows = ask(tx, _SEEN, {"hashes": list(by_hash)})
    found = {by_hash[row.token_hash]: _principal(row) for row in rows if _is_alive(row, now)}
    return {token: who for token, who in found.items() if who.role is not None}


def _is_alive(session: Any, now: datetime) -> bool:
    if session.revoked_at is not None or now >= session.expires_at:
        return False
    return bool(now - session.last_seen_at < IDLE)


def _principal(row: Any) -> Principal:
    if row.patient_id is not None:
        return Principal(id=row.patient_id, role="patient", patient_id=row.patient_id, session_id=row.id)
    if row.account_id is None or row.disabled_at is not None:
        return NOBODY
    return Principal(
        id=row.account_id, role=row.role, display_name=row.display_name, branch_id=row.branch_id,
        region_id=row.region_id, session_id=row.id, language=row.language,
    )  # fmt: skip


def _touch(services: Services, session_id: UUID, now: datetime) -> None:
    """Note that a session is in use, if that can be noted at once: no page waits for it, and none fails with it."""
    try:
        with services.db.write(wait_s=0) as tx:
            session = tx.get(SignInSession, session_id)
            if session is not None:
                session.last_seen_at = now
    except (Unavailable, OperationalError) as error:
        log.warning("session.not_touched", error=type(error).__name__)


def sign_out(services: Services, who: Principal) -> None:
    """End the session of `who`."""
    if who.session_id is None:
        return
    with services.db.write() as tx:
        session = tx.get(SignInSession, who.session_id)
        if session is not None:
            session.revoked_at = services.clock()
        audit.record(tx, services.clock(), who, "session.sign_out", Subject(), allowed=True, reason="allowed")


def disable_account(services: Services, who: Principal, account_id: UUID) -> None:
    """Disable an account and end its sessions at once."""
    with services.act(who, "account.disable", Subject(account_id=account_id)) as tx:
        account = tx.get(Account, account_id)
        if account is not None:
            account.disabled_at = services.clock()
            for session in tx.scalars(select(SignInSession).where(SignInSession.account_id == account_id)):
                session.revoked_at = services.clock()


def demo_people(services: Services) -> list[Account]:
    """Return the demo's staff whose names begin with `demo.`, in the order of the journey."""
    with services.db.read() as tx:
        people = tx.scalars(select(Account).where(Account.login.like("demo.%"))).all()
    return sorted(people, key=lambda person: ROLES.index(person.role))


def demo_person(services: Services, login: str) -> str | None:
    """Return a session token of one of the demo's people, or None. Only a demo deployment offers this."""
    if not services.demo:
        return None
    person = demo_account(services, login)
    return open_session(services, account_id=person.id) if person else None


def demo_account(services: Services, login: str) -> Account | None:
    """Return one of the demo's people by name, or None."""
    return next((person for person in demo_people(services) if person.login == login), None)
