"""A line that lies, a disk that is full, a clock that jumps: nothing is lost, and one light says what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devices import uplink, wire
from devices.agent import Agent, Waits, system_radio
from devices.clock import utc_now
from devices.journal import Connection, Journal, JournalFull
from devices.status import Light
from tests.devices.fake_server import FakeServer, serving

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
AT = wire.iso(NOW)
WAITING = 3


class Gateway:
    """An agent without radio on a journal with a few readings, its light, and a clock that is set by hand."""

    def __init__(self, folder: Path, server: FakeServer, url: str) -> None:
        self.journal, self.server, self.url = Journal(folder / "journal.db"), server, url
        self.now = utc_now()
        self.lights: list[str] = []
        self.lit = asyncio.Event()

    def show(self, light: Light) -> None:
        self.lights.append(light.status)
        self.lit.set()

    async def until_light(self, status: str) -> None:
        async with asyncio.timeout(20):
            while self.lights[-1:] != [status]:
                self.lit.clear()
                await self.lit.wait()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Agent]:
        """Yield the agent while it sends, beats and keeps house."""
        identity = self.server.identity()
        async with uplink.open_client(self.url) as client:
            agent = Agent(
                identity, self.journal, uplink.Uplink(client, identity, self.url), system_radio, False, UTC,
                lambda: self.now, waits=Waits(0.01, 0.05, 0.05), show=self.show,
            )  # fmt: skip
            agent.collector.status = "ok"  # it has no radio, which is not the matter here
            for number in range(agent.outbox.stored(), WAITING):
                agent.outbox.append_reading(f"{number:064x}", None, AT, identity.ingest_key, b"{}")
            tasks = [asyncio.create_task(work()) for work in (agent.send, agent.beat)]
            try:
                yield agent
            finally:
                for task in tasks:
                    task.cancel()


@pytest.fixture(autouse=True)
def any_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake server looks into records; these are empty."""
    monkeypatch.setattr(FakeServer, "_open", lambda self, item: {})


async def portal(request: web.Request) -> web.Response:
    return web.Response(text="<html>Welcome to our Wi-Fi</html>", content_type="text/html")


async def redirect(request: web.Request) -> web.Response:
    raise web.HTTPFound("http://127.0.0.1:9/log-in")


async def log_in_first(request: web.Request) -> web.Response:
    return web.Response(status=511, text="<html>Log in</html>", content_type="text/html")


