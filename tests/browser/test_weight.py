"""What a page costs on a thin line: its budget at the first visit, and next to nothing at the second."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

# Role, page, kilobytes on the wire at the first visit, all included.
BUDGETS = (("postman", "/round", 50), ("clerk", "/counter", 60), ("coordinator", "/pilot", 80), (None, "/card", 40))
SECOND_KB = 15


class Wire:
    """Counts what a page loads: each address with its bytes on the wire, headers included."""

    def __init__(self, page: Page) -> None:
        self.loaded: list[tuple[str, float]] = []
        self._names: dict[str, str] = {}
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.requestWillBeSent", lambda e: self._names.update({e["requestId"]: e["request"]["url"]}))
        session.on("Network.loadingFinished", self._finished)

    def _finished(self, event: dict[str, object]) -> None:
        self.loaded.append((self._names.get(str(event["requestId"]), "?"), float(str(event["encodedDataLength"]))))

    def take(self) -> list[tuple[str, float]]:
        """Return what came over the wire since the last time; what the browser had kept weighs nothing."""
        came, self.loaded = [(name, weight) for name, weight in self.loaded if weight], []
        return came


@pytest.mark.parametrize(("role", "path", "budget_kb"), BUDGETS)
def test_the_first_visit_keeps_its_budget_and_the_second_asks_for_the_page_alone(
    enter: Callable[..., BrowserContext], role: str | None, path: str, budget_kb: int
) -> None:
    signed_in = enter(role).cookies()
    fresh = enter(None, service_workers="block")
    fresh.add_cookies(signed_in)
    page = fresh.new_page()
    wire = Wire(page)

    visit(page, path)
    first = wire.take()
    # The postman's scanner comes once, after the list, with its progress shown: outside the budget.
    counted = [one for one in first if "/static/vendor/zxing/" not in one[0]]
    assert any("/static/" in name for name, _weight in counted)
    assert sum(weight for _name, weight in counted) <= budget_kb * 1000, sorted(counted, key=lambda one: -one[1])

    visit(page, path)
    second = wire.take()
    assert [name for name, _weight in second if "/static/" in name] == []
    assert 0 < sum(weight for _name, weight in second) <= SECOND_KB * 1000


def visit(page: Page, path: str) -> None:
    page.goto(path, wait_until="networkidle")
    expect(page.locator("h1")).to_be_visible()
