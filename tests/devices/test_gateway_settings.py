"""Settings and back-off of the gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.settings import SettingsError, read_settings
from devices.uplink import Patience


def test_the_environment_wins_over_the_env_file_and_both_over_defaults(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# demo\nTELEMED_DATA_DIR=from-file\nTELEMED_DEMO='1'\n")
    settings = read_settings({"TELEMED_DATA_DIR": "from-environment"}, tmp_path)

    assert settings.gateway_dir == tmp_path / "from-environment" / "gateway"
    assert (settings.demo, settings.radio, settings.server_url) == (True, "system", None)


def test_a_clock_of_its_own_is_for_a_demo(tmp_path: Path) -> None:
    ahead = {"TELEMED_CLOCK_OFFSET_S": "3600"}

    assert read_settings({**ahead, "TELEMED_DEMO": "1"}, tmp_path).clock_offset_s == 3600
    with pytest.raises(SettingsError, match="lives by its computer's clock"):
        read_settings(ahead, tmp_path)
    with pytest.raises(SettingsError, match="whole number of seconds"):
        read_settings({"TELEMED_CLOCK_OFFSET_S": "1.5", "TELEMED_DEMO": "1"}, tmp_path)


def test_an_env_file_that_is_none_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TELEMED_DEMO\n")

    with pytest.raises(SettingsError, match="Line 1"):
        read_settings({}, tmp_path)


def test_waits_double_up_to_the_limit_are_shaken_and_start_over() -> None:
    steady = Patience(1.0, 8.0, shake=lambda: 1.0)
    assert [steady.next_s() for _ in range(5)] == [1, 2, 4, 8, 8]

    steady.reset()
    assert steady.next_s() == 1

    assert Patience(1.0, 8.0, shake=lambda: 0.0).next_s() == 0.5