@asynccontextmanager
async def answering(answer: object, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Yield the address of something that answers everything the same way."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)  # type: ignore[arg-type]
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def other_certificate(folder: Path) -> ssl.SSLContext:
    """Return a TLS server's side with a certificate that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "elsewhere")])
    today = utc_now()
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(today - timedelta(days=1)).not_valid_after(today + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = folder / "other.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


async def suffer_and_recover(folder: Path, url: str, light: str) -> None:
    """At `url` nothing may count as sent and the light says why; at the true server all arrives and it is well."""
    async with serving(FakeServer()) as server:
        gateway = Gateway(folder, server, url)
        async with gateway.at_work() as agent:
            await gateway.until_light(light)
            assert agent.outbox.waiting() == WAITING
            agent.server.url = server.url
            await server.until(lambda: server.watermark == WAITING and len(server.beats) > 1)
            async with asyncio.timeout(20):
                while agent.status() != "ok" or agent.outbox.waiting():
                    await asyncio.sleep(0.01)
        gateway.journal.close()

    assert {beat["status"] for beat in server.beats} == {"ok"}, "who is heard is in reach"


@pytest.mark.parametrize("answer", [portal, redirect, log_in_first])
def test_a_log_in_page_between_gateway_and_server_takes_nothing(tmp_path: Path, answer: object) -> None:
    async def run() -> None:
        async with answering(answer) as url:
            await suffer_and_recover(tmp_path, url, "line_hijacked")

    asyncio.run(run())


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_error_of_the_server_is_not_a_line_that_is_down(tmp_path: Path, status: int) -> None:
    async def broken(request: web.Request) -> web.Response:
        return web.Response(status=status, text="<html>Bad Gateway</html>", content_type="text/html")

    async def run() -> None:
        async with answering(broken) as url:
            await suffer_and_recover(tmp_path, url, "server_error")

    asyncio.run(run())


def test_a_server_with_a_strange_certificate_is_sent_nothing(tmp_path: Path) -> None:
    asked = []

    async def ask(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    async def run() -> None:
        async with answering(ask, other_certificate(tmp_path)) as url:
            await suffer_and_recover(tmp_path, url, "line_not_trusted")

    asyncio.run(run())
    assert asked == []


def test_a_line_that_is_down_shows_itself_and_comes_back(tmp_path: Path) -> None:
    asyncio.run(suffer_and_recover(tmp_path, "http://127.0.0.1:9", "offline"))


@pytest.mark.parametrize("days", [60, -60])
def test_a_clock_that_jumps_makes_nothing_forgotten_or_sent_twice(tmp_path: Path, days: int) -> None:
    async def run() -> None:
        async with serving(FakeServer()) as server:
            gateway = Gateway(tmp_path, server, server.url)
            async with gateway.at_work() as agent:
                await server.until(lambda: server.watermark == WAITING)
                gateway.now += timedelta(days=days)
                beats = len(server.beats)
                await server.until(lambda: server.beats[-1]["status"] == "clock_wrong" and len(server.beats) > beats)
                await gateway.until_light("clock_wrong")
                assert not agent.may_forget()
                assert agent.outbox.stored() == WAITING
                gateway.now = utc_now()
                await server.until(lambda: server.beats[-1]["status"] == "ok")
                async with asyncio.timeout(20):
                    while not agent.may_forget():
                        await asyncio.sleep(0.01)
            gateway.journal.close()
            assert server.watermark == WAITING

    asyncio.run(run())


class _SmallDisk(apsw.VFS):
    """The system's disk with room for so many bytes a file."""

    def __init__(self, room: int) -> None:
        super().__init__("small", "")
        self.room = room

    def xOpen(self, name: object, flags: list[int]) -> apsw.VFSFile:
        return _SmallFile(self, name, flags)


class _SmallFile(apsw.VFSFile):
    def __init__(self, disk: _SmallDisk, name: object, flags: list[int]) -> None:
        super().__init__("", name, flags)  # type: ignore[arg-type]
        self._disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:
        if offset + len(data) > self._disk.room:
            half = max(0, self._disk.room - offset)
            super().xWrite(data[:half], offset)  # a disk fills in the middle of a page
            raise apsw.FullError("no room")
        super().xWrite(data, offset)


@contextmanager
def small_disk(room: int) -> Iterator[_SmallDisk]:
    disk = _SmallDisk(room)
    try:
        yield disk
    finally:
        disk.unregister()


def test_a_disk_that_fills_keeps_all_it_promised_and_takes_more_when_there_is_room(tmp_path: Path) -> None:
    path, promised = tmp_path / "journal.db", []
    with small_disk(400_000) as disk:
        journal = Journal(path, vfs="small")
        journal.open_connection(Connection("c", "meter", AT))

        def keep(number: int) -> None:
            journal.keep_packet("c", number, "2a35", number.to_bytes(20, "big"), AT, None)
            promised.append(number)

        with contextlib.suppress(JournalFull):
            for number in range(1, 10_000):
                keep(number)
        refused = len(promised) + 1
        with pytest.raises(JournalFull):
            keep(refused)
        assert refused > 20, "the disk was full from the start"
        disk.room *= 2
        keep(refused)
        assert [int.from_bytes(packet.raw, "big") for packet in journal.new_packets()] == promised
        journal.db.close()

    journal = Journal(path)
    assert [int.from_bytes(packet.raw, "big") for packet in journal.new_packets()] == promised
    journal.close()
