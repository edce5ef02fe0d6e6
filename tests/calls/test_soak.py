"""The seconds of a call over bad lines, a whole consultation over 64 kbit/s, people in between on a shaped line, and fifty
calls one after another. Long and timed, so not a part of `make test`: see bench/ for the same seconds as figures.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from bench import calls
from tests.line import CLEAN, LINES, SITES
from tests.village import HAPPENS_WITHIN_MS, Village, until_more

pytestmark = [pytest.mark.browser, pytest.mark.soak, pytest.mark.xdist_group("calls")]
SHAPED = "400k-300ms-5"
THINNEST_FOR_ALL = "64k-300ms-2"
# At 40 kbit/s, 5 % lost and packets of 120 ms, single words are lost; sentences are understood.
MOST_INVENTED_PCT = {SHAPED: 2, THINNEST_FOR_ALL: 3, "40k-600ms-5": 15}
CALLS, SETTLED_AFTER, GROWTH = 50, 10, 1.05


@pytest.mark.parametrize("line", calls.SETUP_GOALS_MS)
def test_the_first_picture_comes_in_time(quiet_village: Village, line: str) -> None:
    assert calls.first_picture_ms(quiet_village, line) <= calls.SETUP_GOALS_MS[line]


@pytest.mark.parametrize("cut_s", calls.CUTS)
def test_voice_and_picture_are_back_in_time(quiet_village: Village, cut_s: int) -> None:
    resumed = calls.resumed_ms(quiet_village, cut_s)

    assert {what: resumed[what] <= goal for what, goal in calls.CUTS[cut_s].items()} == {"voice": True, "picture": True}


def test_the_picture_goes_in_time_when_the_line_falls(quiet_village: Village) -> None:
    assert calls.fallen_ms(quiet_village, THINNEST_FOR_ALL)["off"] <= 8000


@pytest.mark.parametrize(("line", "most_pct"), MOST_INVENTED_PCT.items())
def test_little_of_the_voice_is_invented(quiet_village: Village, line: str, most_pct: float) -> None:
    assert calls.invented_pct(quiet_village, line) <= most_pct


@pytest.mark.parametrize("who", SITES)
def test_a_reload_over_a_bad_line_resumes_the_talk_and_loses_no_word(quiet_village: Village, who: str) -> None:
    pages = over(quiet_village, SHAPED)
    pages["doctor"].fill("#note-complaint", "words typed before")
    expect(pages["doctor"].locator("[data-note-state]")).to_have_text("saved", timeout=HAPPENS_WITHIN_MS)
    pages[who].reload()

    is_talking(pages)
    assert pages["doctor"].input_value("#note-complaint") == "words typed before"


def test_a_camera_unplugged_over_a_bad_line_leaves_the_voice(quiet_village: Village) -> None:
    pages = over(quiet_village, SHAPED)
    pages["corner"].evaluate("""() => {
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("none", "NotFoundError"));
      const [track] = document.querySelector("[data-call-local]").srcObject.getVideoTracks();
      track.stop();
      track.dispatchEvent(new Event("ended"));
    }""")

    expect(pages["doctor"].locator("[data-call][data-hear=voice]")).to_be_attached(timeout=HAPPENS_WITHIN_MS)
    until_more(pages["doctor"], "packets", by=50)


def test_a_second_device_over_a_bad_line_takes_over_only_when_told(quiet_village: Village) -> None:
    pages = over(quiet_village, SHAPED)
    second = quiet_village.page("corner")
    second.locator("[data-call-start]").click()
    expect(second.locator("[data-call-elsewhere]")).to_be_visible(timeout=HAPPENS_WITHIN_MS)
    assert second.evaluate("document.querySelector('[data-call-remote]').srcObject") is None, "no foreign picture"
    second.locator("[data-call-here]").click()

    expect(pages["corner"].locator("[data-call][data-phase=elsewhere]")).to_be_attached(timeout=HAPPENS_WITHIN_MS)
    is_talking({"second": second, "doctor": pages["doctor"]})


def test_fifty_calls_leave_no_memory_behind(quiet_village: Village) -> None:
    memory: dict[str, list[int]] = {"server": [], "media": []}
    for _ in range(CALLS):
        pages = quiet_village.pages()
        quiet_village.talk(pages)
        for page in pages.values():
            until_more(page, "frames", "packets")
        quiet_village.close_pages()
        for process, sizes in memory.items():
            sizes.append(resident_kb(quiet_village.folder / process))
    print({process: (sizes[0], sizes[SETTLED_AFTER], sizes[-1]) for process, sizes in memory.items()})

    for sizes in memory.values():
        assert sizes[-1] <= GROWTH * sizes[SETTLED_AFTER]


def test_a_whole_consultation_goes_over_64_kbit(quiet_village: Village) -> None:
    """The last test: it ends the case. Both sides are behind the thin line, and their pages come over it as well."""
    for site in SITES:
        quiet_village.lines.set(site, LINES[THINNEST_FOR_ALL])
    pages = quiet_village.pages()
    quiet_village.talk(pages)
    doctor = pages["doctor"]
    doctor.fill("#note-assessment", "Hypertension, better")
    expect(doctor.locator("[data-note-state]")).to_have_text("saved", timeout=HAPPENS_WITHIN_MS)
    prescribe(doctor)
    is_talking({"corner": pages["corner"]}, "packets")
    doctor.select_option("#outcome", "treated")
    doctor.get_by_role("button", name="End the consultation").click()

    doctor.wait_for_url("**/doctor", timeout=HAPPENS_WITHIN_MS)
    expect(pages["corner"].locator("[data-call][data-phase=ended]")).to_be_attached(timeout=HAPPENS_WITHIN_MS)


def prescribe(doctor: Page) -> None:
    doctor.get_by_text("Write a prescription").click()
    code = doctor.locator("#code-1 option:not([data-barred])").nth(1).get_attribute("value")
    doctor.select_option("#code-1", code)
    for field, value in (("quantity", "1"), ("days", "30"), ("directions", "One tablet in the morning")):
        doctor.fill(f"#{field}-1", value)
    doctor.check("input[name=basis][value=experiment]", force=True)
    doctor.get_by_role("button", name="Save the draft").click()
    doctor.get_by_role("button", name="Sign", exact=True).click()
    expect(doctor.locator("[data-prescription] .badge.ok").first).to_be_visible(timeout=HAPPENS_WITHIN_MS)


def over(village: Village, line: str) -> dict[str, Page]:
    """Return both pages in a talk that began on a clean line and goes on over this one."""
    village.lines.set("corner", CLEAN)
    pages = village.pages()
    village.talk(pages)
    village.lines.set("corner", LINES[line])
    return pages


def is_talking(pages: dict[str, Page], *figures: str) -> None:
    for page in pages.values():
        expect(page.locator("[data-call][data-phase=talking]")).to_be_attached(timeout=HAPPENS_WITHIN_MS)
        until_more(page, *(figures or ("frames", "packets")))


def resident_kb(folder: Path) -> int:
    """Return the memory of the process whose run file stands in this folder."""
    pid = json.loads((folder / "run.json").read_text())["pid"]
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
