// What arrives, told over the connection itself. Old news is worthless: nothing is repeated, nothing waits for the rest.
// Each message also returns the stamp of the last one that came, so that both sides know the round trip: a browser may
// tell none (Firefox ESR 140 has no word of the path, and of a voice without a picture no report of the far end either).

const UNKNOWN = 255, UNKNOWN_KBIT_S = 65535, UNKNOWN_MS = 65535;
const SIZE = 15, RATE_AT = 3, STAMP_AT = 5, ECHO_AT = 9, HELD_AT = 13;
const HOLDS_MS = 10_000; // an older round trip says nothing about now

/** Open the channel of one connection; `onHeard({audio, video, lossPct, kbitS})` runs at each word of the far end. */
export function openDirect(connection, onHeard) {
  const channel = connection.createDataChannel("heard", { negotiated: true, id: 2, ordered: false, maxRetransmits: 0 });
  let theirs = null, roundTrip = null; // {stamp, at}; {ms, at}

  channel.binaryType = "arraybuffer";
  channel.onmessage = ({ data }) => {
    const view = new DataView(data), now = performance.now();
    if (view.byteLength >= SIZE) {
      theirs = { stamp: view.getUint32(STAMP_AT), at: now };
      const held = view.getUint16(HELD_AT);
      if (held !== UNKNOWN_MS) roundTrip = { ms: Math.max(clock(now) - view.getUint32(ECHO_AT) - held, 0), at: now };
    }
    onHeard(readHeard(view));
  };
  return {
    tell(heard) {
      if (channel.readyState === "open") channel.send(writeHeard(heard, theirs));
    },
    get rttMs() { return roundTrip && performance.now() - roundTrip.at < HOLDS_MS ? roundTrip.ms : null; },
  };
}

const clock = (now) => Math.round(now) >>> 0;

function writeHeard({ audio, video, lossPct, kbitS }, theirs) {
  const view = new DataView(new ArrayBuffer(SIZE)), now = performance.now();
  const held = theirs ? Math.round(now - theirs.at) : UNKNOWN_MS;
  [audio, video, lossPct === null ? UNKNOWN : Math.round(lossPct)].forEach((value, at) => view.setUint8(at, value));
  view.setUint16(RATE_AT, kbitS === null ? UNKNOWN_KBIT_S : Math.min(Math.round(kbitS), UNKNOWN_KBIT_S - 1));
  view.setUint32(STAMP_AT, clock(now));
  view.setUint32(ECHO_AT, theirs?.stamp ?? 0);
  view.setUint16(HELD_AT, Math.min(held, UNKNOWN_MS));
  return view.buffer;
}

/** Return what the far end tells. A page that was loaded before an update says less. */
function readHeard(view) {
  const lossPct = view.getUint8(2), kbitS = view.byteLength >= SIZE ? view.getUint16(RATE_AT) : UNKNOWN_KBIT_S;
  return {
    audio: view.getUint8(0) === 1, video: view.getUint8(1) === 1,
    lossPct: lossPct === UNKNOWN ? null : lossPct, kbitS: kbitS === UNKNOWN_KBIT_S ? null : kbitS,
  };
}
