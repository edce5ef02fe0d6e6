// One connection of a call: the peer connection with what belongs to it and ends with it.

import { fingerprints, openCode } from "./call-code.js";
import { openDirect } from "./call-direct.js";
import { negotiate, RESTART } from "./call-negotiation.js";
import { preferVp9 } from "./call-outgoing.js";
import { keepConnected } from "./call-reconnection.js";
import { meter } from "./call-statistics.js";

const PICTURE_WAITS_MS = 3000, LOOK_EVERY_MS = 40; // no longer: the far end may have no microphone

/**
 * Open a connection for the tracks of `stream`. `isFirst` says that this side offers first: it asks to receive what it
 * does not send. `on` holds onTrack, onState, onNegotiation, onCode, onHeard, onHear
 * (the far end's voice came, or should have); `say` and `tell` speak to the far end.
 */
export function openLink({ polite, stream, iceServers, relayOnly, certificates, isFirst, say, tell, mend, maySignal, isExpected, renew, on }) {
  const connection = new RTCPeerConnection({
    iceServers, bundlePolicy: "max-bundle", iceTransportPolicy: relayOnly ? "relay" : "all", ...(certificates ? { certificates } : {}),
  });
  const photos = connection.createDataChannel("photo", { negotiated: true, id: 1, ordered: true });
  const direct = openDirect(connection, on.onHeard);
  const code = openCode({ isDoctor: !polite, tell, onChange: on.onCode });
  const negotiation = negotiate({ connection, polite, say, mend, onRefused: code.refuse });
  const reconnection = keepConnected({ connection, maySignal, isExpected, renew, restart: () => negotiation.offer(RESTART), onChange: stateChanged });
  let isClosed = false;
  const ifOpen = (run) => (event) => isClosed || run(event);

  connection.onicecandidate = ifOpen(({ candidate }) => candidate && say({ candidate }));
  connection.onnegotiationneeded = ifOpen(() => on.onNegotiation());
  connection.onsignalingstatechange = ifOpen(compare);
  connection.ontrack = ifOpen(({ track }) => on.onTrack(track));
  addTracks(connection, stream, isFirst);

  async function stateChanged(state) {
    if (isClosed) return;
    on.onState(state);
    if (state !== "connected") return;
    untilHeard(connection, () => isClosed).then(on.onHear);
    await compare();
  }

  // Again after each new description: at the first moment not every browser knows what it has agreed on.
  async function compare() {
    if (isClosed || connection.connectionState !== "connected" || connection.signalingState !== "stable") return;
    const prints = await fingerprints(connection);
    if (prints && !isClosed) await code.begin(prints);
  }

  return {
    connection, photos, negotiation, code, reconnection,
    tellHeard: direct.tell,
    read: meter(connection, direct),
    close() {
      isClosed = true;
      reconnection.stop();
      connection.close();
    },
  };
}

// A side is connected before the other one knows: the last words of the key exchange may be lost. A picture sent at once
// then fills a thin line and lets their repeats, each twice as late as the one before, be lost again. So it waits.
async function untilHeard(connection, isOver) {
  for (let waited = 0; waited < PICTURE_WAITS_MS && !isOver(); waited += LOOK_EVERY_MS) {
    if (connection.getReceivers().some((receiver) => receiver.getSynchronizationSources().length)) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

// addTrack, not addTransceiver: only the former takes over the places that the far end's offer made.
function addTracks(connection, stream, isFirst) {
  const tracks = stream?.getTracks() ?? [];
  tracks.forEach((track) => connection.addTrack(track, stream));
  for (const kind of isFirst ? ["audio", "video"] : []) {
    if (!tracks.some((track) => track.kind === kind)) connection.addTransceiver(kind, { direction: "recvonly" });
  }
  preferVp9(connection);
}

/** Send `track` in the place of the one of its kind; null sends nothing. A place that only received opens up. */
export async function exchangeTrack(connection, kind, track) {
  const place = connection.getTransceivers().find(({ receiver, stopped }) => !stopped && receiver.track.kind === kind);
  if (!place) return track && connection.addTrack(track);
  await place.sender.replaceTrack(track);
  if (track && !["sendrecv", "sendonly"].includes(place.direction)) place.direction = "sendrecv";
}
