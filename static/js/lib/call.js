// One call between two pages, signalled over the page's own Socket.IO connection. Perfect negotiation: the corner is
// polite and gives way, the doctor is not. No words and no elements here: the page shows what onState tells.

const RESTART_AFTER_MS = 2000; // the browser may mend a short gap itself
const NEW_ROUND_AFTER_S = 60; // no media for so long: start over with a new connection
const HEARD_EVERY_S = 5;

/**
 * Join the call. `iceServers` is a list, or a function that resolves with a fresh one (relay passwords expire).
 * `limits` is {fps, max_kbit_s} of the line class, or null for voice only.
 *
 * onRemoteTrack(track, stream): show `stream` in the page's element; after a new start it is another stream.
 * onState({phase, connection, hear, heard, video}) tells the truth as both sides see it:
 *   phase  waiting (nobody there) | connecting | talking | interrupted | ended
 *   hear   {audio, video}: arrives here; heard {audio, video}: the far end says that ours arrives there
 *   video  {wanted, paused}: paused means that the line is too thin and voice goes first
 * onStats({...}) once a second. Returns {setVideo(wanted), setLimits(limits), leave(), connection}.
 */
export function createCall({
  socket, callId, polite, iceServers = [], relayOnly = false, localStream, limits = {},
  onRemoteTrack = () => {}, onState = () => {}, onStats = () => {},
}) {
  const page = crypto.getRandomValues(new Uint32Array(2)).join("-");
  const state = { phase: "waiting", connection: "new", hear: nothing(), heard: nothing(), video: { wanted: true, paused: false } };
  const parts = [];
  let pc, round = 0, farPage = null, isPeerHere = false, isLeft = false;
  let isOffering, ignoresOffer, needsRestart, candidates, restartTimer;
  let unsent = []; // said while the socket was away
  let video = VIDEO_ON, before = null, mediaAt = 0, ticks = 0, shown = "";
  let queue = Promise.resolve(); // messages are taken one after another

  // ---- signalling

  const take = (event, run) => {
    const listener = (document) => {
      if (document?.call_id && document.call_id !== callId) return;
      queue = queue.then(() => !isLeft && run(document ?? {})).catch((error) => console.warn("call", event, error.name));
    };
    socket.on(event, listener);
    parts.push(() => socket.off(event, listener));
  };

  function say(message) {
    const document = { call_id: callId, page, round, ...message };
    if (socket.connected) socket.emit("call:signal", document);
    else unsent.push(document);
  }

  function join() {
    socket.emit("call:join", { call_id: callId, page });
    // A pending offer goes again as it is now; what else was said meanwhile follows.
    const late = unsent.filter((document) => document.round === round && document.description?.type !== "offer");
    unsent = [];
    if (pc.signalingState === "have-local-offer") say({ description: pc.localDescription });
    late.forEach((document) => socket.emit("call:signal", document));
    if (needsRestart) restart();
  }

  async function onPeer({ joined, page: theirs = null }) {
    if (!joined && theirs !== null && theirs !== farPage) return; // the page before a reload, noticed late
    isPeerHere = Boolean(joined);
    if (!isPeerHere) {
      state.heard = nothing();
      return show();
    }
    mediaAt = now();
    if (isReload(theirs)) return newRound();
    if (pc.signalingState === "have-local-offer") say({ description: pc.localDescription });
    else if (!polite && !pc.remoteDescription) await offer();
    if (needsRestart) restart();
    show();
  }

  const isReload = (theirs) => {
    const isOther = farPage !== null && theirs !== null && theirs !== farPage;
    farPage = theirs ?? farPage;
    return isOther;
  };

  async function onSignal({ description, candidate, page: theirs = null, round: theirRound = 0 }) {
    isPeerHere = true;
    const isOther = isReload(theirs);
    if (theirRound > round) connect(theirRound);
    else if (isOther) return newRound();
    if (theirRound < round) return;
    if (description) await takeDescription(description);
    else if (candidate) await takeCandidate(candidate);
  }

  async function takeDescription(description) {
    const isOffer = description.type === "offer";
    ignoresOffer = isOffer && !polite && (isOffering || pc.signalingState !== "stable");
    if (ignoresOffer || (!isOffer && pc.signalingState !== "have-local-offer")) return;
    await pc.setRemoteDescription(description);
    for (const held of candidates.splice(0)) await takeCandidate(held);
    if (!isOffer) return;
    await pc.setLocalDescription();
    say({ description: pc.localDescription });
  }

  async function takeCandidate(candidate) {
    if (!pc.remoteDescription) return candidates.push(candidate);
    // Those of an ignored offer, or of the ICE generation before a restart, do not fit; others come.
    await pc.addIceCandidate(candidate).catch((error) => ignoresOffer || console.warn("call candidate", error.name));
  }

  async function offer() {
    const own = pc;
    try {
      isOffering = true;
      await own.setLocalDescription();
      if (own === pc && own.signalingState === "have-local-offer") say({ description: own.localDescription });
    } catch (error) {
      console.warn("call offer", error.name);
    } finally {
      isOffering = false;
    }
  }

  // ---- connection

  function connect(newNumber) {
    close();
    round = newNumber;
    isOffering = ignoresOffer = needsRestart = false;
    candidates = [];
    before = null;
    mediaAt = now();
    Object.assign(state, { hear: nothing(), heard: nothing(), connection: "new" });
    const own = pc = new RTCPeerConnection({
      iceServers: Array.isArray(iceServers) ? iceServers : [], bundlePolicy: "max-bundle",
      iceTransportPolicy: relayOnly ? "relay" : "all",
    });
    const ifOwn = (run) => (event) => own === pc && !isLeft && run(event);
    own.onicecandidate = ifOwn(({ candidate }) => candidate && say({ candidate }));
    own.onnegotiationneeded = ifOwn(() => isPeerHere && own.remoteDescription && offer()); // the first offer: onPeer
    own.onconnectionstatechange = ifOwn(watchConnection);
    const far = new MediaStream(); // a new one with each connection: an element stays silent on an ended track
    own.ontrack = ifOwn(({ track }) => { far.addTrack(track); onRemoteTrack(track, far); });
    for (const track of localStream?.getTracks() ?? []) own.addTransceiver(track, { streams: [localStream] });
    for (const kind of ["audio", "video"]) {
      if (!localStream?.getTracks().some((track) => track.kind === kind)) own.addTransceiver(kind, { direction: "recvonly" });
    }
    applyVideo();
  }

  function close() {
    clearTimeout(restartTimer);
    pc?.close();
  }

  function newRound() {
    connect(round + 1);
    return offer(); // whoever starts over must tell, polite or not
  }

  // connectionState, because iceConnectionState has been seen to stay away from "failed" for a minute.
  function watchConnection() {
    state.connection = pc.connectionState;
    clearTimeout(restartTimer);
    if (state.connection === "connected") {
      needsRestart = false;
      applyVideo();
    }
    if (state.connection === "disconnected") restartTimer = setTimeout(restart, RESTART_AFTER_MS);
    if (state.connection === "failed") restart();
    show();
  }

  async function restart() {
    const own = pc;
    needsRestart = !socket.connected || !isPeerHere;
    if (needsRestart || isLeft || own.connectionState === "connected") return;
    if (typeof iceServers === "function") await refreshServers(own);
    if (own === pc && own.signalingState !== "closed") own.restartIce(); // asks for negotiation by itself
  }

  const refreshServers = async (own) => {
    try {
      own.setConfiguration({ ...own.getConfiguration(), iceServers: await iceServers() });
    } catch (error) {
      console.warn("call servers", error.name); // the old ones may still do
    }
  };

  // ---- picture, figures, state

  async function applyVideo() {
    const sender = pc.getSenders().find(({ track }) => track?.kind === "video");
    state.video.paused = state.video.wanted && !(video.on && limits);
    if (!sender) return;
    const parameters = sender.getParameters();
    const [encoding] = parameters.encodings ?? [];
    if (!encoding) return; // before the negotiation
    encoding.active = state.video.wanted && video.on && Boolean(limits);
    if (limits?.max_kbit_s) encoding.maxBitrate = limits.max_kbit_s * 1000;
    else delete encoding.maxBitrate;
    if (limits?.fps) encoding.maxFramerate = limits.fps;
    // Voice has no cap: a low one would silently take its error correction away.
    await sender.setParameters(parameters).catch((error) => console.warn("call video", error.name));
  }

  async function tick() {
    const own = pc;
    const figures = summary(await own.getStats());
    if (own !== pc || isLeft) return;
    const change = (key) => (before ? figures[key] - before[key] : 0);
    state.hear = { audio: change("audioSamples") > 0 && change("audioPackets") > 0, video: change("framesDecoded") > 0 };
    if (state.hear.audio || state.hear.video) mediaAt = now();
    onStats({
      framesDecoded: figures.framesDecoded, fps: change("framesDecoded"), rttMs: figures.rttMs, lossPct: figures.lossPct,
      concealedPct: change("audioSamples") ? 100 * change("concealed") / change("audioSamples") : 0,
      inKbitS: change("bytesIn") * 8 / 1000, outKbitS: change("bytesOut") * 8 / 1000, availableKbitS: figures.availableKbitS,
    });
    before = figures;
    if (own.connectionState === "connected") await steer(figures);
    tellHeard();
    if (isPeerHere && socket.connected && now() - mediaAt > NEW_ROUND_AFTER_S) await newRound();
    show();
  }

  async function steer({ availableKbitS, rttMs, lossPct }) {
    const wasOn = video.on;
    video = nextVideo(video, { at_s: now(), kbit_s: availableKbitS, rtt_ms: rttMs, loss_pct: lossPct });
    if (video.on !== wasOn) await applyVideo();
  }

  function tellHeard() {
    const { audio, video: picture } = state.hear;
    const isNew = tellHeard.last !== `${audio}${picture}`;
    if (!socket.connected || !isPeerHere || (!isNew && ++ticks % HEARD_EVERY_S)) return;
    tellHeard.last = `${audio}${picture}`;
    socket.emit("call:heard", { call_id: callId, audio, video: picture });
  }

  function phase() {
    if (isLeft) return "ended";
    const { hear, heard, connection } = state;
    if (connection === "connected" && (hear.audio || hear.video) && (heard.audio || heard.video)) return "talking";
    if (["disconnected", "failed"].includes(connection)) return "interrupted";
    return isPeerHere || connection === "connected" ? "connecting" : "waiting";
  }

  function show() {
    state.phase = phase();
    const text = JSON.stringify(state);
    if (text === shown) return;
    shown = text;
    onState(JSON.parse(text));
  }

  function end() {
    if (isLeft) return;
    isLeft = true;
    clearInterval(ticker);
    parts.forEach((stop) => stop());
    close();
    show();
  }

  connect(0);
  take("call:peer", onPeer);
  take("call:signal", onSignal);
  take("call:heard", ({ audio, video: picture }) => {
    state.heard = { audio: Boolean(audio), video: Boolean(picture) };
    show();
  });
  take("call:ended", end);
  socket.on("connect", join);
  parts.push(() => socket.off("connect", join));
  const ticker = setInterval(() => (queue = queue.then(() => !isLeft && tick()).catch(() => {})), 1000);
  const ready = typeof iceServers === "function" ? refreshServers(pc) : Promise.resolve();
  ready.then(() => !isLeft && socket.connected && join()); // only now, with every handler in place
  show();

  return {
    get connection() { return pc; },
    setVideo(wanted) {
      state.video.wanted = wanted;
      return applyVideo().then(show);
    },
    setLimits(newLimits) {
      limits = newLimits;
      return applyVideo().then(show);
    },
    leave() {
      if (!isLeft && socket.connected) socket.emit("call:leave", { call_id: callId });
      end();
    },
  };
}

