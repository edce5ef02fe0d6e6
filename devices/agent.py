"""The running gateway: radio, sealing and the line to the server side by side, in one thread on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import httpx

from devices import uplink, wire
from devices.clock import utc_now
from devices.collector import SIMULATED_PATIENCE, Collector
from devices.collector import Patience as RadioPatience
from devices.identity import Identity
from devices.inbox import first_of
from devices.journal import Journal, JournalFull
from devices.meters import EnrolledMeters
from devices.orders import Orders
from devices.outbox import KEEP_DAYS, Outbox
from devices.pairing import Enrolments
from devices.reach import Reach
from devices.sealer import Sealer
from devices.session import Session
from devices.status import SHOWN_AGAIN, Light, known
from devices.transport import Radio, RadioError, RadioMissing

log = logging.getLogger(__name__)

VERSION = "0.1.0"
STOP_WITHIN_S = 2.5
IDLE_BEFORE_CHECKPOINT_S = 3.0
HOUSEKEEPING_EVERY_S = 3600.0
RADIO_AGAIN_AFTER_S = 0.5
DISK_AGAIN_AFTER_S = 5.0
CLOCK_WRONG_ABOVE_S = 120
ENOUGH_ROOM_BYTES = 50_000_000
SIMULATE_WITHIN_S = 5.0
FIRST_POLL_S = 2.0
POLL_WHILE_ENROLLING_S = 1.0

OpenRadio = Callable[[], AbstractAsyncContextManager[Radio]]


@dataclass(frozen=True)
class Waits:
    """Back-off towards the server."""

    first_s: float = 0.5
    limit_s: float = 30.0
    locked_s: float = 30.0


@asynccontextmanager
async def system_radio() -> AsyncIterator[Radio]:
    """Yield this computer's own Bluetooth."""
    # Its library is installed on Linux only.
    ears = importlib.import_module("devices.bluez_ears").Ears() if sys.platform == "linux" else None
    try:
        yield Radio(ears=ears)
    finally:
        if ears is not None:
            ears.close()


