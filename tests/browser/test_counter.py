"""The counter's screen in a small window: the bar at its edge leaves what is to be done in sight."""

from __future__ import annotations

import pytest

from tests.browser.test_story import Enter, begin_the_visit, open_at, register_and_print_a_card

pytestmark = pytest.mark.browser


def test_the_bar_takes_a_fifth_of_the_window_at_most_and_keeps_its_words_for_a_screen_reader(enter: Enter) -> None:
    clerk = open_at(enter("clerk"), "/counter")
    register_and_print_a_card(clerk)
    begin_the_visit(clerk)
    for width, height in ((1280, 800), (390, 844)):
        clerk.set_viewport_size({"width": width, "height": height})
        bar = clerk.locator(".next-step")
        edge = bar.bounding_box()

        assert edge is not None
        assert edge["height"] <= height / 5, (width, height)
        assert "Measure step by step" in bar.inner_text()
