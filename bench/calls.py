"""Calls over emulated village lines, real browsers at both ends: how soon they begin, how they come back after a cut, how
much of the voice is invented, what a call costs in signalling, and how well the check before it judges a line.

Needs root and TUN; without them it has no figures and says why.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from bench.figure import Figure, against
from tests.line import CLEAN, CUT, LINES, SITES, LineEmulator, NoLine, Shape
from tests.village import CHECK, SAMPLE, Village, open_village, samples_until, until

SETUP_GOALS_MS = {"clean": 1000, "400k-300ms-5": 3000, "256k-600ms-10": 5000}
CONCEALED_GOALS_PCT = {"clean": None, "400k-300ms-5": 2, "64k-300ms-2": 3, "40k-600ms-5": None}
FALL_GOALS_MS = {"64k-300ms-2": 8000, "40k-600ms-5": None}
CUTS = {20: {"voice": 2000, "picture": 4000}, 45: {"voice": 3000, "picture": 6000}}  # seconds: goals in ms
PROMISED = ("1000k-80ms-1", "512k-100ms-2", "400k-300ms-5", "256k-300ms-5")  # where rate and loss are promised
CHECKED = (*PROMISED, "256k-600ms-10", "100k-300ms-5", "64k-300ms-2")
SETTLE_MS, HEARD_MS = 12_000, 12_000
RESUME_MOST_S = 60
NOTED = "window.noted"
OFF_AT = "document.querySelector('[data-call]').dataset.step === 'voice_photos' && (window.offAt ??= Date.now())"


def figures() -> Iterator[Figure]:
    """Yield the figures of the call."""
    try:
        lines = LineEmulator()
    except NoLine as missing:
        print(f"calls over a village line: no figures, {missing}")
        return
    try:
        with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
            village = open_village(Path(folder), lines, playwright)
            try:
                yield from _setup(village)
                yield from _concealed(village)
                yield from _fallen(village)
                yield from _resume(village)
                yield from _checks(village)
            finally:
                village.close()
    finally:
        lines.close()


def begin(village: Village, shape: Shape) -> dict[str, Page]:
    """Begin a call over a line of this shape; the pages were loaded before, on a clean one."""
    for site in SITES:
        village.lines.set(site, CLEAN)
    pages = village.pages()
    village.socket_bytes = 0
    village.lines.set("corner", shape)
    for page in pages.values():
        page.locator("[data-call-start]").click()
    return pages


def first_picture_ms(village: Village, name: str) -> float:
    """Return how long the later side waits for its first picture once both are ready, over a line."""
    pages = begin(village, LINES[name])
    noted = [until(page, NOTED, lambda now: now["firstPicture"] is not None) for page in pages.values()]
    village.close_pages()
    ready = max(_phase(one, "connecting", "talking") for one in noted)
    return float(max(one["firstPicture"] for one in noted)) - ready


def invented_pct(village: Village, name: str) -> float:
    """Return how much of the voice is invented in the worse direction, after the ladder had time to act."""
    pages = begin(village, LINES[name])
    for page in pages.values():
        until(page, NOTED, lambda now: any(one["phase"] == "talking" for one in now["phases"]), 120_000)
    pages["doctor"].wait_for_timeout(SETTLE_MS)
    for page in pages.values():
        page.evaluate(SAMPLE)
    pages["doctor"].wait_for_timeout(HEARD_MS)
    samples = [page.evaluate("window.samples") for page in pages.values()]
    village.close_pages()
    return max(_invented_pct(one) for one in samples)


def resumed_ms(village: Village, cut_s: int) -> dict[str, float]:
    """Return how long after a cut the worse side waits for voice and for picture, from the line's return."""
    pages = talking(village)
    village.lines.set("corner", CUT)
    pages["doctor"].wait_for_timeout(1000 * cut_s)
    for page in pages.values():
        page.evaluate(SAMPLE)
    back_at = pages["doctor"].evaluate("Date.now()")
    village.lines.set("corner", CLEAN)
    seen = [samples_until(page, lambda found: _grown(found, "frames") is not None) for page in pages.values()]
    village.close_pages()
    found = {}
    for what, name in (("voice", "packets"), ("picture", "frames")):
        came = [_grown(samples, name) for samples in seen]
        found[what] = max(RESUME_MOST_S * 1000 if at is None else at - back_at for at in came)
    return found


