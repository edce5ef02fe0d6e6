"""Commands beside a running server: it does those that write, and they say the same as when it is stopped."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import app
from telemed.bootstrap import build_services
from telemed.command_socket import NAME
from telemed.crypto.envelope import Unsealable
from telemed.ids import new_id
from telemed.patients.models import Patient
from telemed.settings import Settings
from tests import cast, run_clock

ROOT = Path(__file__).parent.parent
ACCOUNT = ("--role", "clerk", "--name", "Лена", "--branch", "174001")
# Each with its exit code: what is done, and what is refused and why.
WRITING = (
    (("account", "create", "lena", *ACCOUNT), 0),
    (("account", "create", "lena", *ACCOUNT), 2),
    (("account", "create", "l", "--role", "king"), 2),
    (("keys", "rotate"), 0),
    (("erase", str(cast.MARIA.id)), 0),
    (("erase", str(new_id())), 2),
    (("erase", "Maria"), 2),
)


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a deployment on the cast's folder, for this process and those it starts."""
    for name in [name for name in os.environ if name.startswith("TELEMED_")]:
        monkeypatch.delenv(name)
    for name, value in {
        **run_clock.clock_setting(),
        "TELEMED_DATA_DIR": str(settings.data_dir),
        "TELEMED_DEMO": "1",
        "TELEMED_MEDIA_URL": "http://127.0.0.1:9",  # no media process of its own
        "TELEMED_NEW_PASSWORD": "long and good enough",
    }.items():
        monkeypatch.setenv(name, value)
    return dict(os.environ)


@pytest.fixture
def server(settings: Settings, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A running server."""
    process = subprocess.Popen(
        [sys.executable, "app.py", "serve"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    limit = time.monotonic() + 30
    while not (settings.server_dir / "run.json").exists():
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.05)
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


def said(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> tuple[int, str, str]:
    code = app.main(list(words))
    told = capsys.readouterr()
    return code, told.out, told.err


def kill(server: subprocess.Popen[bytes], settings: Settings) -> None:
    """Kill all of a server and wait until the last of its processes lets go of the data folder."""
    os.killpg(server.pid, signal.SIGKILL)
    server.wait(15)
    with (settings.server_dir / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "app.py", *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_writing_commands_say_and_do_the_same_beside_the_server_as_without_it(
    settings: Settings, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    shutil.copytree(settings.data_dir, tmp_path / "stopped")
    request.getfixturevalue("server")
    beside = [said(capsys, words) for words, _code in WRITING]
    assert [code for code, _out, _err in beside] == [code for _words, code in WRITING]

    services = build_services(settings)
    with services.db.read() as tx:
        assert services.keys.versions()["clinical"] == 2
        with pytest.raises(Unsealable):
            services.vault.open(tx, tx.get(Patient, cast.MARIA.id), "identity")
    services.db.engine.dispose()
    (settings.server_dir / "erased.jsonl").write_text("damaged\n")
    code, out, told = said(capsys, ("erase", str(cast.IVAN.id)))
    assert (code, out, "Line 1" in told) == (2, "", True)

    monkeypatch.setenv("TELEMED_DATA_DIR", str(tmp_path / "stopped"))
    assert [said(capsys, words) for words, _code in WRITING] == beside


def test_reading_commands_and_one_that_writes_run_as_processes_beside_the_server(
    settings: Settings, server: subprocess.Popen[bytes]
) -> None:
    made = run("account", "create", "lena", *ACCOUNT)
    assert (made.returncode, made.stdout) == (0, "Account lena (clerk) is ready.\n")

    people, keys = run("account", "list"), run("keys", "status")
    assert {"lena", "anna", "vera"} <= {line.split()[0] for line in people.stdout.splitlines()}
    assert "identity   version 1" in keys.stdout.splitlines()
    assert run("audit", "verify").returncode == 0

    second = run("serve")
    assert (second.returncode, second.stdout) == (2, "")
    assert second.stderr == f"A server already runs on {settings.server_dir}; stop it first.\n"
    assert server.poll() is None


def test_the_socket_is_the_owners_alone_and_survives_nonsense(
    settings: Settings,
    server: subprocess.Popen[bytes],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (settings.server_dir / NAME).stat().st_mode & 0o777 == 0o600
    monkeypatch.chdir(settings.server_dir)
    for nonsense in (b"", b"\n", b"[]\n", b"{}\n", b'{"command": "keys rotate", "words": 7}\n', b"x" * 70_000):
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(NAME)
            caller.sendall(nonsense)
            caller.shutdown(socket.SHUT_WR)
            assert caller.recv(100) == b""

    assert said(capsys, ("keys", "rotate"))[0] == 0


def test_a_command_that_only_reads_leaves_a_killed_servers_log_as_it_is(
    settings: Settings, server: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, ("keys", "rotate"))[0] == 0
    kill(server, settings)
    log = settings.server_dir / "telemed.db-wal"
    before = log.read_bytes()

    assert "version 2" in said(capsys, ("keys", "status"))[1]
    assert said(capsys, ("audit", "verify"))[0] == 0
    assert log.read_bytes() == before != b""


def test_a_killed_server_leaves_nothing_in_the_way(
    settings: Settings, server: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    kill(server, settings)
    assert (settings.server_dir / NAME).exists()

    assert said(capsys, ("keys", "rotate"))[0] == 0


def test_no_header_of_a_caller_says_where_or_how_it_was_asked(
    settings: Settings, server: subprocess.Popen[bytes]
) -> None:
    address = json.loads((settings.server_dir / "run.json").read_text())["url"]
    forged = {"SCRIPT_NAME": "/evil", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil", "Forwarded": "host=evil"}

    plain, answer = (httpx.get(f"{address}/counter", headers=headers) for headers in ({}, forged))

    assert server.poll() is None
    assert (answer.status_code, answer.headers["Location"]) == (302, plain.headers["Location"])
