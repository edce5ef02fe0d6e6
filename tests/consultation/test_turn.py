"""The way into a call and the relay: whom coturn lets in, for how long, and what the doctor command says of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from telemed import admin
from telemed.clock import machine_now
from telemed.consultation import turn
from telemed.consultation.media_plane import media_plane
from telemed.errors import StartRefused
from telemed.ids import new_id
from telemed.settings import Settings, from_environment
from tests.conftest import Clock
from tests.coturn import SECRET, NoCoturn, coturn


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        with coturn(tmp_path_factory.mktemp("coturn"), "127.0.0.1") as url:
            yield url
    except NoCoturn as missing:
        pytest.skip(str(missing))


def with_relay(settings: Settings, url: str, **more: str) -> Settings:
    return replace(settings, turn_url=url, turn_secret=SECRET, **more)  # type: ignore[arg-type]


def test_a_call_gets_passwords_of_its_own_for_an_hour(settings: Settings, clock: Clock) -> None:
    call = new_id()
    plane = media_plane(with_relay(settings, "turn:a.example:3478 turn:a.example:3478?transport=tcp"), clock)

    way = plane.open(call).as_json()

    [server] = way["ice_servers"]
    assert (way["kind"], way["policy"], way["expires_at"]) == ("p2p", "all", "2026-11-23T10:00:00.000Z")
    assert server["urls"] == ["turn:a.example:3478", "turn:a.example:3478?transport=tcp"]
    assert server["username"] == f"{int((clock() + timedelta(hours=1)).timestamp())}:{call}"
    assert SECRET not in str(way)


def test_the_relay_kind_hides_addresses_and_needs_coturn(settings: Settings, clock: Clock, tmp_path: Path) -> None:
    plane = media_plane(with_relay(settings, "turn:a.example", media_plane="relay"), clock)

    assert plane.open(new_id()).policy == "relay"
    with pytest.raises(StartRefused, match="TELEMED_TURN_URL"):
        from_environment({"TELEMED_MEDIA_PLANE": "relay"}, tmp_path)


def test_coturn_gives_a_relay_for_our_passwords(relay: str, settings: Settings) -> None:
    plane = media_plane(with_relay(settings, relay), machine_now)
    [server] = plane.open(new_id()).ice_servers

    answer = turn.ask_for_a_relay(relay, server["username"], server["credential"])

    assert answer.error is None


@pytest.mark.parametrize("transport", ["", "?transport=tcp"])
@pytest.mark.parametrize(("ago", "secret"), [(-60, "another secret"), (60, SECRET)], ids=["wrong", "expired"])
def test_coturn_refuses_wrong_and_expired_passwords(relay: str, transport: str, ago: int, secret: str) -> None:
    """The premise, that the right ones are let in, is the test above."""
    name = f"{int(machine_now().timestamp()) - ago}:call"

    answer = turn.ask_for_a_relay(relay + transport, name, turn.password_of(secret, name))

    assert answer.error == turn.UNAUTHORISED


@pytest.mark.parametrize(
    ("software", "is_old"),
    [("Coturn-4.6.1 'Gorst'", True), ("Coturn-4.9.0", False), ("Coturn-4.10.2", False), ("", False)],
)
def test_versions_before_4_9_0_are_old(software: str, is_old: bool) -> None:
    assert turn.is_old(software) is is_old


def test_the_doctor_command_asks_coturn(relay: str, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        nobody = f"turn:127.0.0.1:{silent.getsockname()[1]}"
        admin.doctor(replace(with_relay(settings, f"{relay} {nobody}"), turn_secret="mistyped"))

    told = capsys.readouterr().out
    assert f"{relay} refuses us with 401" in told
    assert f"No TURN server answers at {nobody}" in told
