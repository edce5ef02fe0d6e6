"""A browser without scripts: pages, their forms and tokens, and the JSON that scripts would send."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit
from uuid import uuid4

import httpx

VOID_TYPES = ("submit", "button", "image", "reset", "file")


class PageWrong(Exception):
    """A page or answer is not what the story expects; the text says where and why."""


@dataclass
class Form:
    """A form as it stands in a page. `fields` has what a browser would send if nobody typed anything."""

    action: str
    method: str = "get"
    fields: dict[str, list[str]] = field(default_factory=dict)
    options: dict[str, list[str]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)

    def filled(self, **typed: Any) -> dict[str, list[str]]:
        """Return the fields with what is typed. Raises PageWrong for a field that the form does not have."""
        unknown = set(typed) - self.names
        if unknown:
            raise PageWrong(f"the form {self.action} has no field {sorted(unknown)}, only {sorted(self.names)}")
        values = dict(self.fields)
        for name, value in typed.items():
            values[name] = [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]
        return values


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.csrf = ""
        self._text: list[str] = []
        self._form: Form | None = None
        self._select = self._textarea = ""
        self._silent = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        if tag in ("script", "style"):
            self._silent += 1
        elif tag == "meta" and found.get("name") == "csrf-token":
            self.csrf = found.get("content", "")
        elif tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "form":
            self._form = Form(found.get("action", ""), found.get("method", "get").lower())
            self.forms.append(self._form)
        elif self._form is not None:
            self._control(self._form, tag, found)

    def _control(self, form: Form, tag: str, found: dict[str, str]) -> None:
        name, kind = found.get("name", ""), found.get("type", "text")
        if tag == "option" and self._select:
            form.options.setdefault(self._select, []).append(found.get("value", ""))
            if "selected" in found:
                form.fields[self._select] = [found.get("value", "")]
            return
        if tag not in ("input", "select", "textarea", "button") or not name:
            return
        form.names.add(name)
        if tag == "select":
            self._select = name
        elif tag == "textarea":
            self._textarea = name
            form.fields.setdefault(name, [""])
            form.texts.add(name)
        elif tag == "input" and kind in ("checkbox", "radio"):
            form.options.setdefault(name, []).append(found.get("value", "on"))
            if "checked" in found:
                form.fields.setdefault(name, []).append(found.get("value", "on"))
        elif tag == "input" and kind not in VOID_TYPES:
            form.fields[name] = [found.get("value", "")]
            if kind != "hidden":
                form.texts.add(name)
        elif tag == "button" and "value" in found:
            form.options.setdefault(name, []).append(found["value"])

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._silent -= 1
        elif tag == "form":
            self._form = None
        elif tag == "select":
            if self._form is not None and self._select and self._select not in self._form.fields:
                self._form.fields[self._select] = self._form.options.get(self._select, [""])[:1]
            self._select = ""
        elif tag == "textarea":
            self._textarea = ""

    def handle_data(self, data: str) -> None:
        if self._textarea and self._form is not None:
            self._form.fields[self._textarea] = [self._form.fields[self._textarea][0] + data]
        if not self._silent:
            self._text.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._text).split())


@dataclass(frozen=True)
class Page:
    """A page that was fetched: where it ended up, what people see, its forms."""

    path: str
    status: int
    html: str
    text: str
    csrf: str
    forms: list[Form]
    links: list[str]

    def form(self, action: str, field_name: str = "", **values: str) -> Form:
        """Return the form whose action matches (and that has the field, and these values). Raises PageWrong."""
        for found in self.forms:
            target = urlsplit(urljoin(self.path, found.action)).path
            has_values = all(found.fields.get(name) == [value] for name, value in values.items())
            if re.fullmatch(action, target) and has_values and (not field_name or field_name in found.names):
                return found
        known = [form.action or "(itself)" for form in self.forms]
        raise PageWrong(f"{self.path} has no form to {action}, only {known}")

    def link(self, pattern: str) -> str:
        """Return the first link that matches. Raises PageWrong."""
        for found in self.links:
            if re.search(pattern, found):
                return found
        raise PageWrong(f"{self.path} has no link to {pattern}")

    def find(self, pattern: str) -> re.Match[str]:
        """Return the first match in the page's source. Raises PageWrong."""
        found = re.search(pattern, self.html)
        if found is None:
            raise PageWrong(f"{self.path} does not show {pattern}")
        return found

    def has(self, pattern: str) -> bool:
        """Tell whether the page's source matches."""
        return re.search(pattern, self.html) is not None

    def shows(self, *texts: str) -> None:
        """Check that people can read each text. Raises PageWrong."""
        source = unescape(self.html)
        missing = [text for text in texts if text not in self.text and text not in source]
        if missing:
            raise PageWrong(f"{self.path} does not show what was typed ({len(missing)} of {len(texts)})")

    def hides(self, *texts: str) -> None:
        """Check that no text stands anywhere in the page's source. Raises PageWrong."""
        if any(text in unescape(self.html) for text in texts):
            raise PageWrong(f"{self.path} shows what this role must not see")