class Agent:
    """One gateway at work. Made by `run_agent` or a test; everything from outside is passed in."""

    def __init__(
        self,
        identity: Identity,
        journal: Journal,
        server: uplink.Uplink,
        open_radio: OpenRadio,
        is_simulated: bool,
        zone: tzinfo,
        now: Callable[[], datetime] = utc_now,
        simulate: Callable[[dict[str, object]], Awaitable[None]] | None = None,
        radio_patience: RadioPatience | None = None,
        waits: Waits | None = None,
        running_s: Callable[[], float] = time.monotonic,
        show: Callable[[Light], None] | None = None,
    ) -> None:
        self.identity = identity
        self.journal = journal
        self.server = server
        self.is_simulated = is_simulated
        self.outbox = Outbox(journal, identity.gateway_id, identity.branch_id)
        if not self.outbox.epoch():
            journal.remember("epoch", identity.epoch)
        self.session = Session(journal, self.outbox)
        self.meters = EnrolledMeters(journal)
        self.enrolments = Enrolments(journal)
        self.orders = Orders(journal, identity, self.session, self.meters, self.enrolments, now, simulate)
        self.has_packets = asyncio.Event()
        self.has_packets.set()  # a killed process may have left some
        source = "simulated" if is_simulated else "gateway"
        self.sealer = Sealer(journal, self.outbox, self.session, self.orders.ingest_key, source, zone)
        patience = radio_patience or (SIMULATED_PATIENCE if is_simulated else RadioPatience())
        self.collector = Collector(
            journal, self.meters, self.enrolments, self.session, self.has_packets.set, now, zone, is_simulated, patience
        )
        self._open_radio = open_radio
        self._now = now
        self._running_s = running_s
        self._waits = waits or Waits()
        self._beat = int(journal.setting("beat", "0"))
        self._line_status = "ok"
        self._clock_status = "ok"
        self._is_clock_right = False  # until the server has said so
        self.reach = Reach(journal)
        self._show = show or (lambda _light: None)
        self._shown = Light("", since=now())
        self._is_back = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop. Raises JournalBroken when the disk cannot be trusted any more."""
        works = (self.read_meters, self.seal, self.send, self.beat, self.keep_house)
        tasks = [asyncio.create_task(work(), name=work.__name__) for work in works]
        waiting = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in [waiting, *tasks]:
                task.cancel()
            await asyncio.wait([waiting, *tasks], timeout=STOP_WITHIN_S)
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    def status(self) -> str:
        """Return "ok" or the first thing that an operator should look at, as this computer sees it."""
        now, troubles = self._now(), self.collector.troubles
        is_unread = any(troubles.of(meter.enrolment_id, now) for meter in self.meters.all())
        return _first_trouble(
            self.collector.status, known(self._line_status), self.reach.code, self._status_when_heard(),
            "meters_unread" if is_unread else "ok",
        )  # fmt: skip

    def _status_when_heard(self) -> str:
        """Return what to tell the server: being heard, it is not out of reach, whatever the try before found."""
        is_lost = any(self.enrolments.waits_for_operator(meter.enrolment_id) for meter in self.meters.all())
        bond = "pair_again" if is_lost else "ok"
        return _first_trouble(self.collector.status, known(self._line_status), self._clock_status, bond)

    def show_light(self) -> None:
        """Show the one status light when it changes, and again each minute: what is wrong since when, what waits."""
        now, status, before = self._now(), self.status(), self._shown
        since = before.since if status == before.status else now
        light = Light(status, self.outbox.waiting(), since, now)
        is_same = (light.status, light.waiting) == (before.status, before.waiting)
        if is_same and before.at is not None and abs(now - before.at) < SHOWN_AGAIN:
            return
        with contextlib.suppress(OSError):  # the disk that is full may be the light's own
            self._show(light)
            self._shown = light

    async def read_meters(self) -> None:
        """Keep a radio open and fetch from meters; come back when the radio went away."""
        is_told = False
        while True:
            status = RadioMissing.code
            try:
                async with self._open_radio() as radio:
                    log.info("radio open")
                    is_told = False
                    await self.collector.run(radio)
            except (RadioError, OSError, TimeoutError) as error:
                status = error.code if isinstance(error, RadioMissing) else status
                if not is_told:
                    log.warning("no radio: %s", error)
                    is_told = True
            self.collector.status = status
            await asyncio.sleep(RADIO_AGAIN_AFTER_S)

    async def seal(self) -> None:
        """Turn packets into items as they come."""
        while True:
            await self.has_packets.wait()
            self.has_packets.clear()
            try:
                self._check_clock()  # before anything is placed in time
                self.sealer.seal_new()
                self.journal.checkpoint(only_when_large=True)
            except JournalFull:
                self.collector.status = "disk_full"
                self.has_packets.set()
                await asyncio.sleep(DISK_AGAIN_AFTER_S)

    async def send(self) -> None:
        """Send items as they come; wait longer and longer while the server cannot be reached."""
        patience = uplink.Patience(self._waits.first_s, self._waits.limit_s)
        while True:
            await self.outbox.has_news.wait()
            try:
                is_further = await self.send_batch()
            except uplink.Locked as error:
                self._line_status = error.code
                await self._pause(self._waits.locked_s)
            except (uplink.Offline, uplink.Refused, JournalFull) as error:
                log.info("nothing sent: %s", error)
                self._note_reach(error)
                await self._pause(patience.next_s())
            else:
                patience.reset()
                if not is_further:
                    await self._pause(self._waits.first_s)

    async def send_batch(self) -> bool:
        """Send the oldest items; say whether the server now holds more. Raises Offline, Locked, Refused."""
        batch = self.outbox.next_batch()
        if not batch:
            return True
        try:
            answer = await self.server.readings(self.outbox.epoch(), batch)
        except uplink.Refused as error:
            if not self._mend(error.refusal):
                raise
            return False  # a short pause, so that a server that contradicts itself is not asked without end
        # Other bytes under our number: somebody sends with a copy of this identity, and a person must look.
        is_forked = any(result.status == "conflict" and result.code == "other_bytes" for result in answer.results)
        self._line_status = "chain_broken" if is_forked else "ok"
        if answer.epoch != self.outbox.epoch():
            self.outbox.enter_epoch(answer.epoch, answer.watermark)
        return self.outbox.note_answer(answer)

    def _mend(self, refusal: wire.Refusal) -> bool:
        """Do what a refusal asks for; False when only a person can help."""
        if refusal.code == "sequence_gap" and refusal.expected is not None:
            is_mended = self.outbox.send_again_from(refusal.expected)
        elif refusal.code == "epoch_changed" and refusal.epoch is not None and refusal.watermark is not None:
            is_mended = self.outbox.enter_epoch(refusal.epoch, refusal.watermark)
        else:
            is_mended = False
        self._line_status = "ok" if is_mended else refusal.code
        return is_mended

    async def _pause(self, wait_s: float) -> None:
        """Wait, but not once the server was heard again."""
        self._is_back.clear()
        await first_of(self._is_back, within_s=wait_s)

    async def beat(self) -> None:
        """Tell the server how things are and do what it asks."""
        patience = uplink.Patience(self._waits.first_s, self._waits.limit_s / 2)
        while True:
            wait_s = FIRST_POLL_S
            try:
                wait_s = await self.beat_once()
                patience.reset()
            except uplink.Locked as error:
                self._line_status = error.code
                wait_s = self._waits.locked_s
            except (uplink.Offline, uplink.Refused, JournalFull) as error:
                log.info("no heartbeat: %s", error)
                self._note_reach(error)
                wait_s = patience.next_s()
            if self.enrolments.is_any_open():  # a passkey must be typed within half a minute
                wait_s = min(wait_s, POLL_WHILE_ENROLLING_S)
            await first_of(self.enrolments.changed, within_s=wait_s)

    async def beat_once(self) -> float:
        """Send one heartbeat, execute its orders, and return the wait until the next."""
        self._check_clock()
        # The clock keeps the number growing over a restart even when a full disk could not take the last ones.
        number = self._beat = max(self._beat + 1, int(self._now().timestamp()))
        with contextlib.suppress(JournalFull):  # the server must hear that the disk is full
            self.journal.remember("beat", str(number))
        self.enrolments.changed.clear()
        answer = await self.server.heartbeat(self._heartbeat(number))
        if self._line_status in ("gateway_unknown", "gateway_revoked", "signature_wrong"):
            self._line_status = "ok"
        is_off = abs((answer.time - self._now()).total_seconds()) > CLOCK_WRONG_ABOVE_S
        self._clock_status = "clock_wrong" if is_off else "ok"
        self._is_clock_right = not is_off
        self.reach.find(self._now())
        if answer.epoch != self.outbox.epoch():
            self.outbox.enter_epoch(answer.epoch, answer.watermark)
        self._is_back.set()
        await self.orders.execute(answer.orders)
        self.session.note_heard(self._now())
        self.show_light()
        return answer.next_poll_s

    def _heartbeat(self, number: int) -> dict[str, object]:
        return {
            "protocol": wire.PROTOCOL,
            "gateway_id": self.identity.gateway_id,
            "beat": number,
            "last_order": self.orders.last(),
            "queue": self.outbox.waiting(),
            "open_visit": self.session.open_visit_id,
            "radio": "simulated" if self.is_simulated else "system",
            "status": self._status_when_heard(),
            "outage": self.reach.report(),
            "version": VERSION,
            "meters": [
                meter.as_heartbeat()
                | self.enrolments.report(meter.enrolment_id, is_known=meter.is_known)
                | {"trouble": self.collector.troubles.of(meter.enrolment_id, self._now())}
                for meter in self.meters.all()
            ],
            "journal": {
                "undecodable": self.journal.undecodable(), "undecodable_at": self.journal.undecodable_at(),
                "stored": self.outbox.stored(), "oldest_unsent_at": self.journal.oldest_unsent_at(),
            },
        }

    def _note_reach(self, error: Exception) -> None:
        if isinstance(error, uplink.Offline):
            self.reach.lose(error.code, self._now())
        else:
            self.reach.find(self._now())
        self.show_light()

    def _check_clock(self) -> None:
        if self.session.check_clock(self._now(), self._running_s()):
            self._is_clock_right = False
            log.warning("this computer's clock was set; what meters kept from before belongs to no visit")

    def may_forget(self) -> bool:
        """Say whether the server agreed with this computer's clock: by one a month ahead, all would be old."""
        return self._is_clock_right

    async def keep_house(self) -> None:
        """Empty the log file when things are calm, and drop what is older than the server may still ask for."""
        last_cleaned = 0.0
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(IDLE_BEFORE_CHECKPOINT_S)
            has_room = shutil.disk_usage(self.journal.path.parent).free > ENOUGH_ROOM_BYTES
            if self.collector.status == "disk_full" and has_room:
                self.collector.status = "ok"
            try:
                if not self.has_packets.is_set() and not self.outbox.has_news.is_set():
                    self.journal.checkpoint()
                self.show_light()
                if self.may_forget() and loop.time() - last_cleaned > HOUSEKEEPING_EVERY_S:
                    last_cleaned = loop.time()
                    self.journal.forget_before(wire.iso(self._now() - timedelta(days=KEEP_DAYS)))
            except JournalFull:
                self.collector.status = "disk_full"


def _first_trouble(*statuses: str) -> str:
    return next((status for status in statuses if status != "ok"), "ok")


def simulator_address(meters_dir: Path) -> dict[str, str] | None:
    """Return how to reach the simulated meters, or None while they are not there."""
    try:
        document = json.loads((meters_dir / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(document, dict) or not all(isinstance(document.get(name), str) for name in ("hci", "control")):
        return None
    return {"hci": document["hci"], "control": document["control"]}


def press_button(meters_dir: Path) -> Callable[[dict[str, object]], Awaitable[None]]:
    """Return what a `simulate` order does: press the button of a simulated meter."""

    async def simulate(facts: dict[str, object]) -> None:
        address = simulator_address(meters_dir)
        if address is None:
            log.warning("no simulated meters are running")
            return
        wish = {name: facts.get(name) for name in ("meter", "values", "fault")}
        try:
            async with httpx.AsyncClient(timeout=SIMULATE_WITHIN_S, trust_env=False) as client:
                response = await client.post(address["control"] + "/measure", json=wish)
            if response.status_code != 200:
                log.warning("the simulated meter refused: %d", response.status_code)
        except httpx.HTTPError as error:
            log.warning("the simulated meters do not answer: %s", type(error).__name__)

    return simulate
