"""What an operator's commands do. Those that only read open the database as readers. Those that write are done by the
running server, or here when it is stopped; `migrate` and `restore` need it stopped and say so.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from telemed import command_socket, commands, i18n
from telemed.access import accounts, admin_tasks, heads
from telemed.bootstrap import build_services, found_deployment
from telemed.branches import service as branches
from telemed.consultation import turn
from telemed.consultation.media_client import MediaClient
from telemed.crypto import ledger
from telemed.delivery import service as delivery
from telemed.errors import StartRefused, TelemedError
from telemed.outbox import Worker
from telemed.patients import service as patients
from telemed.readings import rules as readings_rules
from telemed.schema import upgrade
from telemed.serve import AlreadyRuns, only_one
from telemed.services import Services
from telemed.settings import Settings

FREE_BYTES = 200_000_000
STARTING_S = 10.0  # how long a command waits for a server that holds the folder and does not listen yet
DATA_FILE, KEYS_FILE, STATE_FILE = "telemed.db", "subject-keys.db", "backup.json"
BESIDE = (ledger.NAME, heads.NAME)  # files of the data folder that must outlive the database


def migrate(settings: Settings) -> None:
    """Create or update the database, then the deployment's identity and keys once."""
    settings.server_dir.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(settings.server_dir).free < FREE_BYTES:
        raise StartRefused("Less than 200 MB are free on the disk of the data folder; make room first.")
    with only_one(settings):
        upgrade(settings.database_url)
        found_deployment(settings, fast_index=settings.demo)
    print("The database is up to date.")


@contextlib.contextmanager
def _stopped(settings: Settings) -> Iterator[Services]:
    """Yield services while no server runs on the data folder."""
    with only_one(settings):
        services = build_services(settings)
        try:
            yield services
            heads.sign_now(services)
        finally:
            services.db.close()


@contextlib.contextmanager
def _reading(settings: Settings) -> Iterator[Services]:
    """Yield services that only read, also beside a running server."""
    services = build_services(settings, read_only=True)
    try:
        yield services
    finally:
        services.db.close()


def work(settings: Settings) -> None:
    """Run background jobs until the process is ended."""
    if settings.is_sqlite:
        raise StartRefused("With SQLite the server runs the jobs itself; `work` is for PostgreSQL.")
    services = build_services(settings)
    Worker(services, services.db, services.journey, services.clock).run_forever()


def order(settings: Settings, command: str, /, **words: str) -> None:
    """Run a command that writes, and print what it says: in the running server, or here when it is stopped."""
    for line in _carried_out(settings, command, words):
        print(line)


def check(settings: Settings) -> int:
    """Print what stands in the register that today's checks would refuse; exit code 1 when there is something to mend."""
    found = _carried_out(settings, "check", {})
    for line in found:
        print(f"! {line}")
    where = "the coordinator's page \"Data to mend\" has a way for each."
    print("Nothing to mend." if not found else f"{len(found)} to mend; {where}")
    return 1 if found else 0


def _carried_out(settings: Settings, command: str, words: dict[str, str]) -> list[str]:
    patience = time.monotonic() + STARTING_S
    while True:
        try:
            with _stopped(settings) as services:
                return commands.run(services, command, words)
        except AlreadyRuns:
            with contextlib.suppress(command_socket.NobodyListens):
                return command_socket.send(settings.server_dir, command, words)
        # It is just starting or stopping, or `migrate` runs.
        if time.monotonic() > patience:
            raise StartRefused(f"A process works on {settings.server_dir} and takes no commands; try again later.")
        time.sleep(0.1)


def list_accounts(settings: Settings) -> None:
    """Print every account with its role."""
    with _reading(settings) as services:
        for login, role, disabled in admin_tasks.accounts_of(services):
            print(f"{login:24} {role:12} {'disabled' if disabled else ''}".rstrip())


