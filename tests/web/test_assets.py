"""A browser asks for a file once: its address changes with its contents, and everything that loads it knows the address."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from telemed.bootstrap import ROOT, Application
from telemed.web.assets import MARKED, _needs, address, build_mark
from tests import cast

SignIn = Callable[[cast.Person], FlaskClient]
IMPORT = re.compile(r"""^import "([^"]+)";|^(?:import|export) .* from "([^"]+)";|\bimport\("([^"]+)"\)""", re.MULTILINE)
KEPT = "public, max-age=31536000, immutable"


def addresses(application: Application, page: str = "/sign-in") -> list[str]:
    """Return every address of a static file in a page, those of its import map too."""
    return re.findall(r'"(/static/[^"]+)"', application.app.test_client().get(page).text)


def test_every_file_that_a_page_names_is_kept_for_good(application: Application) -> None:
    browser, named = application.app.test_client(), addresses(application)
    once = [path for path in named if not path.endswith("/") and "zxing" not in path]
    assert len(once) > 6

    for path in once:
        answer = browser.get(path)
        assert (path, answer.status_code, answer.headers["Cache-Control"]) == (path, 200, KEPT)
    assert sum(bool(MARKED.match(path)) for path in named) >= 4, "the scripts, and the import map's folder"


def test_a_script_reads_the_same_under_its_marked_and_its_plain_address(application: Application) -> None:
    browser = application.app.test_client()
    marked = next(path for path in addresses(application) if path.endswith("/lib/start.js"))

    plain = browser.get("/static/js/lib/start.js")

    assert browser.get(marked).data == plain.data
    assert plain.headers["Cache-Control"] == "no-cache"
    assert "ETag" in plain.headers


def test_an_older_releases_address_is_answered_but_not_kept(application: Application) -> None:
    answer = application.app.test_client().get("/static/js/v-000000000000/lib/start.js")

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache")


def test_a_missing_file_is_neither_found_nor_kept(application: Application) -> None:
    mark = build_mark(ROOT / "static")
    answer = application.app.test_client().get(f"/static/js/v-{mark}/lib/none.js")

    assert (answer.status_code, answer.headers["Cache-Control"]) == (404, "no-cache")
    assert "Content-Security-Policy" in answer.headers


@pytest.mark.parametrize("changed", ["js/lib/start.js", "vendor/telemed.css", "manifest.webmanifest"])
def test_any_change_changes_the_scripts_address(tmp_path: Path, changed: str) -> None:
    static = tmp_path / "static"
    shutil.copytree(ROOT / "static", static)
    before = build_mark(static)
    assert before == build_mark(ROOT / "static")

    (static / changed).write_bytes(b"changed")

    assert build_mark(static) != before
    assert address(static, before, "js/lib/start.js") == f"/static/js/v-{before}/lib/start.js"


def test_every_import_of_a_script_finds_its_file(application: Application) -> None:
    """A relative one must stay among the scripts: a way out of a marked address leads nowhere."""
    page = application.app.test_client().get("/sign-in").text
    known = re.findall(r'"([a-z./-]+)":"', page)
    assert {"socket.io-client", "idb", "lib/"} <= set(known)

    scripts, lost = sorted((ROOT / "static" / "js").rglob("*.js")), []
    for script in scripts:
        for name in map("".join, IMPORT.findall(script.read_text(encoding="utf-8"))):
            file = (script.parent / name).resolve()
            is_ours = name.startswith(".") and file in scripts
            if not (is_ours or name in known or name.startswith("lib/")):
                lost.append(f"{script.name}: {name}")
    assert len(scripts) > 30
    assert lost == []


def test_a_page_names_all_that_its_scripts_need_at_once(application: Application, sign_in: SignIn) -> None:
    """Each import that is found only inside a script costs a thin line one more way there and back."""
    page = sign_in(cast.ANNA).get("/counter").text
    named = {
        MARKED.sub("/static/js/", path).partition("?")[0]
        for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    }
    assert {"/static/js/lib/live.js", "/static/vendor/socket.io.esm.min.js", "/static/js/lib/forms.js"} <= named

    preloads = re.findall(r'<link rel="modulepreload" href="([^"]+)">', page)
    assert len(preloads) == len(set(preloads))
    assert page.index("importmap") < page.index("modulepreload"), "a map that comes later would be refused"


def test_the_postmans_phone_keeps_every_script_of_the_round() -> None:
    """What the service worker does not keep is missing where there is no network."""
    kept = set(re.findall(r'"/static/([^"]+)"', (ROOT / "static" / "sw.js").read_text(encoding="utf-8")))
    needed = {"js/delivery/round.js", *_needs(ROOT / "static", "js/delivery/round.js")}
    needed |= {"js/lib/start.js", *_needs(ROOT / "static", "js/lib/start.js")}

    assert len(needed) > 10
    assert needed <= kept
