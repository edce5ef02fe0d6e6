"""The postman's page reads a slip's code as the server does, with no network and under any keyboard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.consultation.test_ladder import page  # noqa: F401  (a page that can load the product's modules)

pytestmark = pytest.mark.browser
CASES = json.loads((Path(__file__).parent.parent / "contract" / "code-readings.json").read_text(encoding="utf-8"))
READ = "async (typed) => (await import('/static/js/lib/code-readings.js')).tokenReadings(typed)"


def test_the_phone_reads_a_code_as_the_server_does(page: Page) -> None:  # noqa: F811
    read = {case["say"]: page.evaluate(READ, case["typed"]) for case in CASES}

    assert {say: readings[0] for say, readings in read.items()} == {case["say"]: case["first"] for case in CASES}
    assert all(read[case["say"]][1] == case["second"] for case in CASES if "second" in case)
