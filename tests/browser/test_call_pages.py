"""A talk as its two people see it: every step of the ladder, and what may go wrong in the middle of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_story import begin_the_visit, say_yes_to_each_consent, take_the_case
from tests.firefox import Firefox, firefox_or_skip
from tests.village import until

pytestmark = pytest.mark.browser
WHEN_CLOSED = """() => {
  const { photos } = document.querySelector("[data-call]").callPeer;
  return { closed: new Promise((done) => photos.addEventListener("close", () => done())) };
}"""

# What the key of N gives on a Russian keyboard.
RUSSIAN_N = "document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'т', bubbles: true }))"
# The brightest value of the kept picture; a canvas on which nothing was drawn is black too.
BRIGHTEST = """() => {
  const kept = document.querySelector("[data-call-still]");
  const points = kept.getContext("2d").getImageData(0, 0, kept.width, kept.height).data;
  let most = 0;
  for (let at = 0; at < points.length; at += 4) most = Math.max(most, points[at], points[at + 1], points[at + 2]);
  return most;
}"""


@dataclass
class Talk:
    """A talk that runs: the corner's page and the doctor's, each in a window of its own."""

    clerk: Page
    doctor: Page

    @property
    def sides(self) -> tuple[Page, Page]:
        return self.clerk, self.doctor


@pytest.fixture(scope="module")
def room(chromium: Browser, demo: str) -> Iterator[Talk]:
    """Let a patient come and the doctor take the case. One for all tests: the demo's branch has one corner."""
    clerk, doctor = (window(chromium, demo, role) for role in ("clerk", "doctor"))
    clerk.goto("/patients/new")
    register(clerk)
    begin_the_visit(clerk)
    clerk.locator("#missing summary").click()
    clerk.locator("button[name=despite][value=meter_silent]").click()
    doctor.goto("/doctor")
    take_the_case(doctor)
    for side in (clerk, doctor):
        side.locator("[data-call-start]").click()
    is_talking(Talk(clerk, doctor))
    yield Talk(clerk, doctor)
    for side in (clerk, doctor):
        side.context.close()


@pytest.fixture
def talk(room: Talk) -> Talk:
    """The talk, begun anew by loading both pages again."""
    for side in room.sides:
        side.reload()
    is_talking(room)
    return room


def window(chromium: Browser, demo: str, role: str) -> Page:
    """Return a window in which one of the demo's people signed in."""
    context = chromium.new_context(base_url=demo, permissions=["camera", "microphone"])
    context.add_cookies([{"name": "lang", "value": "en", "url": demo}])
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.goto("/sign-in")
    page.locator(f"form:has(input[value='demo.{role}']) button").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)
    return page


def is_clear(brightest: int) -> bool:
    return brightest > 100


def register(clerk: Page) -> None:
    for name, text in {
        "family_name": "Аистова", "given_name": "Анна", "patronymic": "Ивановна", "birth_date": "05.04.1947",
        "phone": "+7 921 555-10-00", "address": "Озерки, ул. Лесная, 1", "postal_index": "174100",
    }.items():  # fmt: skip
        clerk.fill(f"#{name}", text)
    clerk.check("input[name=sex][value=female]", force=True)
    say_yes_to_each_consent(clerk)
    clerk.get_by_role("button", name="Register", exact=True).click()


def is_talking(talk: Talk, hear: str = "picture") -> None:
    for side in talk.sides:
        is_heard(side, hear)


def is_heard(side: Page, hear: str) -> None:
    expect(side.locator(f"[data-call][data-phase=talking][data-hear={hear}]")).to_be_attached(timeout=30_000)


def test_both_see_the_same_code_and_other_digits_end_the_video(talk: Talk) -> None:
    for side in talk.sides:
        expect(side.locator("[data-code-ask]")).to_be_visible(timeout=20_000)
    digits = [side.locator("[data-code-digits]").inner_text() for side in talk.sides]
    assert re.fullmatch(r"\d \d \d \d \d", digits[0])
    assert digits[0] == digits[1]

    talk.doctor.locator("[data-code-same]").click()
    expect(talk.doctor.locator("[data-code-done]")).to_be_visible()
    talk.clerk.locator("[data-code-differs]").click()
    for side in talk.sides:
        expect(side.locator("[data-call][data-step=telephone]")).to_be_attached(timeout=10_000)
        expect(side.locator("[data-call-number] a[href^='tel:']")).to_be_visible()


@pytest.fixture
def without_doctor(talk: Talk) -> Iterator[str]:
    """The address of the case, whose doctor has left the talk and comes back after the test."""
    case = talk.doctor.url
    talk.doctor.goto("/doctor")
    yield case
    talk.doctor.goto(case)


@pytest.fixture
def fox(tmp_path: Path) -> Iterator[Firefox]:
    with firefox_or_skip(tmp_path) as browser:
        yield browser


