"""Drafts: what somebody typed into a form and did not send. Kept by person and subject for twelve hours, sealed under the
author's own account; nobody else reads them, and none of them stays in a browser.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from telemed.access.models import Draft
from telemed.access.relations import Principal, Subject
from telemed.errors import Invalid, Unavailable
from telemed.ids import new_id
from telemed.services import Services

KEEP = timedelta(hours=12)
WORDS_MAX, SIZE_MAX = 150, 60_000
MARK = re.compile(r"([a-z][a-z_/-]{0,39})\|([0-9a-f-]{0,36})\|([0-9a-f]{16})", re.ASCII)
Words = list[tuple[str, str]]  # name and value of each field, as a form sends them


@dataclass(frozen=True)
class Mark:
    """Which form of which page, and whom or what it is about: one person's words never come up in another's form."""

    form: str
    about: str
    page: str


def read_mark(text: str) -> Mark | None:
    """Return the mark that a form carries, or None for anything else."""
    found = MARK.fullmatch(text)
    return Mark(*found.groups()) if found else None


def keep_draft(services: Services, author_id: UUID, mark: Mark, words: Words, wait_s: float = 5.0) -> None:
    """Keep what stands in a form now. Raises Invalid for more than any of our forms holds, Unavailable when the store does
    not take it within `wait_s`.
    """
    if len(words) > WORDS_MAX or sum(len(name) + len(value) for name, value in words) > SIZE_MAX:
        raise Invalid("too_large")
    _write(services, author_id, mark, words, ended_page="", wait_s=wait_s)


def end_draft(services: Services, author_id: UUID, mark: Mark, wait_s: float = 5.0) -> None:
    """Forget the words of a form that was sent. An older save of its page, which may still be under way, is ignored.
    Raises Unavailable.
    """
    _write(services, author_id, mark, [], ended_page=mark.page, wait_s=wait_s)


def _write(services: Services, author_id: UUID, mark: Mark, words: Words, *, ended_page: str, wait_s: float) -> None:
    try:
        try:
            _write_once(services, author_id, mark, words, ended_page, wait_s)
        except IntegrityError:  # another window of the same person made the row at this moment
            _write_once(services, author_id, mark, words, ended_page, wait_s)
    except OperationalError:  # the lock is held, the disk is full
        raise Unavailable() from None


def _write_once(
    services: Services, author_id: UUID, mark: Mark, words: Words, ended_page: str, wait_s: float
) -> None:  # fmt: skip
    with services.db.write(wait_s) as tx:
        row = _find(tx, author_id, mark)
        if row is None:
            row = Draft(id=new_id(), author_id=author_id, form=mark.form, about=mark.about, words_rev=0, ended_page="")
            tx.add(row)
        elif row.ended_page == mark.page and not ended_page:
            return
        row.saved_at, row.ended_page = services.clock(), ended_page
        services.vault.seal(tx, row, "words", {"words": words})


def read_draft(services: Services, who: Principal, mark: Mark) -> tuple[Words, datetime] | None:
    """Return the reader's own unsent words with the time of the last one, or None; audited when there are any."""
    if who.id is None:
        return None
    with services.db.read() as tx:
        row = _find(tx, who.id, mark)
        if row is None or row.ended_page or row.saved_at <= services.clock() - KEEP:
            return None
    with services.act(who, "draft.read", Subject(account_id=who.id)) as tx:
        row = _find(tx, who.id, mark)
        if row is None:
            return None
        words = [(str(name), str(value)) for name, value in services.vault.open(tx, row, "words").get("words", ())]
        return (words, row.saved_at) if words else None


def own_drafts(services: Services, who: Principal) -> list[tuple[Words, datetime]]:
    """Return all unsent words of the reader with their times, newest first; audited."""
    with services.act(who, "draft.read", Subject(account_id=who.id)) as tx:
        young = select(Draft).where(Draft.author_id == who.id, Draft.saved_at > services.clock() - KEEP)
        rows = tx.scalars(young.where(Draft.ended_page == "").order_by(Draft.saved_at.desc())).all()
        found = [(services.vault.open(tx, row, "words").get("words", ()), row.saved_at) for row in rows]
    return [([(str(name), str(value)) for name, value in words], at) for words, at in found if words]


def _find(tx: Session, author_id: UUID, mark: Mark) -> Draft | None:
    own = (Draft.author_id == author_id, Draft.form == mark.form, Draft.about == mark.about)
    return tx.scalar(select(Draft).where(*own))


def forget_old(services: Services, tx: Session) -> None:
    """Remove drafts after twelve hours."""
    tx.execute(delete(Draft).where(Draft.saved_at <= services.clock() - KEEP))