def join_code_for_demo(settings: Settings) -> str:
    """Return a fresh one-time code for the gateway of the demo's first branch."""
    with _stopped(settings) as services:
        clerk = accounts.demo_account(services, "demo.clerk")
        if clerk is None or clerk.branch_id is None:
            raise StartRefused("There is no demo region yet: run `python app.py demo` first.")
        with services.db.write() as tx:
            return branches.make_join_code(services, tx, clerk.branch_id)


def verify_audit(settings: Settings, *copies: Path) -> int:
    """Check the audit chain and its signed heads, also those of copies kept elsewhere; exit code 1 says what is wrong."""
    for copy in copies:
        if not copy.is_file():
            raise StartRefused(f"{copy} is no file.")
    with _reading(settings) as services:
        wrong, count = admin_tasks.check_audit(services, *copies)
    for fault in wrong:
        print(i18n.code_text("en", fault.code, **fault.facts))
    if not wrong:
        print(f"{count} rows, the chain is whole.")
    return 1 if wrong else 0


def backup(settings: Settings, folder: Path) -> None:
    """Copy the database to `folder`, with the subject keys in a file of their own. Works beside a running server."""
    if not settings.is_sqlite:
        raise StartRefused("`backup` copies SQLite; for PostgreSQL use pg_dump, with the table subject_keys apart.")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise StartRefused(f"{folder} is not empty; name a new folder.")
    source = sqlite3.connect(f"file:{settings.server_dir / DATA_FILE}?mode=ro", uri=True)
    with contextlib.closing(source), contextlib.closing(sqlite3.connect(folder / DATA_FILE)) as copy:
        source.backup(copy)
        copy.execute("ATTACH ? AS apart", (str(folder / KEYS_FILE),))
        copy.execute("CREATE TABLE apart.subject_keys AS SELECT * FROM main.subject_keys")
        copy.execute("DELETE FROM main.subject_keys")
        copy.commit()
        copy.execute("VACUUM main")
    for name in BESIDE:  # after the data: they may know more than it, never less
        if (settings.server_dir / name).exists():
            shutil.copy(settings.server_dir / name, folder / name)
    (folder / STATE_FILE).write_text(json.dumps({"format": 1, "keys_separate": True}))
    print(f"Backup written to {folder}. Keep {KEYS_FILE} apart, and the root key in a third place.")


def restore(settings: Settings, folder: Path, erased: Path | None = None) -> None:
    """Put a backup into an empty data folder and begin a new epoch, so that devices send again what they still hold.

    Nobody comes back: what the lists of erasures of the data folder, the backup and `erased` name is shredded again.
    """
    target = settings.server_dir / DATA_FILE
    if target.exists():
        raise StartRefused(f"{target} exists; restore only into an empty data folder.")
    for path in (folder / DATA_FILE, folder / KEYS_FILE, folder / STATE_FILE, *([erased] if erased else [])):
        if not path.is_file():
            raise StartRefused(f"{path} is missing; this is not a whole backup.")
    settings.server_dir.mkdir(parents=True, exist_ok=True)
    with only_one(settings):
        _put_back(folder, target)
        _bring_up(settings, target)
        _keep_heads(folder / heads.NAME, settings.server_dir / heads.NAME)
        services = build_services(settings)
        try:
            kept = admin_tasks.audit_rows(services)
            again = _erase_again(services, [path for path in (folder / ledger.NAME, erased) if path is not None])
            admin_tasks.begin_epoch(services, kept)
        except BaseException:
            services.db.engine.dispose()
            target.unlink()
            raise
        services.db.close()
    print("Restored; a new epoch began. Check it with `python app.py audit verify`.")
    print(f"{again} people whom the backup still held were erased again.")


def _put_back(folder: Path, target: Path) -> None:
    shutil.copy(folder / DATA_FILE, target)
    with contextlib.closing(sqlite3.connect(target)) as database:
        database.execute("ATTACH ? AS apart", (str(folder / KEYS_FILE),))
        database.execute("INSERT INTO main.subject_keys SELECT * FROM apart.subject_keys")
        database.commit()


