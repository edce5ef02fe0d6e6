"""Settings, read once from the environment and `.env`. A wrong value stops the start with one sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from telemed.errors import StartRefused

# The guideline rules of a pressure series; telemed/checkup/protocols.json says what each asks for.
SERIES_RULES = ("standard-1", "esh-2023", "ish-2020", "acc-aha-2025", "canada-2025")


@dataclass(frozen=True)
class Settings:
    """What a deployment may choose. Names of the environment variables are in `from_environment`."""

    data_dir: Path
    host: str
    port: int
    public_url: str
    trusted_proxies: int
    database_url: str
    redis_url: str
    media_url: str
    media_secret: str
    media_plane: str
    turn_url: str
    turn_secret: str
    root_passphrase: str
    max_sockets: int
    series_rule: str
    demo: bool
    clock_offset_s: int
    server_url: str
    radio: str

    @property
    def server_dir(self) -> Path:
        """Return the server's folder: database, keys, run.json."""
        return self.data_dir / "server"

    @property
    def is_sqlite(self) -> bool:
        """Tell whether the embedded database is in use."""
        return self.database_url.startswith("sqlite")

    @property
    def is_https(self) -> bool:
        """Tell whether browsers reach us through TLS."""
        return self.public_url.startswith("https://")


def from_environment(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Return the settings of the environment, filled up from `.env` in `folder`. Raises StartRefused."""
    folder = folder or Path.cwd()
    values = {**read_env_file(folder / ".env"), **(os.environ if environ is None else environ)}
    read = _Reader(values)
    data_dir = Path(read.text("TELEMED_DATA_DIR", "var")).absolute()
    settings = Settings(
        data_dir=data_dir,
        host=read.text("TELEMED_HOST", "127.0.0.1"),
        port=read.number("TELEMED_PORT", 0, 0, 65535),
        public_url=read.text("TELEMED_PUBLIC_URL", "").rstrip("/"),
        trusted_proxies=read.number("TELEMED_TRUSTED_PROXIES", 0, 0, 10),
        database_url=read.secret("TELEMED_DATABASE_URL") or f"sqlite:///{data_dir / 'server' / 'telemed.db'}",
        redis_url=read.secret("TELEMED_REDIS_URL"),
        media_url=read.text("TELEMED_MEDIA_URL", ""),
        media_secret=read.secret("TELEMED_MEDIA_SECRET"),
        media_plane=read.choice("TELEMED_MEDIA_PLANE", "p2p", ("p2p", "relay")),
        turn_url=read.text("TELEMED_TURN_URL", ""),
        turn_secret=read.secret("TELEMED_TURN_SECRET"),
        root_passphrase=read.secret("TELEMED_ROOT_PASSPHRASE"),
        max_sockets=read.number("TELEMED_MAX_SOCKETS", 200, 1, 5000),
        series_rule=read.choice("TELEMED_SERIES_RULE", "standard-1", SERIES_RULES),
        demo=read.flag("TELEMED_DEMO"),
        clock_offset_s=read.offset("TELEMED_CLOCK_OFFSET_S"),
        server_url=read.text("TELEMED_SERVER_URL", ""),
        radio=read.choice("TELEMED_RADIO", "system", ("system", "simulated")),
    )
    _refuse_contradictions(settings)
    return settings


def read_env_file(path: Path) -> dict[str, str]:
    """Return the NAME=value lines of a file; an absent file is empty. Raises StartRefused on another kind of line."""
    if not path.is_file():
        return {}
    values = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise StartRefused(f"Line {number} of {path.name} is not NAME=value.")
        values[name.strip()] = value.strip().strip("\"'")
    return values


def _refuse_contradictions(settings: Settings) -> None:
    if settings.demo and settings.host not in ("127.0.0.1", "localhost", "::1"):
        raise StartRefused("TELEMED_DEMO=1 has one-click sign-in, so it only runs on TELEMED_HOST=127.0.0.1.")
    if settings.clock_offset_s and not settings.demo:
        raise StartRefused("TELEMED_CLOCK_OFFSET_S is for demos and tests; a deployment lives by its machine's clock.")
    if settings.public_url and not settings.public_url.startswith(("http://", "https://")):
        raise StartRefused("TELEMED_PUBLIC_URL must begin with http:// or https://.")
    local = settings.host in ("127.0.0.1", "localhost", "::1")
    if not local and not settings.is_https:
        raise StartRefused("To serve on a network, set TELEMED_PUBLIC_URL to the https:// address of your TLS proxy.")
    if bool(settings.turn_url) != bool(settings.turn_secret):
        raise StartRefused("TELEMED_TURN_URL and TELEMED_TURN_SECRET go together; set both or none.")
    if settings.media_plane == "relay" and not settings.turn_url:
        raise StartRefused("TELEMED_MEDIA_PLANE=relay needs coturn: set TELEMED_TURN_URL and TELEMED_TURN_SECRET.")
    if not settings.database_url.startswith(("sqlite:///", "postgresql://")):
        raise StartRefused("TELEMED_DATABASE_URL must begin with sqlite:/// or postgresql://.")


class _Reader:
    """Read typed values; every wrong one is a sentence with the variable's name."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values

    def text(self, name: str, default: str) -> str:
        return self.values.get(name, "").strip() or default

    def number(self, name: str, default: int, low: int, high: int) -> int:
        text = self.text(name, str(default))
        if not text.isdecimal() or not low <= int(text) <= high:
            raise StartRefused(f"{name} must be a whole number from {low} to {high}.")
        return int(text)

    def offset(self, name: str) -> int:
        text = self.text(name, "0")
        if not re.fullmatch(r"-?[0-9]{1,10}", text):
            raise StartRefused(f"{name} must be a whole number of seconds.")
        return int(text)

    def flag(self, name: str) -> bool:
        return self.choice(name, "0", ("0", "1")) == "1"

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        text = self.text(name, default)
        if text not in allowed:
            raise StartRefused(f"{name} must be one of: {', '.join(allowed)}.")
        return text

    def secret(self, name: str) -> str:
        path = self.text(f"{name}_FILE", "")
        if not path:
            return self.text(name, "")
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise StartRefused(f"{name}_FILE cannot be read: {error.strerror}.") from error
