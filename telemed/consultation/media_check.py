"""One line check: the server's end of a short connection that measures what the page's line can carry.

Silent voice flows both ways at 50 packets a second: its RTP counters give the loss (counting channel messages would
not: a sender drops them before they are sent). An unordered channel without repeats carries pings and trains of
messages; the rate is read from their spacing, never from throughput, which SCTP halves on every lost packet.

Both ends open the channel under an agreed number: a lost greeting once cost all pings. The page's report and the result
go over the web, not over the channel: behind a train of messages on a line of 64 kbit/s the result came after this end
had closed, and every second check there failed.
"""

from __future__ import annotations

import asyncio
import math
import re
import struct
import time
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any

from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.contrib.media import MediaBlackhole
from aiortc.mediastreams import AudioStreamTrack, MediaStreamTrack

from telemed.consultation.line import Arrival, Line, judged, loss_pct, rate_of_runs

PING, PONG, TRAIN, ORDER, SEEN = 1, 2, 3, 4, 5
MESSAGE_LEAST_BYTES, MESSAGE_MOST_BYTES = 60, 1100
TRAINS_MOST, LENGTH_MOST = 12, 10
PROBE = {"negotiated": True, "id": 1, "ordered": False, "maxRetransmits": 0}
WINDOW_BYTES = 30_000  # a whole train leaves at once; aiortc would send three packets and wait a round trip
SCTP_AGAIN_S = 1.0  # aiortc would wait three seconds before it repeats a lost greeting
SEEN_AFTER_S = 0.4
END_OF_CANDIDATES = re.compile(r"^a=end-of-candidates[ \t]*(\r\n|\r|\n|$)", re.MULTILINE)


class LineCheck:
    """A connection that lives until the page reports, goes away, or the time is up. `state`: measuring, done, failed."""

    def __init__(self, ice_servers: list[RTCIceServer]) -> None:
        # Always an explicit list: without one aiortc asks a public STUN server.
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=ice_servers))
        self.state = "measuring"
        self.result: dict[str, Any] | None = None
        self._started_s = time.monotonic()
        self._trains: dict[int, list[Arrival]] = defaultdict(list)
        self._sink = MediaBlackhole()
        self._probe: RTCDataChannel | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._sent = 0
        self.connection.on("track", self._take_track)

    async def answer(self, sdp: str) -> str:
        """Return the answer to the page's offer. Raises ValueError or another error of the parser when it is broken."""
        offer = RTCSessionDescription(sdp=without_end_of_candidates(sdp), type="offer")
        await self.connection.setRemoteDescription(offer)
        for transceiver in self.connection.getTransceivers():
            if transceiver.kind == "audio":
                transceiver.direction = "sendrecv"
                transceiver.sender.replaceTrack(AudioStreamTrack())
        self._probe = self.connection.createDataChannel("probe", **PROBE)
        self._probe.on("message", self._take)
        if self.connection.sctp is not None:
            self.connection.sctp._rto = SCTP_AGAIN_S
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        await self._sink.start()
        return str(self.connection.localDescription.sdp)

    async def close(self) -> None:
        """End the connection and all that hangs on it; a check that is not done has failed."""
        if self.state == "measuring":
            self.state = "failed"
        current = asyncio.current_task()
        for task in [task for task in self._tasks if task is not current]:
            task.cancel()
        await self._sink.stop()
        await self.connection.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _take_track(self, track: MediaStreamTrack) -> None:
        self._sink.addTrack(track)  # unread frames would pile up

    def _take(self, message: bytes | str) -> None:
        if not isinstance(message, bytes) or not message:
            return
        if message[0] == PING and len(message) >= 9:
            self._send(bytes([PONG]) + message[1:9])
        elif message[0] == ORDER and len(message) == 5:
            self._send_train(*struct.unpack(">BBH", message[1:]))
        elif message[0] == TRAIN and len(message) >= MESSAGE_LEAST_BYTES:
            self._take_train(message)

    def _take_train(self, message: bytes) -> None:
        number, index = message[1], message[2]
        if number >= TRAINS_MOST or index >= LENGTH_MOST:
            return
        train = self._trains[number]
        if not train:
            self._start(self._tell_seen())
        if len(train) < LENGTH_MOST:
            train.append(Arrival(time.perf_counter(), len(message), index))

    async def _tell_seen(self) -> None:
        """Tell the page what comes through, so that its next trains fit. A lost telling is told with the next train."""
        await asyncio.sleep(SEEN_AFTER_S)
        rate = rate_of_runs(self._trains.values())
        if rate is not None:
            self._send(struct.pack(">Bd", SEEN, rate))

    def _send_train(self, number: int, length: int, size_bytes: int) -> None:
        sctp = self.connection.sctp
        if sctp is None or number >= TRAINS_MOST or self._sent >= TRAINS_MOST:
            return
        self._sent += 1
        sctp._cwnd = max(sctp._cwnd, WINDOW_BYTES)
        size_bytes = min(max(size_bytes, MESSAGE_LEAST_BYTES), MESSAGE_MOST_BYTES)
        for index in range(min(length, LENGTH_MOST)):
            self._send(bytes([TRAIN, number, index]) + bytes(size_bytes - 3))

    def _send(self, message: bytes) -> None:
        if self._probe is not None and self._probe.readyState == "open":
            self._probe.send(message)

    async def report(self, figures: dict[str, Any]) -> dict[str, Any]:
        """Put both ends' figures together and return the result; told again, the same one. Raises ValueError when this
        end saw no connection.
        """
        if self.result is not None:
            return self.result
        if self.connection.connectionState != "connected":
            raise ValueError("line_check_failed")
        received, lost = await self._voice_counters()
        line = Line(
            rtt_ms=_number(figures.get("rtt_ms")),
            up_kbit_s=rate_of_runs(self._trains.values()),
            down_kbit_s=_number(figures.get("down_kbit_s")),
            loss_up_pct=loss_pct(received, lost),
            loss_down_pct=_number(figures.get("loss_down_pct")),
        )
        self.result = {**judged(line), "took_ms": round((time.monotonic() - self._started_s) * 1000)}
        self.state = "done"
        return self.result

    async def _voice_counters(self) -> tuple[int, int]:
        received = lost = 0
        for receiver in self.connection.getReceivers():
            for entry in (await receiver.getStats()).values():
                if entry.type == "inbound-rtp":
                    received, lost = received + entry.packetsReceived, lost + entry.packetsLost
        return received, lost


def without_end_of_candidates(sdp: str) -> str:
    """Return an offer that does not say that no address will follow. A Firefox that has not been allowed the camera gives
    names of its own in place of its addresses, which nobody else can look up: aiortc would take that for an offer without
    an address and give up, where it only has to wait for the first packet to see the address.
    """
    return END_OF_CANDIDATES.sub("", sdp)


def _number(value: object) -> float | None:
    """Return a page's figure, or None when it is missing or absurd."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return float(value)
