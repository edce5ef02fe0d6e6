"""The counter's page of a visit in a real browser, on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect

from telemed.consultation import service
from telemed.services import Services
from tests import cast
from tests.delivery.test_offline_browser import address, chromium, driver, page_of  # noqa: F401 - fixtures
from tests.make import Hands

pytestmark = pytest.mark.browser


@pytest.fixture
def phone(chromium: Browser, address: str, services: Services) -> Iterator[Page]:  # noqa: F811
    """Anna's telephone."""
    with page_of(chromium, services, address, cast.ANNA, 390, 844) as page:
        yield page


@pytest.fixture
def waiting(services: Services, hands: Hands) -> UUID:
    """A visit whose case waits for a doctor."""
    visit = hands.visit(state="ready", answered_at=services.clock())
    with services.db.write() as tx:
        service.queue_case(services, tx, visit, "YELLOW")
    return visit


@pytest.mark.parametrize("language", ["ru", "be", "en"])
def test_to_close_a_visit_whose_patient_left_hides_no_more_than_a_third_of_the_page(
    phone: Page, address: str, waiting: UUID, language: str  # noqa: F811
) -> None:
    phone.context.add_cookies([{"name": "lang", "value": language, "url": address}])
    phone.goto(f"/counter/visits/{waiting}")
    left = phone.locator(".ending:has(input[value=left])")
    left.locator("summary").click()
    left.get_by_role("button").scroll_into_view_if_needed()

    expect(left.get_by_role("button")).to_be_in_viewport(ratio=1)
    box = phone.locator(".next-step").bounding_box()
    assert box is not None
    assert box["height"] < 844 / 3
