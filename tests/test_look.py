"""The look: contrast, weight, and what the content security policy forbids."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from tools.browser_parts import shorten

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
TOKENS = (ROOT / "static" / "css" / "tokens.css").read_text(encoding="utf-8")
CSS_LIMIT_B = 16_000


def themes() -> Iterator[tuple[str, dict[str, str]]]:
    """Give the colours of both themes; the dark one stands twice and must be the same twice."""
    blocks = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", block)) for block in re.findall(r"{([^{}]*)}", TOKENS)]
    light, dark, dark_again = [block for block in blocks if "paper" in block]
    assert dark == dark_again
    yield "light", light
    yield "dark", {**light, **dark}


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2.2."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("name", "colours"), list(themes()))
def test_every_text_has_seven_to_one_on_every_ground(name: str, colours: dict[str, str]) -> None:
    pairs = [
        (text, ground)
        for text in ("ink", "soft", "deed", "ok", "warn", "alarm")
        for ground in ("paper", "card", "sunk")
    ] + [("on-deed", "deed"), ("on-focus", "focus")]

    poor = {
        pair: contrast(colours[pair[0]], colours[pair[1]])
        for pair in pairs
        if contrast(colours[pair[0]], colours[pair[1]]) < 7
    }
    assert not poor
    assert contrast("#ffffff", colours["alarm-fill"]) >= 7
    assert contrast(colours["line"], colours["card"]) >= 3


def test_the_one_style_sheet_stays_light() -> None:
    sheet = ROOT / "static" / "vendor" / "telemed.css"
    assert sheet.exists(), "run make test, or python3 tools/setup.py: static/vendor is made by set-up"

    assert len(gzip.compress(sheet.read_bytes(), 6)) <= CSS_LIMIT_B


def test_shortening_keeps_the_meaning() -> None:
    assert shorten('/* why */\na > b , c {\n  content: "✓" / "";\n}\n') == 'a > b,c{content: "✓" / "";}'


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_a_template_has_nothing_inline(path: Path) -> None:
    source = re.sub(r"{[{%#].*?[}%#]}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)

    assert not re.search(r"""\sstyle\s*=\s*["']""", source)
    assert not re.search(r"""\son[a-z]+\s*=\s*["']""", source)
    assert "<style" not in source
    allowed = r'<script (type="module" src=|type="importmap">|type="application/json" id=)'
    assert len(re.findall(r"<script", source)) == len(re.findall(allowed, source))


def test_the_import_map_names_files_that_set_up_lays_out() -> None:
    source = (ROOT / "templates" / "parts" / "importmap.html").read_text(encoding="utf-8")
    plain = re.sub(r"{{ asset\('([^']*)'\) }}", r"/static/\1", source)
    targets = json.loads(re.sub(r"</?script[^>]*>", "", plain))["imports"].values()

    assert all((ROOT / target.lstrip("/")).exists() for target in targets)


@pytest.mark.parametrize("language", ["ru", "be"])
def test_the_frame_speaks_every_language(language: str) -> None:
    with (ROOT / "telemed" / "web" / "locale" / f"{language}.po").open("rb") as file:
        known = {message.id for message in read_po(file) if message.id and message.string}
    frame = [ROOT / "templates" / "base.html", *(ROOT / "templates" / "parts").glob("*.html")]
    used = {
        words
        for path in frame
        for words in re.findall(r"""\b_\(["']([^"']+)["']\)""", path.read_text(encoding="utf-8"))
    }

    assert used
    assert not used - known


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_no_template_holds_the_marks_of_a_merge(path: Path) -> None:
    assert not re.search(r"^(<{7} |={7}$|>{7} )", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
