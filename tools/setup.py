"""Makes a fresh clone ready: `python3 tools/setup.py [--test]`. Standard library only; runs before .venv exists.

Each step is skipped when nothing it depends on has changed, so a second run costs a fraction of a second.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036  (an older Python must get this far to be told)
    sys.exit(
        f"Set-up stopped: telemed needs Python 3.11 or newer, this is {sys.version_info[0]}.{sys.version_info[1]}; "
        "install it and set TELEMED_PYTHON to its path."
    )

import argparse
import errno
import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools import browser_parts, system_parts
from tools.steps import DISK_FULL, CommandFailed, SetupRefused, Steps, sentence


def main(argv: list[str] | None = None) -> int:
    """Return 0 when everything needed is there, 1 after one sentence that says what to do."""
    parser = argparse.ArgumentParser(description="Make this clone ready to run, with --test also to test.")
    parser.add_argument("--test", action="store_true", help="also the test tools, a browser and redis-server")
    wanted = parser.parse_args(argv)
    try:
        set_up(ROOT, wanted.test)
    except SetupRefused as refused:
        print(f"Set-up stopped: {refused}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f"Set-up stopped: {DISK_FULL}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nSet-up interrupted; the next run takes it up again.", file=sys.stderr)
        return 130
    return 0


def set_up(root: Path, with_tests: bool) -> None:
    """Bring .venv, node_modules and static/vendor up to date. Raises SetupRefused."""
    venv = root / ".venv"
    steps, stamp = Steps(venv / "setup.log"), Stamp(venv / "telemed-setup.json")
    make_venv(venv, steps)
    install_python_packages(root, venv, with_tests, steps, stamp)
    install_browser_parts(root, venv, with_tests, steps, stamp)
    if with_tests:
        provide_test_programs(venv, steps, stamp)
    if steps.done:
        print("  Everything is in place.", flush=True)


class Stamp:
    """What set-up finished last time, kept in .venv so that it goes away with it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # none yet, or a half-written one: everything is done again
            self._facts = {}

    def says(self, name: str, value: object) -> bool:
        return self._facts.get(name) == value

    def note(self, name: str, value: object) -> None:
        self._facts[name] = value
        self._path.write_text(json.dumps(self._facts, indent=1) + "\n", encoding="utf-8")


def make_venv(venv: Path, steps: Steps) -> None:
    """Create .venv unless a working one is there. Raises SetupRefused when Python came without the means."""
    if (venv / "bin" / "python").exists() and (venv / "bin" / "pip").exists():
        return
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise SetupRefused(
            "this Python has no venv module; install python3-venv "
            "(Debian, Ubuntu: apt-get install python3-venv) and run the same command again."
        )
    with steps.step("Python environment"):
        try:
            steps.run([sys.executable, "-m", "venv", "--clear", str(venv)])
        except CommandFailed as failed:
            raise SetupRefused(sentence(failed, "python -m venv")) from failed


def install_python_packages(root: Path, venv: Path, with_tests: bool, steps: Steps, stamp: Stamp) -> None:
    """Install the lock file, every package checked against its hash, when the lock has changed."""
    lock = root / ("requirements-test.lock" if with_tests else "requirements.lock")
    content = lock.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if stamp.says(lock.name, digest):
        return
    total, seen = content.count(b"=="), 0

    def count(line: str) -> None:
        nonlocal seen
        if line.startswith(("Collecting ", "Requirement already satisfied")):
            seen = min(seen + 1, total)
            steps.note(f"{seen} of about {total}")
        elif line.startswith("Installing collected"):
            steps.note("unpacking")

    with steps.step(f"Python packages ({lock.name})"):
        try:
            steps.run(
                [
                    str(venv / "bin" / "python"),
                    "-m",
                    "pip",
                    "install",
                    "--require-hashes",
                    "--no-input",
                    "--disable-pip-version-check",
                    "--progress-bar",
                    "off",
                    "-r",
                    str(lock),
                ],
                on_line=count,
            )
        except CommandFailed as failed:
            raise SetupRefused(sentence(failed, "pip install")) from failed
    stamp.note(lock.name, digest)


def install_browser_parts(root: Path, venv: Path, with_tests: bool, steps: Steps, stamp: Stamp) -> None:
    """Fetch node_modules when its lock has changed, and lay out static/vendor when any source of it has."""
    lock = hashlib.sha256((root / "package-lock.json").read_bytes()).hexdigest()
    fetched = (root / "node_modules").is_dir() and (
        stamp.says("npm", [lock, "with tests"]) or (not with_tests and stamp.says("npm", [lock, "without tests"]))
    )
    if not fetched:
        browser_parts.fetch(root, venv, with_tests, steps)
        stamp.note("npm", [lock, "with tests" if with_tests else "without tests"])
    digest = browser_parts.sources_digest(root)
    if fetched and stamp.says("vendor", digest) and browser_parts.is_complete(root):
        return
    with steps.step("static/vendor"):
        browser_parts.lay_out(root)
    stamp.note("vendor", digest)


def provide_test_programs(venv: Path, steps: Steps, stamp: Stamp) -> None:
    """Find or install Chromium and the rest. What cannot be had is said; tests that need it say it again."""
    if system_parts.known_chromium(venv) is None and (path := system_parts.provide_chromium(venv, steps)):
        print(f"  Chromium: {path}")
    for name, provide in system_parts.TEST_PROGRAMS.items():
        if not stamp.says(name, "looked for"):
            print(f"  {name}: {provide(steps)}")
            stamp.note(name, "looked for")


if __name__ == "__main__":
    sys.exit(main())
