"""What the gateway is told from outside: the environment, then `.env`, then defaults. A wrong value stops the start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

RADIOS = ("system", "simulated")


class SettingsError(Exception):
    """Stop and show the sentence to the operator."""


@dataclass(frozen=True)
class Settings:
    """The gateway's settings, read once."""

    data_dir: Path
    server_url: str | None
    radio: str
    demo: bool
    clock_offset_s: int

    @property
    def gateway_dir(self) -> Path:
        """Where identity, journal and run.json lie."""
        return self.data_dir / "gateway"

    @property
    def meters_dir(self) -> Path:
        """Where the simulated meters say how to reach them."""
        return self.data_dir / "meters"


def read_settings(environment: Mapping[str, str], folder: Path) -> Settings:
    """Return the settings. Raises SettingsError with one sentence."""
    values = read_env_file(folder / ".env") | dict(environment)
    radio = values.get("TELEMED_RADIO") or "system"
    if radio not in RADIOS:
        raise SettingsError(f"TELEMED_RADIO is {radio!r}; it can be {' or '.join(RADIOS)}.")
    demo = values.get("TELEMED_DEMO") or "0"
    if demo not in ("0", "1"):
        raise SettingsError(f"TELEMED_DEMO is {demo!r}; it can be 0 or 1.")
    url = values.get("TELEMED_SERVER_URL") or None
    if url is not None and not url.startswith(("http://", "https://")):
        raise SettingsError("TELEMED_SERVER_URL must start with http:// or https://.")
    if radio == "simulated" and demo != "1":
        raise SettingsError("Simulated meters belong to a demo: set TELEMED_DEMO=1, or TELEMED_RADIO=system.")
    offset = values.get("TELEMED_CLOCK_OFFSET_S") or "0"
    if not re.fullmatch(r"-?[0-9]{1,10}", offset):
        raise SettingsError(f"TELEMED_CLOCK_OFFSET_S is {offset!r}; it can be a whole number of seconds.")
    if offset != "0" and demo != "1":
        raise SettingsError("TELEMED_CLOCK_OFFSET_S belongs to a demo: a branch lives by its computer's clock.")
    data_dir = Path(values.get("TELEMED_DATA_DIR") or "var")
    return Settings(data_dir if data_dir.is_absolute() else folder / data_dir, url, radio, demo == "1", int(offset))


def read_env_file(path: Path) -> dict[str, str]:
    """Return NAME=value lines of a .env file; comments and blank lines are skipped. Raises SettingsError."""
    if not path.exists():
        return {}
    values = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise SettingsError(f"Line {number} of {path} is not NAME=value.")
        values[name.strip()] = value.strip().strip("'\"")
    return values
