"""No page in Russian or Belarusian shows an English word: every page that a member of the cast can reach by links."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser

import pytest
from flask.testing import FlaskClient

from telemed.access.models import Account
from telemed.feedback import service as feedback
from telemed.readings import service as readings
from telemed.services import Services
from tests import cast
from tests.delivery.made import Post
from tests.make import Hands

STAFF = (cast.ANNA, cast.VERA, cast.DINA, cast.EGOR, cast.FEDOR, cast.GALINA, cast.OLEG, cast.TAMARA)
SHOWN = ("title", "aria-label", "placeholder", "alt", "data-label", "data-mine", "value")  # the last of buttons only
# Names that are the same in every language: formats, the languages themselves, keys, what a meter's display shows.
# Text inside <code> is a name that a machine knows a thing by (an action, a sign-in name).
SAME = {
    "CSV", "QR", "SIM", "SIM-BP", "SIM-GL", "English", "Esc", "Telemed", "telemed", "HI", "LO", "UTC",
    "ESC", "ESH", "ISH", "ACC", "AHA", "ACC/AHA", "Hypertension", "Canada",  # names of guidelines, as they are cited
}  # fmt: skip
COMMAND = re.compile(r"python app\.py [a-z ]+(NAME --role ROLE --name \"FULL NAME\")?")
WORD = re.compile(r"(?<![\w&/@.-])[A-Za-z][A-Za-z']+(?![\w@/-])")
NOT_PROSE = re.compile(r"TELEMED_\w+=\w+|\b\d{6}-[A-Z0-9]{6}\b|#?[0-9a-f-]{8,}|https?://\S+|[\w.-]+\.(html|py|js|csv|json)\b|demo\.\w+|%\w")


class Seen(HTMLParser):
    """What a person sees or hears of a page, and where its links lead."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.links: list[str] = []
        self._inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        if tag not in ("input", "br", "img", "meta", "link", "hr", "wbr"):
            self._inside.append(tag if found.get("lang") is None or tag == "html" else "other-language")
        if tag in ("script",) and found.get("type") == "application/json":
            self._inside[-1] = "words" if "words" in found.get("id", "") else "script"
        shown = SHOWN if tag == "input" and found.get("type") in ("submit", "button") else SHOWN[:-1]
        self.texts += [found[name] for name in shown if found.get(name)]
        if tag == "a" and found.get("href", "").startswith("/"):
            self.links.append(found["href"].split("#")[0])

    def handle_endtag(self, tag: str) -> None:
        if self._inside:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if "words" in self._inside:
            self.texts += [text for text in json.loads(data).values() if isinstance(text, str)]
        elif not {"script", "style", "other-language", "code"} & set(self._inside):
            self.texts.append(data)


def english_of(text: str) -> list[str]:
    prose = NOT_PROSE.sub(" ", COMMAND.sub(" ", text))
    return [word for word in WORD.findall(re.sub(r"[%{]\(?\w+\)?[sd}]?", " ", prose)) if word not in SAME]


def pages_of(client: FlaskClient, limit: int = 150) -> Iterator[tuple[str, Seen]]:
    """Walk from the role's home over every link once; pages that differ by an id alone count as different."""
    waiting, known = ["/", "/my"], {"/", "/my"}
    while waiting and limit:
        path = waiting.pop(0)
        answer = client.get(path, follow_redirects=True)
        limit -= 1
        if answer.mimetype != "text/html" or answer.status_code >= 400:
            continue
        seen = Seen(answer.get_data(as_text=True))
        yield path, seen
        waiting += [link for link in dict.fromkeys(seen.links) if link not in known]
        known.update(seen.links)


@pytest.fixture
def lived(services: Services, hands: Hands, jobs: Callable[[], int]) -> None:
    """A region in which something of everything has happened."""
    hands.shift()
    post = Post(services, hands, jobs)
    post.parcel("given")
    post.parcel("packed", cast.IVAN)
    feedback.file_complaint(services, cast.MARIA.who, cast.MARIA.id, "waiting", "Долго ждали")
    visit = hands.visit(cast.IVAN)
    readings.type_in(services, cast.ANNA.who, visit, "blood_pressure", {"systolic": 151, "diastolic": 88, "pulse": 70})
    with services.db.write() as tx:
        for person in STAFF:
            tx.get_one(Account, person.id).language = "ru"
    jobs()


@pytest.mark.parametrize("language", ["ru", "be"])
@pytest.mark.parametrize("person", [*STAFF, cast.MARIA], ids=lambda person: getattr(person, "login", "patient"))
def test_no_page_shows_an_english_word(
    lived: None, sign_in: Callable[..., FlaskClient], person: cast.Person | cast.Villager, language: str
) -> None:
    client = sign_in(person)
    client.set_cookie("lang", language)

    pages = dict(pages_of(client))
    english = {
        path: found for path, seen in pages.items() if (found := [w for text in seen.texts for w in english_of(text)])
    }

    assert pages
    assert english == {}


def test_an_english_word_would_be_found() -> None:
    """The premise: text, a label for ears and a script's words are read, other languages and code are not."""
    page = """<p>Врач Doctor</p><button aria-label="Close">×</button><a lang="en" href="/x">English text</a>
    <script type="application/json" id="words">{"live": "Live"}</script><script>const a = 1;</script>"""

    assert sorted(word for text in Seen(page).texts for word in english_of(text)) == ["Close", "Doctor", "Live"]
