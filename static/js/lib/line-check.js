// The page's end of a line check: what can this line carry? Needs no camera. The server's end is media_check.py.
import { get, newId, post } from "./api.js";
import { measureRoughly } from "./line-check-rough.js";

const PING = 1, PONG = 2, TRAIN = 3, ORDER = 4, SEEN = 5;
const HEADERS_BYTES = 68; // IP, UDP, DTLS and SCTP around each message
const PINGS = 10, PING_EVERY_MS = 45;
// A train longer than the queue of a thin line (half a second is usual) is lost in part, and its voice with it: begin
// with little, and stay with little where the line is slow. What a slow line carries is told by its long gaps anyway.
const FIRST = { length: 6, bytes: 400 }, SMALL = { length: 5, bytes: 300 }, FULL = { length: 10, bytes: 1100 };
const SLOW_KBIT_S = 200;
const TRAINS = 5, TRAINS_LEAST = 3, TRAIN_GAP_MS = 210, TRAINS_UNTIL_MS = 6200;
const VOICE_BIT_S = 8000; // nobody listens: the packets are counted, and a thin line has no room for more
const CONNECT_UNTIL_MS = 7000, OPEN_UNTIL_MS = 8500, REPORT_MS = 4000;
const GIVE_UP_MS = 30_000; // the worst line: no media, and every answer of the pages as late as it may be
const PAD_MS = 5000;
const REPORTS = "/api/v1/line-checks";

/**
 * Measure the line and let the server judge it. The result of a clerk is kept for the branch. Resolves with
 * {rtt_ms, up_kbit_s, down_kbit_s, loss_up_pct, loss_down_pct, line_class, took_ms, is_rough}. `is_rough` says that no
 * media came through, so that only the way of the pages was measured: without loss, and never better than "thin".
 * Rejects with an Error "line_check_failed" only when the server cannot be reached at all, or when `signal` says that
 * the line is needed for something better: nothing more is sent then.
 */
export async function checkLine({ api = serverApi(), iceServers = [], onProgress = () => {}, signal = null } = {}) {
  let timer;
  const tooLate = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error("line_check_failed")), GIVE_UP_MS); });
  const measured = measure(api, iceServers, onProgress, signal).catch((error) => roughly(api, signal, error)).catch(() => { throw new Error("line_check_failed"); });
  try {
    return await Promise.race([measured, tooLate]);
  } finally {
    clearTimeout(timer);
    onProgress(1);
  }
}

/** How a check speaks to the server; a test has its own. */
function serverApi(id = newId()) {
  return {
    offer: async (sdp) => (await post(REPORTS, { check_id: id, sdp }, { timeoutMs: CONNECT_UNTIL_MS })).sdp,
    report: async (figures) => {
      const key = newId(), send = () => post(`${REPORTS}/${id}/report`, figures, { key, timeoutMs: REPORT_MS });
      return (await send().catch(send)).result; // a lost answer would waste the whole check
    },
    pad: (pad) => post(`${REPORTS}/pad`, { pad }, { timeoutMs: PAD_MS }),
    touch: () => get("/healthz", { timeoutMs: REPORT_MS }),
  };
}

async function roughly(api, signal, error) {
  if (signal?.aborted) throw error;
  return measureRoughly(api, REPORTS);
}

async function measure(api, iceServers, onProgress, signal) {
  const pc = new RTCPeerConnection({ iceServers });
  signal?.addEventListener("abort", () => pc.close()); // what is still to be sent then fails, and ends the measurement
  const voice = silence();
  try {
    const begun = performance.now();
    const probe = await Promise.race([connect(pc, voice.track, api), notConnected(pc)]);
    onProgress(0.3);
    const heard = listen(probe);
    await pings(probe);
    await trains(probe, heard, begun, onProgress);
    api.touch().catch(() => {}); // a warm connection saves the report a round trip; the last trains are on their way
    await sleep(400 + (shortest(heard) ?? 600));
    const figures = { rtt_ms: shortest(heard), down_kbit_s: trainRate(heard.trains), loss_down_pct: await lossDown(pc) };
    return { is_rough: false, ...await api.report(figures) };
  } finally {
    pc.close();
    voice.stop();
  }
}

