"""A red flag in a real browser: the yes itself acts, with scripts and without, and the card hides nothing under itself."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect

from telemed.checkup import rules, service
from telemed.consultation import service as consultation
from telemed.readings.models import Triage
from telemed.services import Services
from tests import cast
from tests.delivery.test_offline_browser import address, chromium, driver, page_of  # noqa: F401 - fixtures
from tests.make import Hands

pytestmark = pytest.mark.browser
SIZES = [(1280, 800), (390, 844)]


@pytest.fixture(params=SIZES, ids=["desk", "phone"])
def page(
    request: pytest.FixtureRequest, chromium: Browser, address: str, services: Services  # noqa: F811
) -> Iterator[Page]:
    with page_of(chromium, services, address, cast.ANNA, *request.param) as page:
        yield page


@pytest.fixture
def visit(services: Services) -> UUID:
    return service.open_visit(services, cast.ANNA.who, cast.MARIA.id, cast.OZERKI, "document")


def answered(services: Services, visit: UUID) -> bool:
    return service.visit_view(services, cast.ANNA.who, visit).answered


def say_yes(page: Page, code: str) -> None:
    page.locator(f"#symptom-{code} label:has(input[value=yes])").click()


@pytest.mark.parametrize("code", [rules.RED_FLAGS[0], rules.RED_FLAGS[-1]])
def test_a_yes_to_a_red_flag_acts_at_once(page: Page, services: Services, visit: UUID, code: str) -> None:
    page.goto(f"/visits/{visit}/questions")
    page.locator("#medicines").fill("эналаприл вечером по 1/2")
    say_yes(page, code)

    card = page.locator(".alarm")
    for number in ("112", "103"):
        expect(card.locator(f"a[href='tel:{number}']")).to_be_in_viewport(ratio=1)
    expect(card.locator("[data-told]")).to_have_text("The answers are stored. No doctor has been told yet.")
    assert answered(services, visit)
    assert service.answers_of(services, cast.MARIA.who, visit)["medicines"] == "эналаприл вечером по 1/2"
    expect(page.locator("#medicines")).to_have_value("эналаприл вечером по 1/2")


def test_with_the_server_out_of_reach_the_card_says_that_nobody_knows_and_goes_on_trying(
    page: Page, services: Services, visit: UUID
) -> None:
    page.goto(f"/visits/{visit}/questions")
    page.evaluate("document.querySelector('[data-card-at-once]').dataset.againS = '0.3'")
    page.context.set_offline(True)
    say_yes(page, "chest_pain")
    expect(page.locator(".alarm [data-told]")).to_have_text("Nobody has been told yet. Call 103.")
    assert not answered(services, visit)

    page.context.set_offline(False)
    expect(page.locator(".alarm [data-told]")).to_have_text("The answers are stored. No doctor has been told yet.")
    assert answered(services, visit)


def test_without_scripts_the_yes_brings_its_own_button(
    chromium: Browser, address: str, services: Services, visit: UUID  # noqa: F811
) -> None:
    with page_of(chromium, services, address, cast.ANNA, 390, 844, java_script_enabled=False) as page:
        page.goto(f"/visits/{visit}/questions")
        buttons = page.locator(".red-flag button")
        assert [button.is_visible() for button in buttons.all()] == [False] * len(rules.RED_FLAGS)
        say_yes(page, "speech_trouble")
        button = page.locator(".red-flag:has(#symptom-speech_trouble) button")
        expect(button).to_be_in_viewport()
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 48
        button.click()

        expect(page.locator(".alarm a[href='tel:103']")).to_be_in_viewport(ratio=1)
    assert answered(services, visit)


def test_the_card_on_the_form_follows_what_is_so_about_the_doctor(
    page: Page, services: Services, visit: UUID
) -> None:
    page.goto(f"/visits/{visit}/questions")
    page.evaluate("document.querySelector('[data-card-at-once]').dataset.againS = '0.3'")
    say_yes(page, "chest_pain")
    expect(page.locator(".alarm [data-told]")).to_have_text("The answers are stored. No doctor has been told yet.")
    with services.db.write() as tx:
        consultation.queue_case(services, tx, visit, "RED")

    expect(page.locator(".alarm [data-told]")).to_contain_text("The case is in the doctors' queue.")


@pytest.mark.parametrize("language", ["ru", "be", "en"])
def test_under_the_red_card_what_saves_a_life_is_seen_without_scrolling(
    page: Page, address: str, services: Services, hands: Hands, language: str  # noqa: F811
) -> None:
    visit = hands.visit(answered_at=services.clock())
    with services.db.write() as tx:
        consultation.queue_case(services, tx, visit, "RED")
        tx.add(Triage(visit_id=visit, branch_id=cast.OZERKI, level="RED", ruleset="test", at=services.clock()))
    page.context.add_cookies([{"name": "lang", "value": language, "url": address}])
    page.goto(f"/counter/visits/{visit}")

    for part in ("a[href='tel:112']", "a[href='tel:103']", "[data-to-call]"):
        expect(page.locator(f".alarm {part}")).to_be_in_viewport(ratio=1)
        box = page.locator(f".alarm {part}").bounding_box()
        assert box is not None
        assert box["height"] >= 48
