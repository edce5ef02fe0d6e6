"""Notices: every kind that the server or a script names has its own sign and colour; none looks like plain news."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from telemed.web.notices import KINDS

ROOT = Path(__file__).resolve().parents[2]
STYLES = (ROOT / "static" / "css" / "parts.css").read_text(encoding="utf-8")
SCRIPTS = sorted((ROOT / "static" / "js").rglob("*.js"))
SAY = re.compile(r"(?<![\w.])say\(")


def flashes() -> Iterator[tuple[str, list[str]]]:
    """Yield each flash of the server with the kinds it may have."""
    for path in sorted((ROOT / "telemed").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "flash":
                parts = [part for argument in node.args[1:2] for part in ast.walk(argument)]
                yield f"{path.name}:{node.lineno}", [str(part.value) for part in parts if isinstance(part, ast.Constant)]


def arguments(source: str, start: int) -> list[str]:
    """Return the arguments of the call whose bracket was opened just before `start`."""
    found, depth, begin = [], 0, start
    for at in range(start, len(source)):
        depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(source[at], 0)
        if depth < 0 or (depth == 0 and source[at] == ","):
            found.append(source[begin:at])
            begin = at + 1
        if depth < 0:
            break
    return found


def said_by_scripts() -> Iterator[tuple[str, list[str]]]:
    """Yield each `say` of a script with the kinds it may have; without one it is "info"."""
    for path in SCRIPTS:
        source = path.read_text(encoding="utf-8")
        if "notice.js" not in source:
            continue
        for call in SAY.finditer(source):
            given = arguments(source, call.end())
            kind = given[1].rsplit("?", 1)[-1] if len(given) > 1 else '"info"'
            yield f"{path.name}: {given[0]}", re.findall(r'"(\w+)"', kind)


def test_every_notice_of_the_server_is_of_a_known_kind() -> None:
    found = dict(flashes())

    assert len(found) > 30, "the sweep finds them"
    assert {place: kinds for place, kinds in found.items() if not kinds or set(kinds) - set(KINDS)} == {}


def test_every_notice_of_a_script_is_of_a_known_kind() -> None:
    found = dict(said_by_scripts())

    assert len(found) > 10, "the sweep finds them"
    assert {place: kinds for place, kinds in found.items() if not kinds or set(kinds) - set(KINDS)} == {}


def test_every_kind_has_its_own_sign_and_colour() -> None:
    signs = {kind: re.findall(rf'\.notice\.{kind}::before {{ content: "(.)"', STYLES) for kind in KINDS}
    colours = {kind: re.findall(rf"\.notice\.{kind} {{ border-left-color: var\(--([a-z]+)\)", STYLES) for kind in KINDS}

    assert all(len(found) == 1 for found in (*signs.values(), *colours.values())), (signs, colours)
    assert len({found[0] for found in signs.values()}) == len(KINDS), "colour is never the only sign"
    assert len({found[0] for found in colours.values()}) == len(KINDS)


def test_the_style_sheet_knows_no_kind_that_nothing_is() -> None:
    assert set(re.findall(r"\.notice\.(\w+)", STYLES)) == set(KINDS)
