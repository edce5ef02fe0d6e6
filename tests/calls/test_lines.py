"""Two people talk over a village line: it begins, it survives a cut, a restarted server and a killed media process.
How long each takes is a figure of bench/; here it only has to happen.
"""

from __future__ import annotations

import pytest

from tests.line import LINES
from tests.village import FIGURES, Village, until_more

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("calls")]


@pytest.mark.parametrize("line", ["clean", "400k-300ms-5"])
def test_both_see_and_hear_each_other(quiet_village: Village, line: str) -> None:
    pages = quiet_village.pages()
    quiet_village.lines.set("corner", LINES[line])
    quiet_village.talk(pages)

    for page in pages.values():
        until_more(page, "frames", "packets")
    assert [page.evaluate(FIGURES)["pair"]["local"] for page in pages.values()] == ["host", "host"]
