"""The line emulator does what it is told, and leaves nothing behind."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.line import CLEAN, CUT, LineEmulator, NoLine, Shape
from tests.line_worker import Direction

ECHO = """
import socket, sys, time, json
kind, host, port, count, size, gap_s = sys.argv[1], sys.argv[2], *map(float, sys.argv[3:7])
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.settimeout(0.7)
sent_at, back = {}, {}
def hear():
    number = int.from_bytes(line.recv(2048)[:4], "big")
    back[number] = time.monotonic()
for number in range(int(count)):
    sent_at[number] = time.monotonic()
    line.sendto(number.to_bytes(4, "big") + bytes(int(size) - 32), (host, int(port)))
    time.sleep(gap_s)
    if kind == "ping":
        try:
            hear()
        except OSError:
            pass
try:
    while len(back) < count:
        hear()
except OSError:
    pass
print(json.dumps([[sent_at[n] for n in back], [back[n] for n in back]]))
"""
HEADERS = 28  # IP and UDP


def test_a_direction_spends_the_time_that_its_rate_and_its_delay_ask() -> None:
    direction = Direction(rate=100_000, delay_ms=50)

    first = direction.departs_at(1250, 10.0, lambda: 0.99)
    second = direction.departs_at(1250, 10.0, lambda: 0.99)

    assert (first, second) == (pytest.approx(10.15), pytest.approx(10.25))


def test_a_full_queue_drops_the_newest() -> None:
    direction = Direction(rate=100_000, queue_ms=150)

    fates = [direction.departs_at(1250, 10.0, lambda: 0.99) for _ in range(4)]

    assert [fate is None for fate in fates] == [False, False, True, True]
    assert (direction.sent, direction.lost) == (2, 2)


def test_chance_below_the_loss_loses() -> None:
    direction = Direction(loss_pct=5)

    assert direction.departs_at(100, 0.0, lambda: 0.049) is None
    assert direction.departs_at(100, 0.0, lambda: 0.051) is not None


@pytest.mark.parametrize("number", [1, 2])
def test_the_first_emulators_share_a_machine(number: int) -> None:
    try:
        emulators = [LineEmulator() for _ in range(number)]
    except NoLine as missing:
        pytest.skip(str(missing))
    for emulator in emulators:
        emulator.close()

    assert len({emulator.network for emulator in emulators}) == number
    assert not any(made(emulator.label) for emulator in emulators)


def made(label: str) -> list[str]:
    """Return what of an emulator stands in the system."""
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.splitlines()
    devices = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [found for found in (*spaces, *devices) if found.startswith(label)]


def test_nothing_is_left_when_the_test_run_is_killed(lines: LineEmulator) -> None:
    """The premise: while it runs, there is something; the run is ended without any clean-up of its own."""
    script = "from tests.line import LineEmulator; e = LineEmulator(); print(e.label, flush=True); input()"
    run = subprocess.Popen(
        [sys.executable, "-c", script], cwd=Path(__file__).parent.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert run.stdout is not None
    label = run.stdout.readline().decode().strip()
    before = made(label)
    run.kill()
    run.wait()
    is_gone = wait_until_gone(label)

    assert len(before) == 3
    assert is_gone


def wait_until_gone(label: str) -> bool:
    """Ask until nothing is left of an emulator; its process needs a moment to notice."""
    return any(not made(label) for _ in range(500))


def echo(lines: LineEmulator, kind: str, count: int, size: int, gap_s: float) -> tuple[list[float], list[float]]:
    """Send datagrams from the corner to an echo at the hub; return when each that came back was sent and came."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hub:
        hub.bind((lines.hub, 0))
        hub.settimeout(0.1)
        port = hub.getsockname()[1]
        words = [*lines.command("corner"), sys.executable, "-c", ECHO, kind, lines.hub, str(port)]
        corner = subprocess.Popen([*words, str(count), str(size), str(gap_s)], stdout=subprocess.PIPE)
        while corner.poll() is None:
            with suppress(TimeoutError):
                packet, sender = hub.recvfrom(2048)
                hub.sendto(packet[:64], sender)
        assert corner.stdout is not None
        sent, back = json.loads(corner.stdout.read())
    return sent, back


def test_packets_are_as_late_as_told(lines: LineEmulator) -> None:
    lines.set("corner", Shape(rtt_ms=120))

    sent, back = echo(lines, "ping", 8, 100, 0)

    assert len(back) == 8
    assert 0.119 < min(came - went for went, came in zip(sent, back, strict=True)) < 0.14


def test_packets_are_as_slow_as_told(lines: LineEmulator) -> None:
    lines.set("corner", up=Shape(kbit_s=400, queue_ms=0), down=CLEAN)

    _sent, back = echo(lines, "burst", 40, 1000, 0)

    spread_s = max(back) - min(back)
    assert len(back) == 40
    assert 39 * (1000 - 4) * 8 / 400_000 * 0.97 < spread_s < 39 * 1000 * 8 / 400_000 * 1.1


def test_packets_are_lost_as_often_as_told(lines: LineEmulator) -> None:
    """400 packets at 20 %: five standard deviations are 10 points."""
    lines.set("corner", up=Shape(loss_pct=20), down=CLEAN)
    before = lines.counts("corner")["up"]

    _sent, back = echo(lines, "burst", 400, 100, 0.0005)

    after = lines.counts("corner")["up"]
    lost = after["lost"] - before["lost"]
    assert 40 < lost < 120
    assert 0 < len(back) <= 400 - lost


def test_a_cut_line_carries_nothing_and_comes_back(lines: LineEmulator) -> None:
    lines.set("corner", CUT)
    _sent, silent = echo(lines, "burst", 3, 100, 0)
    lines.set("corner", CLEAN)
    _sent, back = echo(lines, "burst", 3, 100, 0)

    assert (len(silent), len(back)) == (0, 3)


def test_a_site_reaches_the_other_site_and_nothing_else(lines: LineEmulator) -> None:
    listen = "import socket; s=socket.socket(2,2); s.bind(('',0)); print(s.getsockname()[1],flush=True)"
    words = [*lines.command("doctor"), sys.executable, "-c", f"{listen}; print(s.recvfrom(9)[1][0])"]
    doctor = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert doctor.stdout is not None
    port = doctor.stdout.readline().strip()
    send = f"import socket; socket.socket(2,2).sendto(b'hello',('{lines.address('doctor')}',{port}))"
    subprocess.run([*lines.command("corner"), sys.executable, "-c", send], check=True)
    outside = "import socket; s=socket.socket(); s.settimeout(0.3); raise SystemExit(s.connect_ex(('192.0.2.1',80))==0)"
    alone = subprocess.run([*lines.command("corner"), sys.executable, "-c", outside], check=False)

    assert doctor.stdout.readline().strip() == lines.address("corner")
    assert doctor.wait(5) == 0
    assert alone.returncode == 0