/** Resolve with the open channel for pings and trains. Its number is agreed, so nothing need be said about it first. */
async function connect(pc, track, api) {
  const voice = pc.addTransceiver(track, { sendEncodings: [{ maxBitrate: VOICE_BIT_S }] });
  voice.setCodecPreferences?.(RTCRtpReceiver.getCapabilities("audio").codecs.filter(({ mimeType }) => mimeType === "audio/opus"));
  const probe = pc.createDataChannel("probe", { negotiated: true, id: 1, ordered: false, maxRetransmits: 0 });
  probe.binaryType = "arraybuffer";
  const opened = new Promise((resolve) => { probe.onopen = resolve; });
  await pc.setLocalDescription();
  await gathered(pc);
  await pc.setRemoteDescription({ type: "answer", sdp: await api.offer(pc.localDescription.sdp) });
  await opened;
  return probe;
}

// A greeting that was lost is said again after one second, then two: a connection that is up deserves to be waited for.
async function notConnected(pc) {
  await sleep(CONNECT_UNTIL_MS);
  if (pc.connectionState === "connected") await sleep(OPEN_UNTIL_MS - CONNECT_UNTIL_MS);
  throw new Error("not_connected");
}

async function pings(probe) {
  for (let i = 0; i < PINGS; i++) {
    const view = new DataView(new ArrayBuffer(60));
    view.setUint8(0, PING);
    view.setFloat64(1, performance.now());
    probe.send(view.buffer);
    await sleep(PING_EVERY_MS);
  }
}

const shortest = ({ rtts }) => (rtts.length ? Math.min(...rtts) : null); // the others waited behind something

// An order may be lost like any message: then this train is missing, and the others tell enough.
async function trains(probe, heard, begun, onProgress) {
  for (let number = 0; number < TRAINS; number++) {
    if (number >= TRAINS_LEAST && performance.now() - begun > TRAINS_UNTIL_MS) return;
    const down = trainOf(trainRate(heard.trains)), order = new DataView(new ArrayBuffer(5));
    [ORDER, number, down.length].forEach((value, at) => order.setUint8(at, value));
    order.setUint16(3, down.bytes);
    probe.send(order.buffer);
    await sleep(TRAIN_GAP_MS);
    sendTrain(probe, number, trainOf(heard.upKbitS));
    await sleep(TRAIN_GAP_MS);
    onProgress(0.4 + (0.5 * number) / TRAINS);
  }
}

function trainOf(rate) {
  if (rate === null) return FIRST;
  return rate < SLOW_KBIT_S ? SMALL : FULL;
}

function sendTrain(probe, number, { length, bytes }) {
  for (let index = 0; index < length; index++) {
    const message = new Uint8Array(bytes);
    message.set([TRAIN, number, index]);
    probe.send(message);
  }
}

function listen(probe) {
  const heard = { rtts: [], trains: new Map(), upKbitS: null };
  probe.onmessage = ({ data }) => {
    const now = performance.now(), view = new DataView(data), kind = view.getUint8(0);
    if (kind === PONG) heard.rtts.push(now - view.getFloat64(1));
    if (kind === SEEN) heard.upKbitS = view.getFloat64(1);
    if (kind !== TRAIN) return;
    const number = view.getUint8(1);
    if (!heard.trains.has(number)) heard.trains.set(number, []);
    heard.trains.get(number).push({ now, bytes: data.byteLength + HEADERS_BYTES });
  };
  return heard;
}

/** Return the median kbit/s of whole trains: a page reads messages in batches, so gaps between two say nothing. */
function trainRate(trains) {
  const rates = [...trains.values()].filter((train) => train.length >= 4).map((train) => {
    const ms = Math.max(train.at(-1).now - train[0].now, 0.1);
    return train.slice(1).reduce((sum, one) => sum + one.bytes, 0) * 8 / ms;
  }).sort((a, b) => a - b);
  return rates.length ? rates[Math.floor((rates.length - 1) / 2)] : null;
}

async function lossDown(pc) {
  for (const entry of (await pc.getStats()).values()) {
    if (entry.type !== "inbound-rtp") continue;
    const lost = Math.max(entry.packetsLost, 0), expected = lost + entry.packetsReceived;
    return expected ? Math.round(1000 * lost / expected) / 10 : null;
  }
  return null;
}

// All but silent: an exact zero would let a browser stop sending, and then there is nothing to count.
function silence() {
  const context = new AudioContext(), tone = context.createOscillator(), volume = context.createGain();
  const out = context.createMediaStreamDestination();
  volume.gain.value = 0.0001;
  tone.connect(volume).connect(out);
  tone.start();
  context.resume().catch(() => {});
  return { track: out.stream.getTracks()[0], stop: () => context.close() };
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function gathered(pc) {
  return new Promise((resolve) => {
    if (pc.iceGatheringState === "complete") return resolve();
    pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && resolve();
    setTimeout(resolve, 1000); // one slow address must not hold up the rest
  });
}
