"""The line emulator's process: carries every packet between two sites and the hub by hand, as late, as slowly and as
unreliably as told. The kernels we test on have no netem, so this is a router in user space over TUN devices.

Standard input brings orders, one JSON document a line; each is answered on standard output. When the input ends, also
because the test run was killed, everything that was made here is removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
PACKET_MOST = 65_535
READ_AT_ONCE = 64  # packets from one device before the others have their turn
IDLE_S = 0.5
PRIORITY = -15  # a late router would be taken for a slow line
Sink = Callable[[bytes, float], None]


@dataclass
class Direction:
    """One way of a line. `rate` in bit/s and `queue_ms` 0 mean without a limit; `cut` swallows everything."""

    rate: float = 0
    delay_ms: float = 0
    jitter_ms: float = 0
    loss_pct: float = 0
    queue_ms: float = 500
    cut: bool = False
    sent: int = 0
    lost: int = 0
    octets: int = 0
    free_at: float = 0
    last_at: float = 0

    def departs_at(self, size: int, now: float, chance: Callable[[], float]) -> float | None:
        """Return when a packet of `size` bytes comes out at the far end, or None when it is lost."""
        begins = max(now, self.free_at)
        is_full = bool(self.rate and self.queue_ms) and (begins - now) * 1000 > self.queue_ms
        if self.cut or is_full or chance() * 100 < self.loss_pct:
            self.lost += 1
            return None
        self.free_at = begins + (size * 8 / self.rate if self.rate else 0)
        late_s = (self.delay_ms + self.jitter_ms * chance()) / 1000
        self.last_at = max(self.last_at, self.free_at + late_s)  # in order: the lines that we mean keep it
        self.sent += 1
        self.octets += size
        return self.last_at

    def change(self, shape: dict[str, float]) -> None:
        """Take new parameters; what waits in the queue leaves by the old ones."""
        for name, value in shape.items():
            setattr(self, name, value)
        self.free_at = self.last_at = 0


@dataclass
class Router:
    """Devices by the third number of their network: 0 the hub, 1 and 2 the sites."""

    devices: dict[int, int]
    up: dict[int, Direction]
    down: dict[int, Direction]
    chance: Callable[[], float]
    waiting: list[tuple[float, int, Sink, bytes]] = field(default_factory=list)
    count: int = 0

    def take(self, source: int, packet: bytes, now: float) -> None:
        """Send a packet of `source` on its way; what is not IPv4 for one of us goes nowhere."""
        if len(packet) < 20 or packet[0] >> 4 != 4 or packet[18] not in self.devices:
            return
        if source in self.up:
            self._pass(self.up[source], packet, now, self._arrived)
        else:
            self._arrived(packet, now)

    def _arrived(self, packet: bytes, now: float) -> None:
        """Hand a packet that came up to the hub to whom it is addressed."""
        target = packet[18]
        if target in self.down:
            self._pass(self.down[target], packet, now, self._write)
        else:
            self._write(packet, now)

    def _pass(self, direction: Direction, packet: bytes, now: float, then: Sink) -> None:
        at = direction.departs_at(len(packet), now, self.chance)
        if at is not None:
            self.count += 1
            heapq.heappush(self.waiting, (at, self.count, then, packet))

    def _write(self, packet: bytes, _now: float) -> None:
        with contextlib.suppress(OSError):  # a full device drops, as a real one does
            os.write(self.devices[packet[18]], packet)

    def release(self, now: float) -> float:
        """Let out everything that is due; return how long nothing will be."""
        while self.waiting and self.waiting[0][0] <= now:
            at, _count, then, packet = heapq.heappop(self.waiting)
            then(packet, at)
        return max(0.0, min(IDLE_S, self.waiting[0][0] - now)) if self.waiting else IDLE_S


def read_packets(router: Router, source: int) -> None:
    """Take what one device has."""
    for _ in range(READ_AT_ONCE):
        try:
            packet = os.read(router.devices[source], PACKET_MOST)
        except OSError:
            return
        router.take(source, packet, time.monotonic())


def run(router: Router, orders: int) -> None:
    """Carry packets and obey orders until the orders end."""
    number_of = {device: number for number, device in router.devices.items()}
    rest = b""
    while True:
        wait_s = router.release(time.monotonic())
        ready, _, _ = select.select([orders, *number_of], [], [], wait_s)
        for device in ready:
            if device != orders:
                read_packets(router, number_of[device])
                continue
            told = os.read(orders, PACKET_MOST)
            if not told:
                return
            *lines, rest = (rest + told).split(b"\n")
            for line in lines:
                obey(router, json.loads(line))


def obey(router: Router, order: dict[str, dict[str, dict[str, float]]]) -> None:
    """Change directions, and answer with what passed and what was lost so far."""
    for side, directions in (("up", router.up), ("down", router.down)):
        for site, shape in order.get(side, {}).items():
            directions[int(site)].change(shape)
    counts = {
        side: {site: {"sent": one.sent, "lost": one.lost, "octets": one.octets} for site, one in directions.items()}
        for side, directions in (("up", router.up), ("down", router.down))
    }
    say(counts)


def say(document: dict[str, object]) -> None:
    print(json.dumps(document), flush=True)


def command(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def open_device(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def make_hub(name: str, network: str) -> int:
    device = open_device(name)
    command("addr", "add", f"{network}.0.1/24", "dev", name)
    command("link", "set", name, "up", "mtu", "1500")
    for site in (1, 2):
        command("route", "add", f"{network}.{site}.0/24", "dev", name)
    return device


def make_site(space: str, name: str, network: str, number: int) -> int:
    """Make a namespace whose only way out is a device of ours."""
    command("netns", "add", space)
    device = open_device(name)
    command("link", "set", name, "netns", space)  # the device moves, our end of it stays here
    command("-n", space, "link", "set", "lo", "up")
    command("-n", space, "addr", "add", f"{network}.{number}.2/24", "dev", name)
    command("-n", space, "link", "set", name, "up", "mtu", "1500", "txqueuelen", "1000")
    command("-n", space, "route", "add", "default", "dev", name)
    return device


def remove(spaces: list[str]) -> None:
    """Remove namespaces with whatever still runs in them; the devices go with this process."""
    for space in spaces:
        found = subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True, check=False)
        for pid in found.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), 9)
        subprocess.run(["ip", "netns", "delete", space], capture_output=True, check=False)


def main(label: str, network: str, seed: str) -> None:
    """Make hub and sites, say so, and carry packets until standard input ends."""
    spaces = [f"{label}-{number}" for number in (1, 2)]
    remove(spaces)  # of a run that was killed together with its emulator
    try:
        sites = {number: make_site(space, f"{label}s{number}", network, number) for number, space in enumerate(spaces, 1)}
        devices = {0: make_hub(f"{label}h", network), **sites}
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
        up, down = ({number: Direction() for number in (1, 2)} for _ in range(2))
        say({"ready": True})
        run(Router(devices, up, down, random.Random(seed).random), sys.stdin.fileno())
    except subprocess.CalledProcessError as error:
        say({"error": f"ip {' '.join(error.cmd[1:])}: {error.stderr.strip()}"})
    except OSError as error:
        say({"error": str(error)})
    finally:
        remove(spaces)


if __name__ == "__main__":
    main(*sys.argv[1:])
