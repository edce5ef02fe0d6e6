"""Drafts at the edge: forms marked with `draft(...)` are kept while somebody types, and whenever one is refused with an
error page: a session that ended over lunch, an object that is gone, a fault of ours. What was sent is forgotten.
"""

from __future__ import annotations

from uuid import UUID

import structlog
from flask import Blueprint, Flask, Response, g, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from pydantic import Field
from werkzeug.exceptions import HTTPException

from telemed import i18n
from telemed.access import accounts, drafts
from telemed.errors import Invalid, SignInNeeded, TelemedError
from telemed.ids import parse_id
from telemed.web import words
from telemed.web.body import Body, read_json
from telemed.web.guard import guard, services, who
from telemed.web.live import COOKIE

log = structlog.get_logger()
api = Blueprint("drafts", __name__)
WAIT_S = 0.3
CHOICES = {"sex", "language", "type_size", "category", "arm", "cuff", "fasting", "basis", "rx_by_post", "doctor_id", "sure"}
NOT_WORDS = {"csrf_token", "draft", "password"}


class DraftBody(Body):
    draft: str = Field(max_length=100)
    words: list[tuple[str, str]] = Field(default_factory=list, max_length=drafts.WORDS_MAX)


class DraftAnswer(Body):
    words: list[tuple[str, str]]
    saved: str


def register(app: Flask) -> None:
    """Settle the draft of every form that is sent, by how it was answered."""

    app.context_processor(lambda: {"words_are_kept": words_are_kept})

    @app.after_request
    def settle(response: Response) -> Response:
        mark = _mark_of_form()
        if mark is not None:
            _settle(mark, response.status_code)
        return response


def words_are_kept() -> bool:
    """Tell whether the words of the form that was sent now are kept for their author when it is refused."""
    return _mark_of_form() is not None and _author() is not None


@api.post("/api/v1/drafts")
@guard("draft.keep", body=DraftBody)
def keep() -> ResponseReturnValue:
    """Keep what stands in a form; 401 when it is nobody's."""
    body = read_json(DraftBody)
    author_id = _author()
    if author_id is None:
        raise SignInNeeded()
    drafts.keep_draft(services(), author_id, _mark(body.draft), body.words)
    return jsonify(kept=True)


@api.get("/api/v1/drafts")
@guard("draft.read", answer=DraftAnswer)
def read() -> ResponseReturnValue:
    """Give the reader's own unsent words of a form, and by the reader's clock when they were typed; mostly none."""
    found = drafts.read_draft(services(), who(), _mark(request.args.get("draft", "")))
    if found is None:
        return jsonify(words=[], saved="")
    typed, saved_at = found
    return jsonify(words=typed, saved=i18n.local_time(words.lang(), saved_at, words.own_zone(), "time"))


@api.post("/api/v1/drafts/drop")
@guard("draft.read", body=DraftBody)
def drop() -> ResponseReturnValue:
    """Forget the reader's own unsent words of a form."""
    body = read_json(DraftBody)
    author_id = who().id
    if author_id is not None:
        drafts.end_draft(services(), author_id, _mark(body.draft))
    return jsonify(kept=False)


@api.get("/drafts")
@guard("draft.read")
def list_own() -> ResponseReturnValue:
    """Show a reader whose browser runs no scripts the own unsent words, to be copied; codes and ids are no words."""
    found = drafts.own_drafts(services(), who())
    texts = [([text for name, text in typed if _is_typed(name, text)], at) for typed, at in found]
    return render_template("drafts/page.html", texts=texts)


def _is_typed(name: str, text: str) -> bool:
    """Tell a typed word from what a form holds for a choice: an id, a code of ours."""
    return len(text) > 3 and not parse_id(text) and name not in CHOICES


def _author() -> UUID | None:
    return accounts.author_of(services(), request.cookies.get(COOKIE))


def _mark(text: str) -> drafts.Mark:
    mark = drafts.read_mark(text)
    if mark is None:
        raise Invalid(fields={"draft": "invalid"})
    return mark


def _mark_of_form() -> drafts.Mark | None:
    if request.method != "POST" or request.is_json:
        return None
    try:
        return drafts.read_mark(request.form.get("draft", ""))
    except HTTPException:  # a body that could not be read at all
        return None


def _settle(mark: drafts.Mark, status: int) -> None:
    """End or keep a draft beside an answer that is ready: it waits hardly at all and never fails for it. Where the store
    has just refused, nothing is tried: what a red flag starts waits for no draft.
    """
    author_id = None if status == 503 else _author()
    if author_id is None:
        return
    typed = [(name, value) for name, value in request.form.items(multi=True) if name not in NOT_WORDS]
    try:
        if status < 400:
            drafts.end_draft(services(), author_id, mark, WAIT_S)
        else:
            drafts.keep_draft(services(), author_id, mark, typed, WAIT_S)
    except TelemedError as error:
        log.warning("draft.not_settled", code=error.code, request=g.get("request_id"))
