"""The edge: headers, errors in the caller's form, no detail of ours in an answer, OpenAPI made from the routes."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from telemed.bootstrap import ROOT, Application
from telemed.web.compress import as_sent, without_comments
from telemed.web.guard import action_of
from tests import cast

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
PATHS = ["/sign-in", "/healthz", "/no-such-page", "/api/openapi.json", "/card", "/rate"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_is_closed_to_foreign_and_inline_code(application: Application, path: str) -> None:
    answer = application.app.test_client().get(path)

    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert re.search(r"https?:", policy) is None
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


def test_no_template_has_inline_code_or_a_foreign_address() -> None:
    faults = []
    for path in (ROOT / "templates").rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        faults += [f"{path.name}: style" for _ in re.finditer(r"<[^>{]*\sstyle=", text)]
        faults += [f"{path.name}: handler" for _ in re.finditer(r"\son(click|load|submit|change)=", text)]
        faults += [f"{path.name}: {m.group()}" for m in re.finditer(r"(src|href)=\"https?://[^\"]+", text)]
        faults += [f"{path.name}: script" for m in re.finditer(r"<script(?![^>]*(src=|importmap|application/json))", text)]

    assert faults == []


def test_webassembly_is_allowed_on_the_postmans_page_only(sign_in: SignIn) -> None:
    assert "wasm-unsafe-eval" in sign_in(cast.FEDOR).get("/round").headers["Content-Security-Policy"]
    assert "wasm-unsafe-eval" not in sign_in(cast.ANNA).get("/counter").headers["Content-Security-Policy"]


def test_an_unexpected_error_says_nothing_of_itself(application: Application) -> None:
    @application.app.get("/api/v1/broken")
    def broken() -> str:
        raise RuntimeError("Мария Ёлкина 120/80")

    answer = application.app.test_client().get("/api/v1/broken")

    assert answer.status_code == 500
    assert answer.json["error"] == "server_error"
    assert answer.json["request_id"]
    assert "Ёлкина" not in answer.text


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b'"x"', b"[" * 5000, b'{"a":' * 2000, b"\xff\xfe", b"NaN"]
)  # fmt: skip
def test_a_body_that_is_no_object_is_a_typed_error(application: Application, body: bytes) -> None:
    answer = application.app.test_client().post(
        "/api/v1/gateway/join", data=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code in (400, 422)
    assert answer.json["error"] == "body_invalid"


def test_a_body_that_is_too_large_is_refused(application: Application) -> None:
    answer = application.app.test_client().post("/api/v1/gateway/join", data=b"x" * 1_100_000)

    assert answer.status_code in (413, 422)


def test_the_same_missing_object_looks_the_same_to_everybody_who_may_not_see_it(sign_in: SignIn) -> None:
    browser = sign_in(cast.ANNA)

    foreign = browser.get(f"/patients/{cast.PELAGEYA.id}")
    missing = browser.get("/patients/00000000-0000-4000-8000-000000000000")

    assert foreign.status_code == missing.status_code == 404
    plain = [re.sub(r"Request [0-9a-f]+|content=\"[^\"]+\"|value=\"[^\"]+\"", "", page.text) for page in (foreign, missing)]
    assert plain[0] == plain[1]


def test_openapi_names_every_json_route_with_its_action(application: Application) -> None:
    document = application.app.test_client().get("/api/openapi.json").json
    described = {
        (path, method): operation["x-action"]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    routes = [rule for rule in application.app.url_map.iter_rules() if rule.rule.startswith("/api/")]

    assert len(described) == sum(len(rule.methods - {"HEAD", "OPTIONS"}) for rule in routes)
    assert set(described.values()) == {action_of(application.app.view_functions[rule.endpoint]) for rule in routes}


def test_metrics_answer_to_this_machine_only(application: Application) -> None:
    browser = application.app.test_client()

    assert browser.get("/metrics").status_code == 200
    assert browser.get("/metrics", environ_base={"REMOTE_ADDR": "10.0.0.7"}).status_code == 404


@pytest.mark.parametrize(("lang", "word"), [("ru", "Вход"), ("be", "Уваход"), ("en", "Sign in")])
def test_the_first_page_speaks_three_languages(application: Application, lang: str, word: str) -> None:
    browser = application.app.test_client()
    browser.post("/language", data={"lang": lang})

    page = browser.get("/sign-in").text

    assert f'<html lang="{lang}"' in page
    assert word in page


def test_an_unknown_language_and_view_are_not_kept(application: Application) -> None:
    browser = application.app.test_client()

    browser.post("/language", data={"lang": "xx", "type_size": "<script>", "theme": "neon"})

    assert browser.get_cookie("lang").value == "ru"
    assert browser.get_cookie("view") is None


@pytest.mark.parametrize("path", ["/sign-in", "/static/js/lib/api.js", "/static/vendor/telemed.css", "/sw.js"])
def test_text_travels_packed_to_who_takes_it_and_reads_the_same(application: Application, path: str) -> None:
    browser = application.app.test_client()
    browser.set_cookie("lang", "en")

    packed = browser.get(path, headers={"Accept-Encoding": "gzip, br"})
    plain = browser.get(path)

    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert len(packed.data) < len(plain.data) / 2
    if path != "/sign-in":  # its form token and request number differ
        is_script = path.endswith(".js")
        assert gzip.decompress(packed.data) == (without_comments(plain.data) if is_script else plain.data)


def test_our_scripts_travel_without_comments_and_each_line_of_code_stays_in_its_place() -> None:
    files = [*(ROOT / "static" / "js").rglob("*.js"), ROOT / "static" / "sw.js"]
    assert len(files) > 40
    for file in files:
        before, after = (text.decode().split("\n") for text in (file.read_bytes(), as_sent(file)))
        assert len(before) == len(after), file
        kept = ""
        for source, sent in zip(before, after, strict=True):
            if source != sent:
                assert sent == "", f"{file}: {source}"
                assert source.lstrip().startswith(("//", "/*", "*")), f"{file}: {source}"
                assert kept.count("`") % 2 == 0, f"{file}: a text of several lines is no comment: {source}"
            kept += sent


def test_what_others_wrote_travels_as_it_is() -> None:
    vendor = ROOT / "static" / "vendor" / "idb.js"

    assert as_sent(vendor) == vendor.read_bytes()
