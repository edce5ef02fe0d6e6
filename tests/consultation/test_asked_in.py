"""The doctor asks the patient in: seen and heard on every page of the counter, and over as soon as the corner is there."""

from __future__ import annotations

from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from telemed.consultation import service, service_call
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.consultation.test_call_ends import Talk, browser, is_talking, open_page, talk  # noqa: F401 - fixtures
from tests.delivery.test_offline_browser import address  # noqa: F401 - fixture
from tests.village import until

# Counts the tones that the page played.
LISTEN = """
  window.tones = 0;
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...when) { window.tones += 1; return start.apply(this, when); };
"""


def is_asked(services: Services, case: UUID) -> bool:
    with services.db.read() as tx:
        row = service.consultation_of(tx, case)
        assert row is not None
    state = service.case_state(services, cast.ANNA.who, row.visit_id)
    return state is not None and state.is_asked_in


def test_a_patient_is_asked_in_while_the_doctor_waits_in_the_call_and_the_corner_is_not_there(
    services: Services, case: UUID, clock: Clock
) -> None:
    def step(person: cast.Person, kind: str) -> bool:
        clock.forward(seconds=1)
        service_call.note_call_step(services, person.who, case, kind)
        return is_asked(services, case)

    assert is_asked(services, case) is False
    assert step(cast.VERA, "joined") is True
    assert step(cast.VERA, "left") is False
    assert step(cast.VERA, "joined") is True
    assert step(cast.ANNA, "joined") is False
    assert step(cast.VERA, "joined") is False, "a line that came back asks nobody"
    assert step(cast.ANNA, "left") is True

    clock.forward(seconds=1)
    service.give_back(services, cast.VERA.who, case)
    assert is_asked(services, case) is False
    clock.forward(seconds=1)
    service.take(services, cast.VERA.who, case)
    assert is_asked(services, case) is False, "another talk begins anew"


def ask_in(talk: Talk) -> None:  # noqa: F811
    talk.doctor.locator("[data-call-start]").click()


@pytest.fixture
def listening(talk: Talk) -> Talk:  # noqa: F811
    talk.clerk.context.add_init_script(LISTEN)
    talk.clerk.reload()
    return talk


@pytest.mark.browser
def test_it_is_seen_and_heard_beside_the_talk_and_over_when_the_talk_begins(listening: Talk) -> None:
    clerk, title = listening.clerk, listening.clerk.title()
    expect(clerk.locator("[data-asked-in]")).to_have_count(0)
    assert clerk.evaluate("tones") == 0
    ask_in(listening)

    expect(clerk.locator("[data-asked-in]")).to_contain_text("The doctor asks the patient in.")
    expect(clerk.locator("#notices .notice")).to_have_count(0)
    until(clerk, "tones", lambda tones: tones >= 1)
    assert clerk.title().startswith("●")
    clerk.locator("[data-asked-in]").get_by_role("button", name="To the talk").click()
    for side in listening.sides:
        is_talking(side)
    expect(clerk.locator("[data-asked-in]")).to_have_count(0)
    assert clerk.title() == title


@pytest.mark.browser
@pytest.mark.parametrize("path", ["/counter", "/patients/new", "/day"])
def test_it_is_seen_and_heard_on_the_other_pages_of_the_counter_and_leads_to_the_talk(
    listening: Talk, path: str
) -> None:
    clerk, visit = listening.clerk, listening.clerk.url
    clerk.goto(path)
    ask_in(listening)

    expect(clerk.locator("#notices")).to_contain_text("The doctor asks the patient in.")
    until(clerk, "tones", lambda tones: tones >= 1)
    clerk.locator("#notices").get_by_role("button", name="To the talk").click()
    clerk.wait_for_url(visit)
    expect(clerk.locator("[data-asked-in]")).to_be_visible()


@pytest.mark.browser
def test_a_page_that_is_opened_only_now_says_so_and_a_doctor_who_leaves_takes_it_back(
    listening: Talk, clock: Clock
) -> None:
    ask_in(listening)
    clerk = listening.clerk
    expect(clerk.locator("[data-asked-in]")).to_be_visible()
    clerk.goto("/counter")
    expect(clerk.locator("[data-asked-in] a")).to_have_text("To the talk")
    expect(clerk.locator("#notices")).to_contain_text("The doctor asks the patient in.")

    clock.forward(seconds=1)
    listening.doctor.goto("/doctor")
    expect(clerk.locator("[data-asked-in]")).to_have_count(0)
    expect(clerk.locator("#notices")).not_to_contain_text("The doctor asks the patient in.")


@pytest.mark.browser
def test_another_branch_hears_nothing(listening: Talk, browser: object, services: Services, address: str) -> None:  # noqa: F811
    boris: Page = open_page(browser, services, address, cast.BORIS, "/counter")  # type: ignore[arg-type]
    ask_in(listening)
    expect(listening.clerk.locator("[data-asked-in]")).to_be_visible()

    assert "The doctor asks" not in boris.locator("body").inner_text()
    boris.context.close()