def fallen_ms(village: Village, name: str) -> dict[str, float]:
    """Return how long after a fall of the line the later side's picture is off, and how long until both hear again: two
    seconds without a tenth of the voice invented.
    """
    pages = talking(village)
    for page in pages.values():
        page.evaluate(SAMPLE)
    fallen_at = pages["doctor"].evaluate("Date.now()")
    village.lines.set("corner", LINES[name])
    off = max(until(page, OFF_AT, bool) for page in pages.values()) - fallen_at
    seen = [samples_until(page, lambda found: _healed(found, fallen_at) is not None) for page in pages.values()]
    village.close_pages()
    healed = [_healed(samples, fallen_at) for samples in seen]
    return {"off": off, "heard": max(RESUME_MOST_S * 1000 if at is None else at - fallen_at for at in healed)}


def talking(village: Village) -> dict[str, Page]:
    """Return both pages three seconds after the first picture, on a clean line."""
    pages = begin(village, CLEAN)
    for page in pages.values():
        until(page, NOTED, lambda now: now["firstPicture"] is not None)
    pages["doctor"].wait_for_timeout(3000)
    return pages


def _setup(village: Village) -> Iterator[Figure]:
    for name, goal_ms in SETUP_GOALS_MS.items():
        value = first_picture_ms(village, name)
        words = f"both ready to the first picture: under {goal_ms}"
        yield against(f"call_setup_ms_{name}", "ms", value, goal_ms, words)
        if name == "clean":
            kbit = village.socket_bytes * 8 / 1000
            yield Figure("ice_kbit_per_call", kbit, "kbit", None, None, "sockets of both sides to the first picture")


def _phase(noted: dict[str, Any], *names: str) -> float:
    return float(min(one["at"] for one in noted["phases"] if one["phase"] in names))


def _concealed(village: Village) -> Iterator[Figure]:
    for name, goal in CONCEALED_GOALS_PCT.items():
        value = invented_pct(village, name)
        words = "the worse direction, picture off where the line asks it"
        goal_words = f"at most {goal} %; {words}" if goal else words
        yield Figure(f"voice_concealed_pct_{name}", value, "%", goal, value / goal if goal else None, goal_words)


def _fallen(village: Village) -> Iterator[Figure]:
    for name, goal_ms in FALL_GOALS_MS.items():
        found = fallen_ms(village, name)
        words = "from the fall of a clean line" + (f": under {goal_ms}" if goal_ms else "")
        ratio = found["off"] / goal_ms if goal_ms else None
        yield Figure(f"picture_off_ms_{name}", found["off"], "ms", goal_ms, ratio, words)
        yield Figure(f"heard_again_ms_{name}", found["heard"], "ms", None, None, "from the fall until both hear well")


def _invented_pct(samples: list[dict[str, Any]]) -> float:
    first, last = samples[0], samples[-1]
    return 100 * float(last["invented"] - first["invented"]) / max(1, last["samples"] - first["samples"])


def _healed(samples: list[dict[str, Any]], since: float) -> float | None:
    """Return when two seconds began in which the voice came nearly whole, the first after something was lost."""
    after = [one for one in samples if one["at"] >= since + 1000]
    for at in range(len(after)):
        whole = [one for one in after[at:] if one["at"] <= after[at]["at"] + 2000]
        if after[-1]["at"] < after[at]["at"] + 2000:
            return None
        if _invented_pct(whole) < 10 and whole[-1]["packets"] > whole[0]["packets"]:
            return float(after[at]["at"])
    return None


def _resume(village: Village) -> Iterator[Figure]:
    for cut_s, goals in CUTS.items():
        found = resumed_ms(village, cut_s)
        for what, goal in goals.items():
            words = f"the worse side, from the line's return: under {goal}"
            yield against(f"resume_{what}_ms_{cut_s}s", "ms", found[what], goal, words)


def _grown(samples: list[dict[str, Any]], name: str) -> float | None:
    """Return when a figure first was higher than at the start, or None."""
    return next((one["at"] for one in samples if one[name] > samples[0][name]), None) if samples else None


def _checks(village: Village) -> Iterator[Figure]:
    """Check each line from the corner's page; give the worst error where it is promised, and tell all."""
    village.lines.set("corner", CLEAN)
    page = village.page("corner")
    rates, losses = [], []
    for name in CHECKED:
        shape = LINES[name]
        village.lines.set("corner", shape)
        found = page.evaluate(CHECK)
        village.lines.set("corner", CLEAN)
        rate = [100 * abs((found.get(way) or 0) / shape.kbit_s - 1) for way in ("up_kbit_s", "down_kbit_s")]
        loss = [abs((found.get(way) or 0) - shape.loss_pct) for way in ("loss_up_pct", "loss_down_pct")]
        print(f"  {name}: {found}")
        if name in PROMISED:
            rates += rate
            losses += loss
    village.close_pages()
    yield against("line_check_error_rate", "%", max(rates), 15, "worst way, from 256 kbit/s and up to 5 %: within 15 %")
    yield against("line_check_error_loss", "points", max(losses), 3, "the same lines: within 3 points")