def test_a_doctor_with_firefox_sees_the_corner_and_compares_the_same_digits(
    talk: Talk, demo: str, without_doctor: str, fox: Firefox
) -> None:
    fox.goto(f"{demo}/sign-in")
    fox.click("form:has(input[value='demo.doctor']) button")
    fox.until("!location.pathname.startsWith('/sign-in')")
    fox.goto(without_doctor)
    fox.click("[data-call-start]")
    fox.until("!!document.querySelector('[data-call][data-phase=talking][data-hear=picture]')")
    is_heard(talk.clerk, "picture")
    digits = fox.until("document.querySelector('[data-code-digits]').innerText.trim()")
    expect(talk.clerk.locator("[data-code-digits]")).to_have_text(digits)
    fox.until("JSON.parse(document.querySelector('[data-call]').dataset.stats).rttMs !== null")
    fox.until("document.querySelector('[data-call]').callPeer.arrivesKbitS > 20")

    fox.click("[data-photo-ask]")
    talk.clerk.locator("[data-photo-take]").click()
    talk.clerk.locator("[data-photo-send]").click()
    fox.until("document.querySelector('[data-photo-list] img')?.naturalWidth > 100")


def test_the_talk_goes_down_the_ladder_and_up_again_in_one_encounter(talk: Talk) -> None:
    case = talk.doctor.url
    talk.clerk.locator("[data-sound] summary").click()
    talk.doctor.locator("[data-sound] summary").click()
    for step, who, hear, sentence in (
        ("thin_video", talk.doctor, "picture", "small"),
        ("voice_photos", talk.clerk, "voice", "The health corner chose this"),
        ("video", talk.doctor, "picture", ""),
    ):
        who.select_option("[data-call-choose]", step)
        for side in talk.sides:
            expect(side.locator(f"[data-call][data-step={step}]")).to_be_attached(timeout=10_000)
            expect(side.locator("[data-call-step]")).to_contain_text(sentence)
        is_talking(talk, hear)
        if step == "voice_photos":
            expect(talk.clerk.locator("[data-call-still]")).to_be_visible()
    assert talk.doctor.url == case


def test_the_picture_of_the_doctor_stays_when_the_doctor_turns_it_off(talk: Talk) -> None:
    until(talk.clerk, BRIGHTEST, is_clear)  # the corner keeps a picture every few seconds
    camera = talk.doctor.locator("[data-call-camera]")
    camera.click()
    expect(camera).to_have_text("Picture on")
    is_heard(talk.clerk, "voice")
    expect(talk.clerk.locator("[data-call-still]")).to_be_visible()
    expect(talk.clerk.locator("[data-call-state]")).to_have_text("You hear each other")
    assert is_clear(talk.clerk.evaluate(BRIGHTEST)), "a clear picture, not the black of a camera that is off"

    camera.click()
    is_talking(talk)
    expect(talk.clerk.locator("[data-call-still]")).to_be_hidden()


def test_a_prescription_in_the_middle_of_the_talk_keeps_the_talk_and_the_compared_digits(talk: Talk) -> None:
    doctor = talk.doctor
    for side in talk.sides:
        expect(side.locator("[data-code-ask]")).to_be_visible(timeout=20_000)
        side.locator("[data-code-same]").click()
    doctor.evaluate("window.isTheSame = document.querySelector('[data-call]').callPeer.connection")
    doctor.locator("#write > summary").click()
    code = doctor.locator("#code-1 option:not([data-barred])").nth(1).get_attribute("value")
    doctor.select_option("#code-1", code)
    for field, text in {"#quantity-1": "1", "#days-1": "30", "#directions-1": "One tablet in the morning"}.items():
        doctor.fill(field, text)
    doctor.check("input[name=basis][value=experiment]", force=True)
    doctor.get_by_role("button", name="Save the draft").click()
    expect(doctor.locator("[data-prescription]")).to_contain_text("One tablet in the morning")
    doctor.get_by_role("button", name="Drop the draft").click()
    expect(doctor.locator("[data-prescription]")).to_have_count(0)

    assert doctor.evaluate("window.isTheSame === document.querySelector('[data-call]').callPeer.connection")
    is_talking(talk)
    for side in talk.sides:
        expect(side.locator("[data-code-done]")).to_be_visible()
        assert side.evaluate("document.querySelector('[data-call]').callPeer.cuts") == 0


def test_the_keys_lead_to_their_places_and_to_the_next_patient(talk: Talk) -> None:
    page = talk.doctor
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    for key, place in (("3", "#note-assessment"), ("o", "#outcome"), ("n", "[data-next-patient]")):
        page.keyboard.press("Escape")
        page.keyboard.press(key)
        expect(page.locator(place)).to_be_focused()
    page.keyboard.press("Escape")
    page.evaluate(RUSSIAN_N)
    expect(page.locator("[data-next-patient]")).to_be_focused()


