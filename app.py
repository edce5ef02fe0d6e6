"""Start things. `python app.py COMMAND`; every command is one call into the package. Imports are late so that a
command loads only what it needs."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parent


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit code. A refused start is one sentence on stderr and exit 2."""
    from telemed.errors import Invalid, StartRefused

    arguments = parser().parse_args(argv)
    os.umask(0o077)  # what we write is for this user alone: databases, keys, logs, backups
    try:
        return arguments.run(arguments) or 0
    except StartRefused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    except Invalid as wrong:
        print(", ".join(f"{field}: {code}" for field, code in wrong.fields.items()) or wrong.code, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(prog="app.py", description="Telemedicine at the post office.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: object, help_: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help_, description=help_)
        command.set_defaults(run=run)
        return command

    add("migrate", migrate, "Create or update the database and the keys.")
    demo_ = add("demo", demo, "Fill an empty demo deployment with the fictional region.")
    demo_.add_argument("--branches", type=int, default=12)
    demo_.add_argument("--patients", type=int, default=40, help="patients per branch")
    demo_.add_argument("--seed", type=int, default=1)
    add("up", up, "Prepare a demo and start all of it in the foreground: server, media, gateway, simulated meters.")
    add("serve", serve, "Start the server (and the media process, unless TELEMED_MEDIA_URL is set).")
    add("work", work, "Run background jobs in a process of their own (PostgreSQL).")
    media_ = add("media", media, "Start the media process.")
    media_.add_argument("--port", type=int, default=0)
    media_.add_argument("--with-parent", action="store_true", help="leave when standard input closes")
    journey_ = add("journey", journey, "Play the whole story against real processes and report each step.")
    journey_.add_argument("--json", action="store_true")
    journey_.add_argument("--data-dir", type=Path)
    journey_.add_argument("--without", choices=["meters", "media", "sync"], help="leave a part out: the story must fail")
    account_ = add("account", account, "Create or list staff accounts.")
    account_.add_argument("verb", choices=["create", "list"])
    account_.add_argument("login", nargs="?")
    account_.add_argument("--role")
    account_.add_argument("--name")
    account_.add_argument("--branch", help="six-digit index")
    account_.add_argument("--language", default="ru")
    audit_ = add("audit", audit, "Verify the audit chain.")
    audit_.add_argument("verb", choices=["verify"])
    audit_.add_argument("--heads", type=Path, action="append", default=[], help="a copy of audit-heads.jsonl")
    backup_ = add("backup", backup, "Write a backup: the data, and the subject keys in a file of their own.")
    backup_.add_argument("folder", type=Path)
    restore_ = add("restore", restore, "Restore a backup into an empty data folder; begins a new epoch.")
    restore_.add_argument("folder", type=Path)
    restore_.add_argument("--erased", type=Path, help="a newer list of erasures: erased.jsonl of the old machine")
    keys_ = add("keys", keys, "Show the state of the keys, or rotate the domain keys.")
    keys_.add_argument("verb", choices=["status", "rotate"])
    erase_ = add("erase", erase, "Erase a patient's identity and contact for good (crypto-erasure).")
    erase_.add_argument("patient_id")
    triage_ = add("triage", triage, "Read cases as JSON lines and print the level of each.")
    triage_.add_argument("file", nargs="?", type=argparse.FileType(), default=sys.stdin)
    add("custody", custody, "Check every parcel's chain of custody.")
    add("check", check, "Report bad data that is stored already: numbers, phones, double records, shifts.")
    add("doctor", doctor, "Check this installation and say what to mend.")
    return top


def _settings():  # type: ignore[no-untyped-def]
    from telemed.clock import set_ahead
    from telemed.settings import from_environment

    settings = from_environment(folder=ROOT)
    set_ahead(settings.clock_offset_s)
    return settings


def migrate(_arguments: argparse.Namespace) -> None:
    from telemed.admin import migrate

    migrate(_settings())


def demo(arguments: argparse.Namespace) -> None:
    from telemed.demo import seed

    seed(_settings(), branches=arguments.branches, patients=arguments.patients, seed=arguments.seed)


def up(_arguments: argparse.Namespace) -> int:
    from telemed.up import up

    return up(_settings())


def serve(_arguments: argparse.Namespace) -> None:
    from telemed.serve import serve

    serve(_settings())


def work(_arguments: argparse.Namespace) -> None:
    from telemed.admin import work

    work(_settings())


def media(arguments: argparse.Namespace) -> None:
    from telemed.consultation.media import serve
    from telemed.serve import leave_with_parent

    if arguments.with_parent:
        leave_with_parent()
    settings = _settings()
    serve(settings.data_dir, "127.0.0.1", arguments.port, settings.media_secret)


def journey(arguments: argparse.Namespace) -> int:
    from tests.journey.driver import run

    return run(json_output=arguments.json, data_dir=arguments.data_dir, without=arguments.without)


def account(arguments: argparse.Namespace) -> None:
    from telemed.admin import list_accounts, order

    if arguments.verb == "list":
        list_accounts(_settings())
        return
    password = os.environ.get("TELEMED_NEW_PASSWORD") or _ask_password()
    order(
        _settings(), "account create", login=arguments.login or "", password=password, role=arguments.role or "",
        name=arguments.name or "", branch=arguments.branch or "", language=arguments.language,
    )  # fmt: skip


def _ask_password() -> str:
    import getpass

    return getpass.getpass("Password (15 characters or more): ")


def audit(arguments: argparse.Namespace) -> int:
    from telemed.admin import verify_audit

    return verify_audit(_settings(), *arguments.heads)


def backup(arguments: argparse.Namespace) -> None:
    from telemed.admin import backup

    backup(_settings(), arguments.folder)


def restore(arguments: argparse.Namespace) -> None:
    from telemed.admin import restore

    restore(_settings(), arguments.folder, arguments.erased)


def keys(arguments: argparse.Namespace) -> None:
    from telemed.admin import key_state, order

    if arguments.verb == "rotate":
        order(_settings(), "keys rotate")
    else:
        key_state(_settings())


def erase(arguments: argparse.Namespace) -> None:
    from telemed.admin import order

    order(_settings(), "erase", patient_id=arguments.patient_id)


def triage(arguments: argparse.Namespace) -> int:
    from telemed.admin import triage

    return triage(arguments.file)


def custody(_arguments: argparse.Namespace) -> int:
    from telemed.admin import check_custody

    return check_custody(_settings())


def check(_arguments: argparse.Namespace) -> int:
    from telemed.admin import check

    return check(_settings())


def doctor(_arguments: argparse.Namespace) -> int:
    from telemed.admin import doctor

    return doctor(_settings())


if __name__ == "__main__":
    raise SystemExit(main())