const nothing = () => ({ audio: false, video: false });
const now = () => performance.now() / 1000;

function summary(stats) {
  const sum = { framesDecoded: 0, audioSamples: 0, audioPackets: 0, concealed: 0, bytesIn: 0, bytesOut: 0, rttMs: null, lossPct: null, availableKbitS: null };
  stats.forEach((entry) => {
    if (entry.type === "inbound-rtp") {
      sum.bytesIn += entry.bytesReceived ?? 0;
      if (entry.kind === "video") sum.framesDecoded += entry.framesDecoded ?? 0;
      else {
        sum.audioSamples += entry.totalSamplesReceived ?? 0;
        sum.audioPackets += entry.packetsReceived ?? 0;
        sum.concealed += (entry.concealedSamples ?? 0) - (entry.silentConcealedSamples ?? 0);
      }
    } else if (entry.type === "outbound-rtp") sum.bytesOut += entry.bytesSent ?? 0;
    else if (entry.type === "remote-inbound-rtp" && entry.kind === "audio") sum.lossPct = 100 * (entry.fractionLost ?? 0);
    else if (entry.type === "transport") {
      const pair = stats.get(entry.selectedCandidatePairId);
      if (pair?.currentRoundTripTime !== undefined) sum.rttMs = pair.currentRoundTripTime * 1000;
      if (pair?.availableOutgoingBitrate) sum.availableKbitS = pair.availableOutgoingBitrate / 1000;
    }
  });
  return sum;
}

