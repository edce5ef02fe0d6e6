"""What a page says to a person: the words of its error box, of one field, of its notices. Tests read words, not classes."""

from __future__ import annotations

import html
import re

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

TAG = re.compile(r"<[^>]+>")


def words_of(markup: str) -> str:
    """Return the words of a piece of markup, with single blanks."""
    return " ".join(html.unescape(TAG.sub(" ", markup)).split())


def problems_of(answer: TestResponse) -> list[str]:
    """Return the sentences that stand in the box "There is a problem"."""
    box = re.search(r'<div class="error-summary".*?</div>', answer.text, re.DOTALL)
    return [words_of(line) for line in re.findall(r"<li>(.*?)</li>", box.group(), re.DOTALL)] if box else []


def notices_of(browser: FlaskClient, path: str) -> list[str]:
    """Return the notices that the next page shows."""
    return [words_of(line) for line in re.findall(r'<p class="notice [^"]*">(.*?)</p>', browser.get(path).text, re.DOTALL)]