def _bring_up(settings: Settings, target: Path) -> None:
    """Migrate a backup of an older release: what follows knows today's tables. One that no revision made stays."""
    with contextlib.closing(sqlite3.connect(target)) as database:
        is_versioned = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    if is_versioned:
        upgrade(settings.database_url)


def _keep_heads(kept: Path, here: Path) -> None:
    """Take the backup's signed heads where the data folder has none of its own."""
    if kept.is_file() and not here.exists():
        shutil.copy(kept, here)


def _erase_again(services: Services, lists: list[Path]) -> int:
    own = services.keys.ledger
    assert own is not None
    for path in lists:
        own.add(*own.like(path).read())
    with services.db.write() as tx:
        return patients.erase_again(services, tx, own.read())


def key_state(settings: Settings) -> None:
    """Print the versions of the domain keys."""
    with _reading(settings) as services:
        for line in admin_tasks.key_lines(services):
            print(line)


def triage(file: TextIO) -> int:
    """Print the level of each JSON case, one a line. Exit code 1 when a line cannot be read."""
    code = 0
    for line in filter(str.strip, file):
        try:
            print(readings_rules.triage(readings_rules.case_from(json.loads(line))))
        except (ValueError, KeyError, TypeError) as error:
            print(f"cannot be read: {type(error).__name__}", file=sys.stderr)
            code = 1
    return code


def check_custody(settings: Settings) -> int:
    """Check that every parcel's custody is an unbroken chain of legal steps with at most one final one."""
    with _reading(settings) as services:
        faults = delivery.custody_faults(services)
    for fault in faults:
        print(fault)
    print("Custody is whole." if not faults else f"{len(faults)} faults.")
    return 0 if not faults else 1


def doctor(settings: Settings) -> int:
    """Print what to mend in this installation; exit code 1 when something must be."""
    findings = list(_findings(settings))
    for sentence in findings:
        print(f"! {sentence}")
    print("Nothing to mend." if not findings else f"{len(findings)} to mend.")
    return 0 if not findings else 1


def _findings(settings: Settings) -> Iterator[str]:
    if shutil.disk_usage(settings.data_dir if settings.data_dir.exists() else ".").free < FREE_BYTES:
        yield "Less than 200 MB are free on the disk."
    if not (settings.server_dir / DATA_FILE).exists() and settings.is_sqlite:
        yield "There is no database yet: run `python app.py migrate`."
        return
    key = settings.server_dir / "keys" / "root.key"
    if key.exists() and key.stat().st_mode & 0o077:
        yield "The root key can be read by others: chmod 600 it."
    if key.exists() and not settings.demo:
        yield "The root key lies beside the database; keep it apart with TELEMED_ROOT_PASSPHRASE_FILE."
    try:
        services = build_services(settings, read_only=True)
    except TelemedError as error:
        yield str(error)
        return
    wrong, _count = admin_tasks.check_audit(services)
    yield from (i18n.code_text("en", fault.code, **fault.facts) for fault in wrong)
    failed = admin_tasks.failed_jobs(services)
    if failed:
        yield f"{failed} background jobs failed for good."
    if settings.media_url and not MediaClient(settings.media_url, settings.media_secret).healthy():
        yield "The media process does not answer."
    yield from _turn_findings(settings)


def _turn_findings(settings: Settings) -> Iterator[str]:
    """Yield what is wrong with coturn, asked for a relay as a call would ask."""
    name = f"{int(time.time()) + 60}:doctor"
    for url in settings.turn_url.split():
        if url.startswith("turns:"):
            continue  # behind TLS; its plain sibling answers for it
        try:
            answer = turn.ask_for_a_relay(url, name, turn.password_of(settings.turn_secret, name))
        except turn.TurnSilent:
            yield f"No TURN server answers at {url}: calls that need a relay will not connect."
            continue
        if answer.error is not None:
            yield f"The TURN server at {url} refuses us with {answer.error}: is TELEMED_TURN_SECRET its secret?"
        if turn.is_old(answer.software):
            yield f"{answer.software} at {url} is older than 4.9.0, which closed holes in its deny lists: update it."
