// The page's end of a line check: what can this line carry? Needs no camera. The server's end is media_check.py.

const PING = 1, PONG = 2, TRAIN = 3;
const MESSAGE_BYTES = 1100;
const HEADERS_BYTES = 68; // IP, UDP, DTLS and SCTP around each message
const PINGS = 20, PING_EVERY_MS = 45;
const TRAINS = 5, TRAIN_LONG = 10, TRAIN_SHORT = 5, TRAIN_GAP_MS = 210;
const SLOW_KBIT_S = 200; // a long train would overflow the queue of a slow line and show as loss
const VOICE_BIT_S = 8000; // nobody listens: the packets are counted, and a thin line has no room for more
const CONNECT_MS = 7000; // about seven round trips at 600 ms, and one repeat
const GIVE_UP_MS = 18_000; // the server's end dies after 20 s

/**
 * Measure the line. `answer(sdp)` takes our offer to the server and resolves with its answer.
 * Resolves with {rtt_ms, up_kbit_s, down_kbit_s, loss_up_pct, loss_down_pct, line_class, took_ms};
 * rejects with an Error "line_check_failed" when no connection comes about or the time is up.
 */
export async function checkLine(options) {
  try {
    return await once(options);
  } catch (error) {
    if (error.message !== "not_connected") throw error;
    return once(options); // on a lossy line the server's end may wait for ever for a lost part of the greeting
  }
}

async function once({ answer, iceServers = [], onProgress = () => {} }) {
  const pc = new RTCPeerConnection({ iceServers });
  const voice = silence();
  let timer;
  const tooLate = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error("line_check_failed")), GIVE_UP_MS); });
  try {
    return await Promise.race([measure(pc, voice.track, answer, onProgress), tooLate]);
  } finally {
    clearTimeout(timer);
    pc.close();
    voice.stop();
  }
}

async function measure(pc, track, answer, onProgress) {
  pc.addTransceiver(track, { sendEncodings: [{ maxBitrate: VOICE_BIT_S }] });
  const control = pc.createDataChannel("control");
  const probe = pc.createDataChannel("probe", { ordered: false, maxRetransmits: 0 });
  probe.binaryType = "arraybuffer";
  const heard = listen(control, probe);
  await pc.setLocalDescription();
  await gathered(pc);
  await pc.setRemoteDescription({ type: "answer", sdp: await answer(pc.localDescription.sdp) });
  await Promise.race([Promise.all([opened(control), opened(probe)]), tooLong()]);
  onProgress(0.3);
  for (let i = 0; i < PINGS; i++) {
    ping(probe);
    await sleep(PING_EVERY_MS);
  }
  const rttMs = heard.rtts.length ? Math.min(...heard.rtts) : null;
  for (let number = 0; number < TRAINS; number++) {
    const isSlow = (rate) => rate !== null && rate < SLOW_KBIT_S;
    const length = (rate) => (isSlow(rate) ? TRAIN_SHORT : TRAIN_LONG);
    control.send(JSON.stringify({ op: "train", number, length: length(trainRate(heard.trains)) }));
    await sleep(TRAIN_GAP_MS);
    sendTrain(probe, number, length(heard.upKbitS));
    await sleep(TRAIN_GAP_MS);
    onProgress(0.4 + (0.5 * number) / TRAINS);
  }
  await sleep(400 + (rttMs ?? 600)); // the last trains are still on their way
  control.send(JSON.stringify({ op: "report", rtt_ms: rttMs, down_kbit_s: trainRate(heard.trains), loss_down_pct: await lossDown(pc) }));
  const result = await heard.result;
  onProgress(1);
  return result;
}

function listen(control, probe) {
  const heard = { rtts: [], trains: new Map(), upKbitS: null };
  probe.onmessage = ({ data }) => {
    const now = performance.now(), view = new DataView(data);
    if (view.getUint8(0) === PONG) return heard.rtts.push(now - view.getFloat64(1));
    if (view.getUint8(0) !== TRAIN) return;
    const number = view.getUint8(1);
    if (!heard.trains.has(number)) heard.trains.set(number, []);
    heard.trains.get(number).push({ now, bytes: data.byteLength + HEADERS_BYTES });
  };
  heard.result = new Promise((resolve) => {
    control.onmessage = ({ data }) => {
      const { op, ...rest } = JSON.parse(data);
      if (op === "seen") heard.upKbitS = rest.up_kbit_s;
      if (op === "result") resolve(rest);
    };
  });
  return heard;
}

/** Return the median kbit/s of whole trains: a page reads messages in batches, so gaps between two say nothing. */
function trainRate(trains) {
  const rates = [...trains.values()].filter((train) => train.length >= 4).map((train) => {
    const ms = Math.max(train.at(-1).now - train[0].now, 0.1);
    return train.slice(1).reduce((sum, one) => sum + one.bytes, 0) * 8 / ms;
  }).sort((a, b) => a - b);
  return rates.length ? rates[Math.floor(rates.length / 2)] : null;
}

async function lossDown(pc) {
  for (const entry of (await pc.getStats()).values()) {
    if (entry.type !== "inbound-rtp") continue;
    const lost = Math.max(entry.packetsLost, 0), expected = lost + entry.packetsReceived;
    return expected ? Math.round(1000 * lost / expected) / 10 : null;
  }
  return null;
}

function ping(probe) {
  const view = new DataView(new ArrayBuffer(60));
  view.setUint8(0, PING);
  view.setFloat64(1, performance.now());
  probe.send(view.buffer);
}

function sendTrain(probe, number, length) {
  for (let index = 0; index < length; index++) {
    const message = new Uint8Array(MESSAGE_BYTES);
    message.set([TRAIN, number, index]);
    probe.send(message);
  }
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
const tooLong = () => sleep(CONNECT_MS).then(() => { throw new Error("not_connected"); });
const opened = (channel) => new Promise((resolve) => (channel.readyState === "open" ? resolve() : (channel.onopen = resolve)));

function gathered(pc) {
  return new Promise((resolve) => {
    if (pc.iceGatheringState === "complete") return resolve();
    pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && resolve();
    setTimeout(resolve, 1000); // one slow address must not hold up the rest
  });
}
