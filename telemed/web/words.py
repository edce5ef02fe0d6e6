"""What every template knows: words in the reader's language, local times, who is signed in."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from flask import Flask, current_app, g, request, url_for

from telemed import i18n
from telemed.web.guard import services, who

DEFAULT_ZONE = "Europe/Moscow"
TYPE_SIZES, THEMES = ("normal", "large", "huge"), ("auto", "light", "dark")
# The menu of each role: page endpoint and its English words.
MENU: dict[str, tuple[tuple[str, str], ...]] = {
    "clerk": (
        ("counter.desk", "Counter"),
        ("booking.day", "Day list"),
        ("patients.find", "Patients"),
        ("booking.invitations", "Invitations"),
        ("branches.page", "Branch"),
    ),
    "doctor": (("doctor.desk", "Queue"), ("booking.roster", "My roster"), ("doctor.devices", "Device check")),
    "dispatcher": (("rounds.desk", "Parcels"),),
    "coordinator": (
        ("coordinator.desk", "Pilot"),
        ("booking.roster", "Roster"),
        ("morning.region", "Branches this morning"),
        ("consultation.quality", "Lines and calls"),
        ("feedback.complaints", "Complaints"),
        ("branches.region", "Region"),
    ),
    "auditor": (("coordinator.audit", "Audit"), ("pilot.page", "Pilot")),
}


def register(app: Flask) -> None:
    """Hook words and helpers into the application's templates."""

    @app.before_request
    def choose_language() -> None:
        wanted = (request.cookies.get("lang"), who().language, request.accept_languages.best_match(i18n.LANGUAGES))
        g.lang = i18n.choose(wanted)

    app.context_processor(_words)


def lang() -> str:
    """Return the language of this request."""
    return g.get("lang", i18n.DEFAULT)  # type: ignore[no-any-return]


def say(sentence: str, **values: object) -> str:
    """Return a sentence in the reader's language."""
    return i18n.text(lang(), sentence, **values)


def say_code(code: str, **values: object) -> str:
    """Return the sentence of a code in the reader's language."""
    return i18n.code_text(lang(), code, **values)


def zone() -> str:
    """Return the zone in which this reader's times are shown."""
    return g.get("zone", DEFAULT_ZONE)  # type: ignore[no-any-return]


def use_zone(name: str) -> None:
    """Show this request's times in the zone of a branch."""
    g.zone = name


def _words() -> dict[str, Any]:
    language = lang()
    return {
        "_": lambda sentence, **values: i18n.text(language, sentence, **values),
        "pgettext": lambda thing, sentence, **values: i18n.text(language, i18n.in_context(thing, sentence), **values),
        "ngettext": lambda one, many, n, **values: i18n.counted(language, one, many, n, **values),
        "code_text": lambda code, **values: i18n.code_text(language, code, **values),
        "lang": language,
        "languages": i18n.LANGUAGES,
        "who": who() if who().role else None,
        "demo": services().demo,
        "request_id": g.get("request_id"),
        "local_time": _local_time,
        "local_date": _local_date,
        "zone": zone(),
        "view": view_of(request.cookies.get("view", "")),
        "nav_links": _menu(),
    }


def view_of(cookie: str) -> dict[str, str]:
    """Return type size and theme out of a cookie like `large.dark`; other words are dropped."""
    type_size, _, theme = cookie.partition(".")
    seen = {}
    if type_size in TYPE_SIZES:
        seen["type_size"] = type_size
    if theme in THEMES:
        seen["theme"] = theme
    return seen


def _menu() -> list[dict[str, str]]:
    links = MENU.get(who().role or "", ())
    return [{"url": url_for(endpoint), "text": text} for endpoint, text in links if endpoint in current_app.view_functions]


def _local_time(moment: datetime | None, form: str = "short", zone_name: str | None = None) -> str:
    return i18n.local_time(lang(), moment, zone_name or zone(), form) if moment else ""


def _local_date(day: date | datetime | str | None) -> str:
    if isinstance(day, str):
        day = date.fromisoformat(day)
    if isinstance(day, datetime):
        return _local_time(day, "date")
    return day.strftime("%d.%m.%Y") if day else ""