// ---- The picture's switch. The same rule as telemed/consultation/line.py, where the numbers are explained.

const OFF_KBIT_S = 130, OFF_RTT_MS = 900, OFF_AFTER_S = 5;
const ON_KBIT_S = 220, ON_AFTER_S = 20;
const TRIAL_AFTER_S = 30, TRIAL_AFTER_MOST_S = 240, TRIAL_RTT_MS = 400, TRIAL_LOSS_PCT = 5, TRIAL_HELD_S = 60;

export const VIDEO_ON = { on: true, changed_at_s: 0, against_since_s: null, trial_after_s: TRIAL_AFTER_S };

export function nextVideo(video, sample) {
  return video.on ? whileOn(video, sample) : whileOff(video, sample);
}

function whileOn(video, { at_s, kbit_s, rtt_ms }) {
  const isBad = (kbit_s !== null && kbit_s < OFF_KBIT_S) || (rtt_ms ?? 0) > OFF_RTT_MS;
  const isHeld = at_s - video.changed_at_s >= TRIAL_HELD_S;
  if (!isBad) return { ...video, against_since_s: null, trial_after_s: isHeld ? TRIAL_AFTER_S : video.trial_after_s };
  const since = video.against_since_s ?? at_s;
  if (at_s - since < OFF_AFTER_S) return { ...video, against_since_s: since };
  return { on: false, changed_at_s: at_s, against_since_s: null, trial_after_s: video.trial_after_s };
}

function whileOff(video, { at_s, kbit_s, rtt_ms, loss_pct }) {
  const isRich = kbit_s !== null && kbit_s > ON_KBIT_S && (rtt_ms ?? 0) <= OFF_RTT_MS;
  const since = isRich ? video.against_since_s ?? at_s : null;
  if (since !== null && at_s - since >= ON_AFTER_S) return { ...VIDEO_ON, changed_at_s: at_s };
  const isQuiet = rtt_ms !== null && rtt_ms < TRIAL_RTT_MS && loss_pct !== null && loss_pct < TRIAL_LOSS_PCT;
  if (!isQuiet || at_s - video.changed_at_s < video.trial_after_s) return { ...video, against_since_s: since };
  return { on: true, changed_at_s: at_s, against_since_s: null, trial_after_s: Math.min(video.trial_after_s * 2, TRIAL_AFTER_MOST_S) };
}
