"""`python -m devices COMMAND`: join run status scan enrol decode simulate."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

from devices import identity, sealing, status, uplink
from devices.agent import Agent, OpenRadio, press_button, simulator_address, system_radio
from devices.clock import set_ahead, utc_now
from devices.decode import run_decode
from devices.journal import Journal, JournalError, JournalLocked
from devices.meters import KIND_OF_SERVICE, SERVICE_OF_KIND, EnrolledMeters
from devices.run_file import run_file
from devices.settings import Settings, SettingsError, read_settings
from devices.transport import Radio, RadioError, Sighting

OK, FAILED, USAGE, NO_ANSWER, SETTINGS_WRONG = 0, 1, 64, 69, 78
SCAN_S = 10.0

JOIN_REFUSALS = {
    "join_code_unknown": "The server does not know this code: read it again from the branch page.",
    "join_code_used": "This code was used before: make a new one on the branch page.",
    "join_code_expired": "This code has expired: make a new one on the branch page.",
}


class Stopped(Exception):
    """End the command: the sentence is for the operator, the code for the shell."""

    def __init__(self, sentence: str, exit_code: int = FAILED) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


class Parser(argparse.ArgumentParser):
    """argparse, with the exit code that shells know for wrong usage."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message}", file=sys.stderr)
        sys.exit(USAGE)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = Parser(prog="python -m devices", description="The branch gateway: meters in, sealed readings out.")
    commands = top.add_subparsers(dest="command", required=True, parser_class=Parser)
    join = commands.add_parser("join", help="join a branch with the one-time code of its page")
    join.add_argument("url", metavar="URL")
    join.add_argument("code", metavar="CODE")
    join.add_argument("--name", default=socket.gethostname(), help="what the branch page calls this gateway")
    commands.add_parser("run", help="read meters and pass readings on until stopped")
    told = commands.add_parser("status", help="say in words how the gateway of this computer is")
    told.add_argument("--lang", choices=status.LANGUAGES, help="by default the language of this computer")
    told.add_argument("--json", action="store_true", help="the same for a program")
    scan = commands.add_parser("scan", help="list the meters that show themselves")
    scan.add_argument("--seconds", type=float, default=SCAN_S)
    scan.add_argument("--all", action="store_true", help="list what names no measuring service too: many meters do not")
    enrol = commands.add_parser("enrol", help="take readings of one more meter")
    enrol.add_argument("kind", metavar="KIND", choices=sorted(SERVICE_OF_KIND))
    enrol.add_argument("name", metavar="NAME", help="as the meter shows itself in `scan`")
    commands.add_parser("decode", help="show what a packet says: decode CHARACTERISTIC HEX [--model MODEL]")
    simulate = commands.add_parser("simulate", help="start simulated meters for a demo")
    simulate.add_argument("--hci-port", type=int, default=0)
    simulate.add_argument("--control-port", type=int, default=0)
    simulate.add_argument("--seed", type=int)
    return top


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    if arguments[:1] == ["decode"]:
        return run_decode(arguments[1:], sys.stdin, sys.stdout)
    options = parser().parse_args(arguments)
    start_logging()
    os.umask(0o077)  # what we write is for this user alone
    try:
        settings = read_settings(os.environ, Path.cwd())
        set_ahead(settings.clock_offset_s)
        return COMMANDS[options.command](settings, options)
    except Stopped as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except SettingsError as error:
        print(error, file=sys.stderr)
        return SETTINGS_WRONG
    except (identity.NotJoined, JournalError, RadioError) as error:
        print(error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return OK


def start_logging() -> None:
    """Log what happened, never what was measured. The libraries below would show packets and addresses."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for name in ("httpx", "httpcore", "bleak", "bleak_retry_connector", "asyncio", "aiohttp"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("bumble").setLevel(logging.CRITICAL)


def join_command(settings: Settings, options: argparse.Namespace) -> int:
    """Register this gateway with its branch and pin the server's keys."""
    folder = make_private(settings.gateway_dir)
    if (folder / identity.FILE).exists():
        known = identity.load(folder)
        raise Stopped(f"This gateway has joined {known.branch_name} already; {folder} holds its identity.")
    joined = asyncio.run(ask_to_join(options.url, options.code, options.name))
    identity.save(folder, joined)
    print(f"Joined {joined.branch_name}. Start it with: python -m devices run")
    return OK


async def ask_to_join(url: str, code: str, name: str) -> identity.Identity:
    """Return the new identity. Raises Stopped."""
    if not url.startswith(("http://", "https://")):
        raise Stopped("The address must start with http:// or https://.", USAGE)
    try:
        async with uplink.open_client(url) as client:
            return await uplink.join(client, url, code, str(uuid4()), name, sealing.SigningKey.fresh())
    except uplink.JoinRefused as error:
        raise Stopped(JOIN_REFUSALS.get(error.code, f"The server refused: {error.code}.")) from error
    except uplink.Offline as error:
        raise Stopped(f"The server does not answer as it should ({error}): check the address.", NO_ANSWER) from error


def run_command(settings: Settings, options: argparse.Namespace) -> int:
    """Work until a signal comes."""
    known = identity.load(settings.gateway_dir)
    if settings.radio == "simulated" and not known.demo:
        raise Stopped("This branch belongs to no demo: simulated meters are refused there.", SETTINGS_WRONG)
    asyncio.run(run_gateway(settings, known))
    return OK


async def run_gateway(settings: Settings, known: identity.Identity) -> None:
    """Run the agent until SIGINT or SIGTERM."""
    stop = stop_on_signals()
    url = settings.server_url or known.server_url
    is_simulated = settings.radio == "simulated"
    journal = open_journal(settings)
    try:
        with run_file(settings.gateway_dir, server=url):
            async with uplink.open_client(url) as client:
                agent = Agent(
                    known,
                    journal,
                    uplink.Uplink(client, known, url),
                    radio_of(settings),
                    is_simulated,
                    local_zone(),
                    simulate=press_button(settings.meters_dir) if is_simulated else None,
                    show=lambda light: show_light(settings.gateway_dir, light),
                )
                logging.getLogger(__name__).info("gateway %s at work", known.gateway_id)
                await agent.run(stop)
    finally:
        journal.checkpoint()
        journal.close()


def show_light(folder: Path, light: status.Light) -> None:
    """Put the light beside the journal, for programs and as a page for the clerk. Raises OSError."""
    identity.write_whole(folder / status.JSON_FILE, json.dumps(light.as_json()))
    identity.write_whole(folder / status.PAGE_FILE, status.page(light, local_zone()))


def status_command(settings: Settings, options: argparse.Namespace) -> int:
    """Say what is wrong, since when and what to do; the exit code is 0 when nothing is."""
    light = status.read_light(settings.gateway_dir, utc_now(), is_alive)
    language = options.lang or status.language_of(os.environ.get("LC_ALL") or os.environ.get("LANG") or "")
    lines = status.sentences(light, language, local_zone())
    print(json.dumps(light.as_json()) if options.json else "\n".join(lines))
    return OK if light.status == "ok" else FAILED


def is_alive(pid: int) -> bool:
    """Say whether a process of this number runs."""
    return Path(f"/proc/{pid}").exists() if Path("/proc/self").exists() else _answers(pid)


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def scan_command(settings: Settings, options: argparse.Namespace) -> int:
    """Print each meter once, as it is seen."""
    asyncio.run(scan(settings, options.seconds, everything=options.all))
    return OK


async def scan(settings: Settings, seconds: float, *, everything: bool = False) -> None:
    """Listen so long. Raises RadioError."""
    seen: set[tuple[str, str]] = set()

    def on_sighting(sighting: Sighting) -> None:
        if not (everything or sighting.services or sighting.is_bonded):
            return
        kinds = " ".join(KIND_OF_SERVICE[service] for service in sighting.services) or (
            "paired" if sighting.is_bonded else "unknown"
        )
        if (sighting.address, kinds) not in seen:  # the name of a service may come with the second look
            seen.add((sighting.address, kinds))
            print(f"{kinds:<16}{sighting.name or '(no name)':<28}{sighting.address}", flush=True)

    try:
        async with radio_of(settings)() as radio, radio.watching(tuple(KIND_OF_SERVICE), on_sighting):
            await asyncio.sleep(seconds)
    except OSError as error:
        raise Stopped("The simulated meters do not run: start them with `python -m devices simulate`.") from error
    if not seen:
        print("No meter showed itself. Take a measurement, or switch the meter to pairing, and scan again.")
        if not everything:
            print("Some meters do not say what they are: `scan --all` lists whatever shows itself.")


def enrol_command(settings: Settings, options: argparse.Namespace) -> int:
    """Add a meter on this computer; the branch page shows it after the next heartbeat."""
    journal = open_journal(settings)
    try:
        enrolment_id = str(uuid4())
        EnrolledMeters(journal).enrol(enrolment_id, options.kind, options.name, utc_now())
    finally:
        journal.close()
    print(f"Enrolled {options.name} as {enrolment_id}.")
    return OK


def simulate_command(settings: Settings, options: argparse.Namespace) -> int:
    """Run simulated meters until a signal comes."""
    asyncio.run(run_meters(settings, options))
    return OK


async def run_meters(settings: Settings, options: argparse.Namespace) -> None:
    """Serve the virtual radio and its buttons. Raises Stopped."""
    stop = stop_on_signals()
    rig, control = simulator_part("rig"), simulator_part("control")
    try:
        async with (
            rig.open_rig(seed=options.seed) as meters,
            rig.serve_hci(meters, options.hci_port) as hci,
            control.serve_control(meters, options.control_port) as address,
        ):
            with run_file(settings.meters_dir, hci=hci, control=address):
                print(f"ready: meters at {hci}, buttons at {address}", flush=True)
                await stop.wait()
    except OSError as error:
        raise Stopped(f"The simulated meters cannot start: {error.strerror or error}.") from error


def radio_of(settings: Settings) -> OpenRadio:
    """Return how to open the radio that the settings name."""
    if settings.radio == "system":
        return system_radio

    @contextlib.asynccontextmanager
    async def simulated_radio() -> AsyncIterator[Radio]:
        address = simulator_address(settings.meters_dir)
        if address is None:
            raise OSError("no simulated meters are running yet")
        async with simulator_part("radio").open_radio(address["hci"]) as radio:
            yield radio

    return simulated_radio


def simulator_part(name: str) -> Any:
    """Return a module of the simulator; only demos and tests have the libraries it needs. Raises Stopped."""
    try:
        return importlib.import_module(f"devices.simulator.{name}")
    except ModuleNotFoundError as error:
        raise Stopped("Simulated meters need the extra `simulated`: pip install 'telemed[simulated]'.") from error


def open_journal(settings: Settings) -> Journal:
    """Return the open journal. Raises Stopped when another gateway holds it."""
    folder = make_private(settings.gateway_dir)
    try:
        return Journal(folder / "journal.db")
    except JournalLocked as error:
        raise Stopped(f"Another gateway works in {folder}: stop it first, or use the branch page.") from error


def make_private(folder: Path) -> Path:
    """Make the folder, readable by its owner alone, and return it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise Stopped(f"{folder} cannot be used: {error.strerror}.") from error
    return folder


def local_zone() -> tzinfo:
    """Return the wall clock's zone. Fixed for the run: neither Russia nor Belarus moves its clocks."""
    return utc_now().astimezone().tzinfo or UTC


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    return stop


COMMANDS: dict[str, Callable[[Settings, argparse.Namespace], int]] = {
    "join": join_command,
    "run": run_command,
    "status": status_command,
    "scan": scan_command,
    "enrol": enrol_command,
    "simulate": simulate_command,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
