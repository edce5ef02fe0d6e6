"""The README tells what exists: every command and setting in it exists, and none that exists is missing."""

from __future__ import annotations

import re
from pathlib import Path

from app import parser
from devices.__main__ import parser as devices_parser
from telemed.schema.tables import METADATA
from tests.test_words import SENTENCES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def table(text: str, head: str) -> list[str]:
    rows = text.split(f"| {head} |")[1].split("\n\n")[0]
    return re.findall(r"^\| `([^`]+)`", rows, re.MULTILINE)


def commands_of(top: object) -> set[str]:
    actions = [action for action in top._actions if hasattr(action, "choices") and isinstance(action.choices, dict)]  # type: ignore[attr-defined]
    return {name for action in actions for name in action.choices}


def test_every_make_target_stands_in_the_readme_and_the_other_way_round() -> None:
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)) - {"help"}

    assert {f"make {target}" for target in targets} == set(table(section("Commands"), "make"))


def test_every_command_of_the_server_stands_in_the_readme() -> None:
    assert commands_of(parser()) == set(table(section("Commands"), "python app.py"))


def test_every_command_of_the_gateway_stands_in_the_readme() -> None:
    assert commands_of(devices_parser()) | {"decode"} == set(table(section("Commands"), "python -m devices"))


def test_every_setting_stands_in_the_readme_and_is_read_somewhere() -> None:
    sources = [*(ROOT / "telemed").rglob("settings.py"), *(ROOT / "devices").rglob("settings.py")]
    known = {name for path in sources for name in re.findall(r"\"(TELEMED_[A-Z_]+)\"", path.read_text())}
    known = {name.removesuffix("_FILE") for name in known}

    assert known == set(table(section("Settings"), "name"))


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_security_document_names_every_table_with_plain_columns_about_people() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    people = {"patient", "account"}
    about_people = people | {table.name for table in METADATA.tables.values() if "patient_id" in table.columns}
    # rows that hold only ids, times and sealed sections
    only_ids = {"chat_message", "sign_in_session", "invitation"}

    assert {name for name in about_people - only_ids if f"`{name}`" not in text} == set()


def test_the_tour_names_buttons_that_the_pages_have() -> None:
    tour = section("From clone to a delivered parcel in five minutes")
    named = [" ".join(name.split()) for name in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", tour)]
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "templates").rglob("*.html"))
    words = {text for sentence in SENTENCES for text in sentence}

    assert len(named) > 12
    assert [name for name in named if name not in words and f">{name}<" not in pages] == []
