"""The commands as an operator runs them: real processes, killed and restarted."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from devices import identity
from tests import run_clock
from tests.devices.fake_server import FakeServer, serving

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 60.0
VISIT = "33333333-3333-4333-8333-333333333333"
PRESSURE_METER = "44444444-4444-4444-8444-444444444441"


class Processes:
    """Starts commands on one data folder and leaves none behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[asyncio.subprocess.Process] = []
        self.environment = run_clock.environment(
            TELEMED_DATA_DIR=str(folder), TELEMED_RADIO="simulated", TELEMED_DEMO="1"
        )

    async def start(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "devices",
            *arguments,
            cwd=ROOT,
            env=self.environment | environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self.running.append(process)
        return process

    async def finish(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run to the end; return the exit code and all words."""
        process = await self.start(*arguments, **environment)
        async with asyncio.timeout(WITHIN_S):
            out, err = await process.communicate()
        return process.returncode or 0, (out + err).decode()

    async def meters(self) -> tuple[asyncio.subprocess.Process, str]:
        """Start the simulated meters; return them and their control address."""
        process = await self.start("simulate", "--seed", "1")
        assert process.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            line = await process.stdout.readline()
        assert line.startswith(b"ready"), line
        control: str = json.loads((self.folder / "meters" / "run.json").read_text())["control"]
        return process, control

    async def kill(self, process: asyncio.subprocess.Process) -> None:
        process.send_signal(signal.SIGKILL)
        await process.wait()


@asynccontextmanager
async def corner(folder: Path) -> AsyncIterator[tuple[Processes, FakeServer]]:
    """Yield processes and the server their gateway has joined."""
    processes = Processes(folder)
    async with asyncio.timeout(3 * WITHIN_S), serving(FakeServer()) as server:
        gateway_dir = folder / "gateway"
        gateway_dir.mkdir(parents=True)
        identity.save(gateway_dir, server.identity())
        server.order("enrol_meter", enrolment_id=PRESSURE_METER, meter="blood_pressure", name="Pressure")
        server.order("open_visit", visit_id=VISIT)
        try:
            yield processes, server
        finally:
            for process in processes.running:
                if process.returncode is None:
                    await processes.kill(process)


async def measure(control: str, **wish: Any) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.post(control + "/measure", json={"meter": "blood_pressure", **wish})
    assert response.status_code == 200, response.text


async def until_done(server: FakeServer) -> None:
    await server.until(lambda: bool(server.beats) and server.beats[-1]["last_order"] >= len(server.orders), WITHIN_S)


def test_a_killed_gateway_and_restarted_meters_lose_and_double_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with corner(tmp_path) as (processes, server):
            gateway = await processes.start("run")  # before the meters: it waits for them
            meters, control = await processes.meters()
            await until_done(server)
            for number in range(1, 4):
                await measure(control, values={"systolic": 120 + number, "diastolic": 80, "pulse": 60})
                if number < 3:
                    await server.until(lambda number=number: len(server.records) >= number, WITHIN_S)  # type: ignore[misc]
                await processes.kill(gateway)
                gateway = await processes.start("run")
            await server.until(lambda: len(server.records) >= 3, WITHIN_S)
            meters.terminate()
            await meters.wait()
            meters, control = await processes.meters()
            await measure(control, values={"systolic": 124, "diastolic": 80, "pulse": 60})
            await server.until(lambda: len(server.records) >= 4, WITHIN_S)

            assert [record["decoded"]["systolic"] for record in server.records.values()] == [121, 122, 123, 124]
            assert {item["visit_id"] for item in server.items.values()} == {VISIT}

            gateway.terminate()
            async with asyncio.timeout(3):
                assert await gateway.wait() == 0
            assert not (tmp_path / "gateway" / "run.json").exists()

    asyncio.run(run())


def test_a_simulate_order_reaches_the_meter_and_the_log_holds_no_value(tmp_path: Path) -> None:
    async def run() -> None:
        async with corner(tmp_path) as (processes, server):
            await processes.meters()
            gateway = await processes.start("run")
            await until_done(server)
            values = {"systolic": 173, "diastolic": 97, "pulse": 59}
            server.order("simulate", meter="blood_pressure", values=values, fault=None)
            await server.until(lambda: len(server.records) == 1, WITHIN_S)
            assert json.loads((tmp_path / "gateway" / "run.json").read_text())["pid"] == gateway.pid
            gateway.terminate()
            _, err = await gateway.communicate()
            raw = next(iter(server.records.values()))["raw"]

            assert server.records[2]["decoded"]["systolic"] == 173
            for word in (" 173", raw, VISIT, "F1:F1"):
                assert word not in err.decode()

    asyncio.run(run())


def test_joining_pins_the_servers_keys_in_a_private_file(tmp_path: Path) -> None:
    async def run() -> None:
        processes = Processes(tmp_path)
        async with serving(FakeServer()) as server:
            code, words = await processes.finish("join", server.url, "WRONG-CODE")
            assert (code, "does not know this code" in words) == (1, True)
            code, words = await processes.finish("join", server.url, "GOOD-CODE", "--name", "Corner 1")
            assert code == 0, words
            known = identity.load(tmp_path / "gateway")
            again, words = await processes.finish("join", server.url, "GOOD-CODE")

        assert known.server_key.raw == server.key.public_bytes()
        assert known.signing_key.public_bytes() == server.gateway_public
        assert stat.S_IMODE((tmp_path / "gateway" / identity.FILE).stat().st_mode) == 0o600
        assert (again, "has joined Branch 1 already" in words) == (1, True)

    asyncio.run(run())


def test_scan_lists_the_meters_that_show_themselves(tmp_path: Path) -> None:
    async def run() -> None:
        processes = Processes(tmp_path)
        try:
            meters, control = await processes.meters()
            await measure(control)
            code, words = await processes.finish("scan", "--seconds", "1")

            assert code == 0
            assert "blood_pressure  SIM-BP" in words
            meters.terminate()
            assert await meters.wait() == 0
            assert not (tmp_path / "meters" / "run.json").exists()
        finally:
            for process in processes.running:
                if process.returncode is None:
                    await processes.kill(process)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "words"),
    [
        (["run"], {}, 1, "has not joined a branch yet"),
        (["run"], {"TELEMED_RADIO": "wifi"}, 78, "TELEMED_RADIO"),
        (["run"], {"TELEMED_DEMO": "0"}, 78, "belong to a demo"),
        (["scan"], {}, 1, "do not run"),
        (["join", "ftp://x", "CODE"], {}, 64, "http://"),
        (["join", "http://127.0.0.1:9", "CODE"], {}, 69, "does not answer"),
        (["enrol", "thermometer", "x"], {}, 64, "invalid choice"),
        (["enrol", "glucose", "Meter+123"], {}, 0, "Enrolled Meter+123"),
        (["fly"], {}, 64, "invalid choice"),
        ([], {}, 64, "required"),
    ],
)
def test_a_wrong_start_ends_with_one_sentence_and_a_fitting_code(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], code: int, words: str
) -> None:
    exit_code, said = asyncio.run(Processes(tmp_path).finish(*arguments, **environment))

    assert (exit_code, words in said) == (code, True), said
    assert "Traceback" not in said
