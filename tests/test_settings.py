"""A wrong setting stops the start with one sentence that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from telemed.errors import StartRefused
from telemed.settings import from_environment


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"TELEMED_PORT": "x"}, "TELEMED_PORT"),
        ({"TELEMED_PORT": "70000"}, "TELEMED_PORT"),
        ({"TELEMED_DEMO": "yes"}, "TELEMED_DEMO"),
        ({"TELEMED_RADIO": "steam"}, "TELEMED_RADIO"),
        ({"TELEMED_MAX_SOCKETS": "0"}, "TELEMED_MAX_SOCKETS"),
        ({"TELEMED_TRUSTED_PROXIES": "-1"}, "TELEMED_TRUSTED_PROXIES"),
        ({"TELEMED_DEMO": "1", "TELEMED_HOST": "0.0.0.0", "TELEMED_PUBLIC_URL": "https://a"}, "TELEMED_DEMO"),
        ({"TELEMED_HOST": "0.0.0.0"}, "TELEMED_PUBLIC_URL"),
        ({"TELEMED_HOST": "10.0.0.1", "TELEMED_PUBLIC_URL": "http://a"}, "TELEMED_PUBLIC_URL"),
        ({"TELEMED_PUBLIC_URL": "ftp://a"}, "TELEMED_PUBLIC_URL"),
        ({"TELEMED_TURN_URL": "turn:a"}, "TELEMED_TURN_SECRET"),
        ({"TELEMED_DATABASE_URL": "mysql://a"}, "TELEMED_DATABASE_URL"),
        ({"TELEMED_ROOT_PASSPHRASE_FILE": "/no/such/file"}, "TELEMED_ROOT_PASSPHRASE_FILE"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(environment: dict[str, str], named: str, tmp_path: Path) -> None:
    with pytest.raises(StartRefused) as refused:
        from_environment(environment, tmp_path)

    assert named in str(refused.value)
    assert str(refused.value).endswith(".")


def test_secrets_may_come_from_files_and_settings_from_an_env_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("  s3cret\n")
    (tmp_path / ".env").write_text(
        f"# ours\nTELEMED_TURN_URL=turn:relay\nTELEMED_TURN_SECRET_FILE={tmp_path / 'secret'}\nTELEMED_PORT='8080'\n"
    )

    settings = from_environment({"TELEMED_PORT": "9090"}, tmp_path)

    assert (settings.turn_secret, settings.turn_url, settings.port) == ("s3cret", "turn:relay", 9090)


def test_a_line_that_is_no_setting_is_named_by_its_number(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TELEMED_PORT=1\nnonsense\n")

    with pytest.raises(StartRefused, match="Line 2"):
        from_environment({}, tmp_path)


def test_what_is_not_set_is_safe(tmp_path: Path) -> None:
    settings = from_environment({}, tmp_path)

    assert (settings.host, settings.demo, settings.radio) == ("127.0.0.1", False, "system")
    assert settings.is_sqlite


def test_a_clock_of_its_own_is_for_a_demo(tmp_path: Path) -> None:
    ahead = {"TELEMED_CLOCK_OFFSET_S": "-3600"}

    assert from_environment({**ahead, "TELEMED_DEMO": "1"}, tmp_path).clock_offset_s == -3600
    with pytest.raises(StartRefused, match="lives by its machine's clock"):
        from_environment(ahead, tmp_path)
    with pytest.raises(StartRefused, match="whole number of seconds"):
        from_environment({"TELEMED_CLOCK_OFFSET_S": "tomorrow", "TELEMED_DEMO": "1"}, tmp_path)
