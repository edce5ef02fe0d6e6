// One connection of a call: the peer connection with what belongs to it and ends with it.

import { openCode } from "./call-code.js";
import { negotiate } from "./call-negotiation.js";
import { preferVp9 } from "./call-outgoing.js";
import { keepConnected } from "./call-reconnection.js";
import { fingerprints, meter } from "./call-statistics.js";

/**
 * Open a connection for the tracks of `stream`. `isFirst` says that this side offers first: it asks to receive what it
 * does not send. `on` holds onTrack, onState, onNegotiation, onCode; `say` and `tell` speak to the far end.
 */
export function openLink({ polite, stream, iceServers, relayOnly, certificates, isFirst, say, tell, mend, maySignal, renew, on }) {
  const connection = new RTCPeerConnection({
    iceServers, bundlePolicy: "max-bundle", iceTransportPolicy: relayOnly ? "relay" : "all", ...(certificates ? { certificates } : {}),
  });
  const photos = connection.createDataChannel("photo", { negotiated: true, id: 1, ordered: true });
  const negotiation = negotiate({ connection, polite, say, mend });
  const code = openCode({ isDoctor: !polite, tell, onChange: on.onCode });
  const reconnection = keepConnected({ connection, maySignal, renew, onChange: stateChanged });
  let isClosed = false;
  const ifOpen = (run) => (event) => isClosed || run(event);

  connection.onicecandidate = ifOpen(({ candidate }) => candidate && say({ candidate }));
  connection.onnegotiationneeded = ifOpen(() => on.onNegotiation());
  connection.ontrack = ifOpen(({ track }) => on.onTrack(track));
  addTracks(connection, stream, isFirst);

  async function stateChanged(state) {
    if (isClosed) return;
    on.onState(state);
    const prints = state === "connected" ? await fingerprints(connection) : null;
    if (prints && !isClosed) await code.begin(prints);
  }

  return {
    connection, photos, negotiation, code, reconnection,
    read: meter(connection),
    close() {
      isClosed = true;
      reconnection.stop();
      connection.close();
    },
  };
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
