"""The live part of a page in a real browser: news is shown in the end, and no field in which somebody works is touched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.delivery.test_offline_browser import address, chromium, driver  # noqa: F401 - fixtures

pytestmark = pytest.mark.browser
PART = """
<p id="news">{news}</p>
<section data-renew-after="{news}"><form action="/one"><input type="hidden" name="version" value="{news}">
<label>Words <input name="words"></label><label>Other <input name="other"></label>
<select name="why"><option value="">-</option><option value="a">A</option></select></form>
<p class="after">{news}</p></section>
<form action="/two"><input name="words"></form><details><summary>More</summary><p>{news}</p></details>
"""


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:  # noqa: F811
    context = chromium.new_context(base_url=address)
    page = context.new_page()
    page.goto("/sign-in")
    page.evaluate("part => { document.getElementById('main').innerHTML = part; }", PART.format(news="1"))
    yield page
    context.close()


def arrive(page: Page, news: str, part: str = PART) -> None:
    page.evaluate(
        """async ([fresh]) => {
          const { renew } = await import("/static/js/lib/renew.js");
          const element = document.createElement("main");
          element.innerHTML = fresh;
          renew(document.getElementById("main"), element);
        }""",
        [part.format(news=news)],
    )


def test_news_is_shown_while_the_cursor_stands_in_a_field(page: Page) -> None:
    page.locator("form[action='/one'] [name=words]").focus()

    arrive(page, "2")

    expect(page.locator("#news")).to_have_text("2")
    expect(page.locator(".after")).to_have_text("2")
    expect(page.locator("form[action='/one'] [name=version]")).to_have_value("2")
    expect(page.locator("form[action='/one'] [name=words]")).to_be_focused()


def test_a_field_that_somebody_typed_into_keeps_its_words(page: Page) -> None:
    words = page.locator("form[action='/one'] [name=words]")
    words.press_sequentially("мет")
    page.select_option("[name=why]", "a")
    page.locator("#news").click()

    for news in ("2", "3"):
        arrive(page, news)

    expect(page.locator("#news")).to_have_text("3")
    expect(words).to_have_value("мет")
    expect(page.locator("[name=why]")).to_have_value("a")
    expect(page.locator("form[action='/two'] [name=words]")).to_have_value("")
    expect(page.locator("form[action='/one']")).to_have_count(1)
    expect(page.locator("[name=words]")).to_have_count(2)


def test_the_cursor_stays_where_it_is_in_the_word(page: Page) -> None:
    words = page.locator("form[action='/one'] [name=words]")
    words.press_sequentially("метформин")
    words.evaluate("field => field.setSelectionRange(3, 3)")

    arrive(page, "2")
    words.press_sequentially("!")

    expect(words).to_have_value("мет!формин")


def test_a_form_with_words_stays_when_the_news_has_no_such_form(page: Page) -> None:
    page.locator("form[action='/two'] [name=words]").press_sequentially("жду")

    arrive(page, "2", '<p id="news">{news}</p>')

    expect(page.locator("#news")).to_have_text("2")
    expect(page.locator("form[action='/two'] [name=words]")).to_have_value("жду")
    expect(page.locator("form[action='/one']")).to_have_count(0)


def test_what_is_open_stays_open(page: Page) -> None:
    page.locator("#main summary").click()

    arrive(page, "2")

    expect(page.locator("details p")).to_be_visible()
    expect(page.locator("details p")).to_have_text("2")


def test_a_read_that_fails_is_tried_again_and_news_meanwhile_is_read_too(page: Page) -> None:
    read = page.evaluate(
        """async () => {
          const { reader } = await import("/static/js/lib/renew.js");
          const real = setTimeout, seen = [];
          window.setTimeout = (run) => real(run, 0);
          const answers = [false, false, true, true];
          let ask;
          const again = reader(async () => {
            seen.push(answers.length);
            if (answers.length === 2) ask();
            return answers.shift();
          });
          ask = again;
          await again();
          await new Promise((done) => real(done, 200));
          return seen.length;
        }"""
    )

    assert read == 4, "twice in vain, then once, and once more for the news that came while it was read"