class Browser:
    """One person's browser: cookies, and the form token of the newest page."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self.client = httpx.AsyncClient(
            base_url=url, follow_redirects=True, timeout=20, headers={"Accept-Language": "en"}, trust_env=False
        )
        self.client.cookies.set("lang", "en")
        self.csrf = ""

    async def close(self) -> None:
        await self.client.aclose()

    @property
    def cookies(self) -> str:
        """Return the Cookie header, for a socket of the same browser."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.client.cookies.jar)

    async def open(self, path: str, status: int = 200) -> Page:
        """Fetch a page. Raises PageWrong when the status is another."""
        return self._page(await self.client.get(path), status)

    async def submit(self, form: Form, at: Page, *, status: int = 200, **typed: Any) -> Page:
        """Send a form as the browser would, with what was typed; return the page it leads to."""
        target = urljoin(at.path, form.action) if form.action else at.path
        if form.method == "get":
            return self._page(await self.client.get(target, params=form.filled(**typed)), status)
        return self._page(await self.client.post(target, data=form.filled(**typed)), status)

    async def get_json(self, path: str) -> Any:
        """Fetch JSON. Raises PageWrong."""
        return self._json(await self.client.get(path, headers={"Accept": "application/json"}))

    async def post_json(self, path: str, body: Any) -> Any:
        """Post JSON as the page's scripts do. Raises PageWrong."""
        headers = {"Accept": "application/json", "X-CSRF-Token": self.csrf, "Idempotency-Key": str(uuid4())}
        return self._json(await self.client.post(path, json=body, headers=headers))

    def _page(self, answer: httpx.Response, status: int) -> Page:
        reader = _Reader()
        reader.feed(answer.text)
        self.csrf = reader.csrf or self.csrf
        path = answer.request.url.raw_path.decode()
        page = Page(path, answer.status_code, answer.text, reader.text, reader.csrf, reader.forms, reader.links)
        if answer.status_code != status:
            raise PageWrong(f"{self.name}: {answer.request.method} {path} answered {answer.status_code}{_why(page)}")
        return page

    def _json(self, answer: httpx.Response) -> Any:
        if answer.is_error:
            where = answer.request.url.raw_path.decode()
            words = f"{answer.status_code} {answer.text[:300]}"
            raise PageWrong(f"{self.name}: {answer.request.method} {where} answered {words}")
        return answer.json()


def _why(page: Page) -> str:
    errors = re.findall(r'class="error"[^>]*>(.*?)</p>', page.html, re.DOTALL)
    summary = re.findall(r'class="error-summary".*?</div>', page.html, re.DOTALL)
    words = " ".join(" ".join(re.sub(r"<[^>]+>", " ", part).split()) for part in (errors or summary))
    return f": {words[:300]}" if words else ""
