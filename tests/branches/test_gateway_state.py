"""What a gateway says of itself stands on the branch page, in words that say what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from telemed.branches import rules, service
from telemed.i18n import code_text
from telemed.services import Services
from tests import cast
from tests.branches.test_gateway import BranchPc, pc

__all__ = ["pc"]
SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
GOLDEN = json.loads((Path(__file__).parent.parent / "contract" / "gateway-status.json").read_text())


def at(services: Services, minutes: float) -> str:
    return (services.clock() - timedelta(minutes=minutes)).astimezone(UTC).isoformat()


def view(services: Services) -> service.BranchView:
    return service.branch_view(services, cast.ANNA.who, cast.OZERKI)


def test_the_branch_sees_how_many_packets_nobody_could_read_and_when_the_last_came(
    pc: BranchPc, services: Services
) -> None:  # fmt: skip
    pc.beat(1)
    assert (view(services).undecodable, view(services).undecodable_at) == (0, None)
    last = at(services, 3)

    pc.beat(2, journal={"undecodable": 2, "undecodable_at": last, "stored": 9})
    assert (view(services).undecodable, view(services).undecodable_at) == (2, datetime.fromisoformat(last))


def test_an_unreadable_packet_is_spoken_of_for_a_day(pc: BranchPc, services: Services, clock: Any) -> None:
    pc.beat(1, journal={"undecodable": 2, "undecodable_at": at(services, 3), "stored": 9})
    assert view(services).undecodable == 2

    clock.forward(hours=25)
    assert view(services).undecodable == 0


def test_the_branch_page_says_since_when_items_wait_and_what_cut_the_line(
    pc: BranchPc, services: Services, sign_in: SignIn
) -> None:  # fmt: skip
    outage = {"code": "line_hijacked", "since": at(services, 40), "until": at(services, 20)}
    journal = {"undecodable": 1, "undecodable_at": at(services, 3), "oldest_unsent_at": at(services, 30)}
    pc.beat(1, queue=4, journal=journal, outage=outage)

    page = sign_in(cast.ANNA).get("/branch").text
    assert code_text("en", "outage_line_hijacked") in page.replace("&#39;", "'")
    assert "the oldest since" in page
    assert "Not readable from a meter" in page
    assert "Nothing needs to be done" not in page


def test_an_outage_is_forgotten_after_a_day_and_stays_known_through_beats_without_one(
    pc: BranchPc, services: Services, clock: Any
) -> None:  # fmt: skip
    pc.beat(1, outage={"code": "offline", "since": at(services, 40), "until": at(services, 20)})
    pc.beat(2)
    assert view(services).outage is not None

    clock.forward(hours=24)
    assert view(services).outage is None


@pytest.mark.parametrize(
    "change",
    [
        {"outage": {"code": "NO WAY", "since": "2026-11-23T10:00:00Z", "until": "2026-11-23T10:00:00Z"}},
        {"outage": {"code": "offline", "since": "2026-11-23T10:00:00"}}, {"outage": []}, {"journal": None},
        {"journal": {"undecodable": -1}}, {"journal": {"undecodable_at": "yesterday"}},
    ],
)  # fmt: skip
def test_a_malformed_state_is_a_typed_error(pc: BranchPc, change: dict[str, Any]) -> None:
    assert pc.beat(1, **change).json["error"] == "body_invalid"


@pytest.mark.parametrize("language", ["ru", "be", "en"])
def test_every_state_that_a_gateway_can_report_has_its_sentence_and_what_to_do(language: str) -> None:
    assert set(rules.HEARD) == {*GOLDEN["heard"], "joined"}
    assert set(rules.OUTAGE_REASONS) <= set(GOLDEN["unheard"])
    codes = [f"light_{word}" for word in (*rules.HEARD, "silent", "absent")]
    codes += [f"outage_{word}" for word in rules.OUTAGE_REASONS]

    for code in (*codes, *(f"{code}_advice" for code in codes)):
        assert code_text(language, code) != code.replace("_", " ")


def test_a_word_of_a_newer_gateway_is_a_plain_trouble_and_no_code_on_the_page(pc: BranchPc, services: Services) -> None:
    pc.beat(1, status="flux_capacitor", outage={"code": "warp", "since": at(services, 9), "until": at(services, 5)})

    seen = view(services)
    assert seen.light == "server_refuses"
    assert seen.outage is not None
    assert seen.outage.code == "offline"
