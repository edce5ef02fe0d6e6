"""The gateway's one light in words on the branch PC, and the last time without a server told to the server."""

from __future__ import annotations

import html
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devices import status
from devices.journal import Journal
from devices.reach import Reach
from devices.status import Light

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
GOLDEN = json.loads((Path(__file__).parent.parent / "contract" / "gateway-status.json").read_text())


def test_every_state_has_a_sentence_and_what_to_do_in_three_languages() -> None:
    assert (list(status.HEARD), list(status.UNHEARD)) == (GOLDEN["heard"], GOLDEN["unheard"])
    states = {*status.HEARD, *status.UNHEARD, *status.NOT_AT_WORK}

    assert set(status.WHAT) == set(status.DO) == states
    assert all(all(words) for words in (*status.WHAT.values(), *status.DO.values()))


def gateway_folder(folder: Path, at: datetime, shown: str = "ok") -> Path:
    (folder / "identity.json").write_text("{}")
    (folder / "run.json").write_text('{"pid": 7}')
    (folder / status.JSON_FILE).write_text(json.dumps(Light(shown, 3, at, at).as_json()))
    return folder


def test_a_gateway_that_never_joined_died_or_hangs_is_not_shown_as_well(tmp_path: Path) -> None:
    assert status.read_light(tmp_path, NOW, lambda _pid: True).status == "not_joined"
    folder = gateway_folder(tmp_path, NOW - timedelta(minutes=1))
    assert status.read_light(folder, NOW, lambda _pid: True).status == "ok"

    assert status.read_light(folder, NOW, lambda _pid: False).status == "not_running"
    assert status.read_light(folder, NOW + timedelta(minutes=5), lambda _pid: True).status == "hangs"


def test_a_torn_or_strange_light_never_breaks_the_command(tmp_path: Path) -> None:
    folder = gateway_folder(tmp_path, NOW, shown="word_of_tomorrow")
    assert status.read_light(folder, NOW, lambda _pid: True).status == "server_refuses"

    (folder / status.JSON_FILE).write_text('{"status": "o')
    assert status.read_light(folder, NOW, lambda _pid: True).status == "hangs"


def test_the_page_on_the_branch_pc_says_it_in_three_languages_with_what_waits() -> None:
    page = status.page(Light("line_hijacked", 4, NOW, NOW), UTC)

    for number, language in enumerate(status.LANGUAGES):
        assert f'lang="{language}"' in page
        assert html.escape(status.WHAT["line_hijacked"][number]) in page
        assert f"{status.WAITING[number]}: 4." in page


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.db")


def test_an_outage_is_told_after_it_ended_with_its_most_telling_reason(journal: Journal) -> None:
    reach = Reach(journal)
    reach.lose("offline", NOW)
    reach.lose("line_hijacked", NOW + timedelta(minutes=2))
    reach.lose("offline", NOW + timedelta(minutes=4))
    assert reach.report() is None

    reach.find(NOW + timedelta(minutes=5))
    assert reach.report() == {
        "code": "line_hijacked", "since": "2026-11-23T10:00:00.000Z", "until": "2026-11-23T10:05:00.000Z",
    }  # fmt: skip


def test_one_failed_call_is_no_outage(journal: Journal) -> None:
    reach = Reach(journal)
    reach.lose("offline", NOW)
    reach.find(NOW + timedelta(seconds=20))

    assert reach.report() is None


def test_a_restart_in_the_middle_does_not_shorten_an_outage(journal: Journal) -> None:
    before = Reach(journal)
    before.lose("offline", NOW)
    before.lose("offline", NOW + timedelta(minutes=2))

    after = Reach(journal)
    after.lose("offline", NOW + timedelta(minutes=9))
    after.find(NOW + timedelta(minutes=10))
    assert after.report() == {
        "code": "offline", "since": "2026-11-23T10:00:00.000Z", "until": "2026-11-23T10:10:00.000Z",
    }  # fmt: skip
