"""What the talk's files weigh and name: at most 40 kB more than a live page has, and no server of others."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from telemed.web.compress import as_sent

ROOT = Path(__file__).parent.parent.parent
BUDGET_B = 40_000
HEADERS_B = 150  # of each file's answer, on a connection that is open
PANEL = ROOT / "templates" / "consultation" / "parts" / "call.html"
IMPORT = re.compile(r"""^import .*?from "(\.[^"]+)";""", re.MULTILINE)


def loaded_by(script: Path, seen: set[Path]) -> set[Path]:
    """Return a script and all that it imports by address."""
    if script not in seen:
        seen.add(script)
        for address in IMPORT.findall(script.read_text(encoding="utf-8")):
            loaded_by((script.parent / address).resolve(), seen)
    return seen


def test_a_talk_adds_at_most_forty_kilobytes() -> None:
    [names] = re.findall(r"for name in \[([^\]]+)\] %}<script", PANEL.read_text(encoding="utf-8"))
    has_already = loaded_by(ROOT / "static" / "js" / "lib" / "live-page.js", set())
    files: set[Path] = {ROOT / "static" / "css" / "call.css"}
    for name in re.findall(r'"([^"]+)"', names):
        loaded_by(ROOT / "static" / "js" / "consultation" / f"{name}.js", files)
    assert {"call.js", "call-ladder.js", "photographs.js"} <= {file.name for file in files}

    assert sum(len(gzip.compress(as_sent(file), 9)) + HEADERS_B for file in files - has_already) <= BUDGET_B


def test_no_page_knows_a_foreign_server_for_its_calls() -> None:
    scripts = [*(ROOT / "static" / "js").rglob("*.js"), *(ROOT / "templates").rglob("*.html")]
    named = [str(path) for path in scripts if re.search(r"\b(stuns?|turns?):", path.read_text(encoding="utf-8"))]

    assert len(scripts) > 50
    assert named == []