def test_the_doctor_gets_a_photograph_over_the_talk_and_around_it(talk: Talk) -> None:
    before = talk.doctor.locator("[data-photo-list] img").count()  # other talks of this case may have left some
    for number in (1, 2):
        talk.doctor.locator("[data-photo-ask]").click()
        expect(talk.clerk.locator("[data-photos]")).to_be_visible()
        if number == 2:  # the small pieces do not get through: the corner brings it to the server itself
            closed = talk.clerk.evaluate_handle(WHEN_CLOSED)
            talk.doctor.evaluate("document.querySelector('[data-call]').callPeer.photos.close()")
            closed.evaluate("({ closed }) => closed")
        talk.clerk.locator("[data-photo-take]").click()
        expect(talk.clerk.locator("[data-photo-preview]")).to_be_visible()
        talk.clerk.locator("[data-photo-send]").click()
        expect(talk.doctor.locator("[data-photo-list] img")).to_have_count(before + number, timeout=30_000)
        expect(talk.clerk.locator("[data-photos]")).to_be_hidden()

    widths = talk.doctor.evaluate("""() => Promise.all([...document.querySelectorAll("[data-photo-list] img")].map(
      (image) => image.decode().then(() => image.naturalWidth)))""")
    assert min(widths) > 100


def test_the_sliders_say_how_loud_and_for_which_ear(talk: Talk) -> None:
    talk.clerk.locator("[data-sound] summary").click()
    talk.clerk.fill("#sound-gain", "180")
    talk.clerk.fill("#sound-balance", "-40")

    expect(talk.clerk.locator("[data-sound-gain-shown]")).to_have_text("180 %")
    expect(talk.clerk.locator("[data-sound-balance-shown]")).to_have_text("more left: 40 %")
    expect(talk.clerk.locator("#sound-balance")).to_have_attribute("aria-valuetext", "more left: 40 %")


def test_captions_and_say_it_again(talk: Talk) -> None:
    talk.clerk.fill("#caption-text", "Как вы спите?")
    talk.clerk.locator("[data-caption-form] button").click()
    for side in talk.sides:
        expect(side.locator("[data-caption]")).to_have_text("Как вы спите?")

    talk.clerk.locator("[data-call-again]").click()
    expect(talk.doctor.locator("[data-caption]")).to_have_text("Please say it again")


@pytest.mark.parametrize("who", ["clerk", "doctor"])
def test_a_reload_in_the_middle_loses_no_word_and_the_talk_resumes_by_itself(talk: Talk, who: str) -> None:
    talk.doctor.fill("#note-complaint", "words typed before")
    expect(talk.doctor.locator("[data-note-state]")).to_have_text("saved", timeout=20_000)
    case = talk.doctor.url
    page: Page = getattr(talk, who)
    page.reload()

    is_talking(talk)
    assert talk.doctor.input_value("#note-complaint") == "words typed before"
    assert talk.doctor.url == case
    expect(page.locator("[data-call-elsewhere]")).to_be_hidden()
    for side in talk.sides:
        assert side.evaluate("document.querySelector('[data-call]').callPeer.cuts") == 0, "a choice, not a cut of the line"


def test_an_unplugged_camera_leaves_the_voice_and_comes_back(talk: Talk) -> None:
    talk.clerk.evaluate("""() => {
      window.realCamera = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("none", "NotFoundError"));
      const [track] = document.querySelector("[data-call-local]").srcObject.getVideoTracks();
      track.stop();
      track.dispatchEvent(new Event("ended"));
    }""")
    expect(talk.doctor.locator("[data-call][data-hear=voice]")).to_be_attached(timeout=15_000)
    expect(talk.clerk.locator("#notices")).to_contain_text("The camera does not answer")

    talk.clerk.evaluate("""() => {
      navigator.mediaDevices.getUserMedia = window.realCamera;
      navigator.mediaDevices.dispatchEvent(new Event("devicechange"));
    }""")
    is_talking(talk)


def test_a_second_device_is_asked_and_then_takes_over(talk: Talk, chromium: Browser, demo: str) -> None:
    second = window(chromium, demo, "clerk")
    second.goto(talk.clerk.url)
    second.locator("[data-call-start]").click()
    expect(second.locator("[data-call-elsewhere]")).to_be_visible(timeout=15_000)
    assert second.evaluate("document.querySelector('[data-call-remote]').srcObject") is None, "no foreign picture"
    is_talking(talk)

    second.locator("[data-call-here]").click()
    expect(talk.clerk.locator("[data-call][data-phase=elsewhere]")).to_be_attached(timeout=15_000)
    for side in (second, talk.doctor):
        expect(side.locator("[data-call][data-phase=talking]")).to_be_attached(timeout=30_000)
    second.context.close()
