"""What every template knows: words in the reader's language, local times, who is signed in."""

from __future__ import annotations

import secrets
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask, current_app, g, request, url_for

from telemed import i18n
from telemed.clock import full_years
from telemed.web.guard import services, who

YEAR_LENGTH = 4
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
    "doctor": (
        ("doctor.desk", "Queue"),
        ("doctor.ended", "My cases"),
        ("booking.roster", "My roster"),
        ("doctor.devices", "Device check"),
        ("readings.aside", "Wrong person"),
    ),
    "dispatcher": (("rounds.desk", "Parcels"),),
    "coordinator": (
        ("coordinator.desk", "Pilot"),
        ("booking.roster", "Roster"),
        ("morning.region", "Branches this morning"),
        ("consultation.quality", "Lines and calls"),
        ("feedback.complaints", "Complaints"),
        ("readings.aside", "Wrong person"),
        ("data_check.page", "Data to mend"),
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
    """Return the zone of this page's times: the branch's that the page is about, else the reader's own. There is no
    default: a page for nobody must say whose time it shows. Raises LookupError.
    """
    if "zone" not in g:
        if who().role is None:
            raise LookupError("a page that shows a time needs a zone")
        g.zone = own_zone()
    return g.zone  # type: ignore[no-any-return]


def own_zone() -> str:
    """Return the zone of the place where the reader works or lives."""
    if "own_zone" not in g:
        g.own_zone = services().zone_of(who())
    return g.own_zone  # type: ignore[no-any-return]


def use_zone(name: str) -> None:
    """Show this request's times in the zone of a branch."""
    g.zone = name


def zone_name(name: str) -> str:
    """Return a zone as people can check it against another clock: `UTC+12`."""
    offset = services().clock().astimezone(ZoneInfo(name)).utcoffset() or timedelta()
    minutes = round(offset.total_seconds() / 60)
    rest = f":{abs(minutes) % 60:02}" if minutes % 60 else ""
    return f"UTC{'+' if minutes > 0 else '-'}{abs(minutes) // 60}{rest}" if minutes else "UTC"


def _zones_shown() -> str:
    """Return the zones of this page's times for who works for more than one place; nothing at a branch's own counter."""
    names = {zone_name(name) for name in g.get("zones_shown", ())}
    return "" if who().branch_id or who().patient_id else ", ".join(sorted(names))


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
        "own_time": _own_time,
        "page_id": lambda: secrets.token_hex(8),
        "zones_shown": _zones_shown,
        "ages_of": _ages_of,
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
    if moment is None:
        return ""
    shown_in = zone_name or zone()
    g.setdefault("zones_shown", set()).add(shown_in)
    return i18n.local_time(lang(), moment, shown_in, form)


def _own_time(moment: datetime | None) -> str:
    """Return a moment by the reader's own clock, with its zone: for a list of many places inside any page."""
    return f"{i18n.local_time(lang(), moment, own_zone())} ({zone_name(own_zone())})" if moment else ""


def _ages_of(born: Any) -> tuple[int, int]:
    """Return the lowest and the highest age on the day that it is where the page is about: by the year alone there are
    two. `born` is a day, a birth that tells its `isoformat`, or what that stored.
    """
    stored = born if isinstance(born, str) else born.isoformat()
    today = services().clock().astimezone(ZoneInfo(zone())).date()
    if len(stored) == YEAR_LENGTH:
        return today.year - int(stored) - 1, today.year - int(stored)
    age = full_years(date.fromisoformat(stored), today)
    return age, age


def _local_date(day: object) -> str:
    """Return a day as people write it; where only the year is known, the year."""
    if isinstance(day, str) and len(day) > YEAR_LENGTH:
        day = date.fromisoformat(day)
    if isinstance(day, datetime):
        return _local_time(day, "date")
    if isinstance(day, date):
        return day.strftime("%d.%m.%Y")
    return str(day) if day else ""
