// One call between two pages, signalled over the page's own Socket.IO connection. The corner is polite and gives way,
// the doctor is not. No words and no elements here: the page shows what onState tells.

import { nothing, openHandshake } from "./call-handshake.js";
import { begin, force, next, outgoing } from "./call-ladder.js";
import { exchangeTrack, openLink } from "./call-link.js";
import { applyOutgoing, mendVoice } from "./call-outgoing.js";
import { recordQuality } from "./call-quality.js";
import { NEW_ROUND_AFTER_S } from "./call-reconnection.js";
import { openSignals } from "./call-signal.js";

/**
 * Join the call. `iceServers` is a list, or a function that resolves with a fresh one (relay passwords expire).
 * `lineClass` is the measured class of the corner's line; `device` names this tab, so that another one is noticed.
 *
 * onRemoteTrack(track, stream): show `stream` in the page's element; after a new start it is another stream.
 * onState({phase, connection, hear, heard, video, step, reason, forced, far}) tells the truth as both sides see it:
 *   phase  waiting (nobody there) | connecting | talking | interrupted | elsewhere (open on another device) | ended
 *   hear   {audio, video}: arrives here; heard {audio, video}: the far end says that ours arrives there
 *   step, reason, forced: this side's step of the ladder; far {step, reason}: the other side's
 *   video  {wanted, paused}: paused means that the line is too thin and voice goes first
 * onStats({...}) once a second; onCode({state, digits, theirs}): see call-code.js; onPhotos(channel) for each connection.
 * Returns {connection, photos, setVideo(wanted), setStep(step), exchange(kind, track), takeOver(), leave()}.
 */
export function createCall(options) {
  const { socket, callId, polite, iceServers = [], lineClass = null, device, localStream } = options;
  const { onRemoteTrack = () => {}, onState = () => {}, onStats = () => {}, onCode = () => {}, onPhotos = () => {} } = options;
  const page = crypto.getRandomValues(new Uint32Array(2)).join("-");
  const startedAt = now();
  let servers = Array.isArray(iceServers) ? iceServers : [];
  let link, round = 0, farPage = null, isPeerHere = false, isLeft = false, isElsewhere = false;
  let ladder = begin(lineClass), wanted = true, far = { step: null, reason: null };
  let mediaAt = now(), setUpMs = null, cutsBefore = 0, shown = "";
  const stream = new MediaStream(localStream?.getTracks() ?? []);

  const signals = openSignals({ socket, callId, stamp: () => ({ page, round }), onBack: join });
  const handshake = openHandshake((hear) => {
    if (!isPeerHere || !signals.isConnected) return false;
    signals.tell("call:heard", hear);
    return true;
  });
  const quality = recordQuality({ send: sendMinute, nextId: options.nextId ?? (() => crypto.randomUUID()) });

  // ---- who is there

  function join(_event, more = {}) {
    if (isLeft || (isElsewhere && !more.take_over)) return;
    signals.tell("call:join", { page, ...(device ? { device } : {}), ...more }, joined);
    link.negotiation.resend(); // as it is now; what else was said meanwhile follows
    signals.sayLate(round);
    link.reconnection.retry();
  }

  function joined(answer) {
    if (answer?.error === "call_elsewhere") goElsewhere();
    if (["no_call_now", "not_found"].includes(answer?.error)) end();
  }

  async function onPeer({ joined: isHere, page: theirs = null }) {
    if (!isHere && theirs !== null && theirs !== farPage) return; // the page before a reload, noticed late
    isPeerHere = Boolean(isHere);
    if (!isPeerHere) {
      handshake.lose();
      return show();
    }
    mediaAt = now();
    if (isReload(theirs)) return newRound();
    if (!link.negotiation.resend() && !polite && !link.connection.remoteDescription) await link.negotiation.offer();
    link.reconnection.retry();
    link.code.resend();
    tellStep();
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
    if (theirRound > round) connect(theirRound, false);
    else if (isOther) return newRound();
    if (theirRound < round) return;
    if (description) await link.negotiation.takeDescription(description);
    else if (candidate) await link.negotiation.takeCandidate(candidate);
  }

  // ---- connection

  function connect(newNumber, isFirst) {
    cutsBefore += link?.reconnection.cuts ?? 0;
    link?.close();
    round = newNumber;
    mediaAt = now();
    handshake.reset();
    const remote = new MediaStream(); // a new one with each connection: an element stays silent on an ended track
    const own = link = openLink({
      polite, stream, iceServers: servers, relayOnly: options.relayOnly, certificates: options.certificates, isFirst,
      say: signals.say, tell: (message) => signals.tell("call:code", { page, round: newNumber, ...message }),
      mend: (description) => mendVoice(description, ladder.spare.on),
      maySignal: () => signals.isConnected && isPeerHere, renew,
      on: {
        onTrack: (track) => { remote.addTrack(track); onRemoteTrack(track, remote); },
        onState: (state) => { if (state === "connected") apply(); show(); },
        onNegotiation: () => isPeerHere && own.connection.remoteDescription && own.negotiation.offer(), // the first: onPeer
        onCode,
      },
    });
    onPhotos(link.photos);
    apply();
  }

  function newRound() {
    connect(round + 1, true);
    return link.negotiation.offer(); // whoever starts over must tell, polite or not
  }

  async function renew(connection) {
    if (typeof iceServers !== "function") return;
    try {
      servers = await iceServers();
      connection?.setConfiguration({ ...connection.getConfiguration(), iceServers: servers });
    } catch (error) {
      console.warn("call servers", error.name); // the old ones may still do
    }
  }

  // ---- ladder, figures, state

  const apply = () => applyOutgoing(link.connection, outgoing(ladder), wanted);

  async function climb(changed, isForced = false) {
    const before = ladder;
    ladder = changed;
    if (before.spare.on !== ladder.spare.on && link.connection.signalingState === "stable" && isPeerHere) await link.negotiation.offer();
    if (before.step === ladder.step && before.forced === ladder.forced) return;
    await apply();
    tellStep(isForced);
    show();
  }

  const tellStep = (isForced = false) => {
    const kind = isForced && !ladder.forced ? "automatic" : ladder.step;
    if (isPeerHere || isForced) signals.tell("call:step", { kind, reason: ladder.reason });
  };

  /** A step that a person chose holds for both sides; one that a line forced is that side's own. */
  function onStep({ kind, reason, role }) {
    const isChosen = reason === role;
    if (kind !== "automatic") far = { step: kind, reason };
    const mine = kind === "automatic" ? null : kind;
    if (isChosen && ladder.forced !== mine) return climb(force(ladder, mine, role)).then(show);
    show();
  }

  async function tick() {
    const own = link;
    const figures = await own.read();
    if (own !== link || isLeft) return;
    if (figures.hear.audio || figures.hear.video) mediaAt = now();
    handshake.notice(figures.hear);
    onStats(figures);
    if (own.connection.connectionState === "connected") await steer(figures);
    if (isPeerHere && signals.isConnected && now() - mediaAt > NEW_ROUND_AFTER_S && ladder.step !== "telephone") await newRound();
    show();
  }

  async function steer(figures) {
    if (setUpMs === null && (figures.hear.audio || figures.hear.video)) setUpMs = (now() - startedAt) * 1000;
    quality.add(figures, { step: ladder.step, cuts: cutsBefore + link.reconnection.cuts, setUpMs });
    await climb(next(ladder, { at_s: now(), kbit_s: figures.availableKbitS, rtt_ms: figures.rttMs, loss_pct: figures.lossPct }));
  }

  function sendMinute(record) {
    if (!socket.connected) return Promise.resolve(false);
    return new Promise((resolve) => socket.timeout(8000).emit("call:minute", { call_id: callId, ...record }, (error) => resolve(!error)));
  }

  function phase() {
    if (isElsewhere) return "elsewhere";
    if (isLeft) return "ended";
    const { hear, heard } = handshake, state = link.connection.connectionState;
    if (state === "connected" && (hear.audio || hear.video) && (heard.audio || heard.video)) return "talking";
    if (["disconnected", "failed"].includes(state)) return "interrupted";
    return isPeerHere || state === "connected" ? "connecting" : "waiting";
  }

  function show() {
    const { step, reason, forced } = ladder;
    const state = {
      phase: phase(), connection: link.connection.connectionState, hear: handshake.hear ?? nothing(), heard: handshake.heard,
      video: { wanted, paused: wanted && !outgoing(ladder).video }, step, reason, forced, far, isPeerHere,
    };
    const text = JSON.stringify(state);
    if (text === shown) return;
    shown = text;
    onState(state);
  }

  function goElsewhere() {
    isElsewhere = true;
    link.close();
    show();
  }

  function end() {
    if (isLeft) return;
    isLeft = true;
    clearInterval(ticker);
    quality.close();
    signals.close();
    link.close();
    show();
  }

  connect(0, !polite);
  signals.take("call:peer", (news) => isElsewhere || onPeer(news));
  signals.take("call:signal", (news) => isElsewhere || onSignal(news));
  signals.take("call:step", onStep);
  signals.take("call:code", (news) => { if (news.round === round && news.page === farPage) return link.code.take(news); });
  signals.take("call:heard", (news) => { handshake.take(news); show(); });
  signals.take("call:elsewhere", goElsewhere);
  signals.take("call:ended", end);
  const ticker = setInterval(() => isElsewhere || signals.inTurn("tick", tick), 1000);
  renew(link.connection).then(() => join()); // only now, with every handler in place
  show();

  return {
    get connection() { return link.connection; },
    get photos() { return link.photos; },
    setVideo(isWanted) {
      wanted = isWanted;
      return apply().then(show);
    },
    setStep: (step, by) => climb(force(ladder, step, by), true).then(show),
    /** Send another camera or microphone; null when it was unplugged. */
    async exchange(kind, track) {
      stream.getTracks().filter((old) => old.kind === kind).forEach((old) => stream.removeTrack(old));
      if (track) stream.addTrack(track);
      await exchangeTrack(link.connection, kind, track);
      await apply();
    },
    takeOver() {
      isElsewhere = false;
      connect(round, !polite);
      join(null, { take_over: true });
      show();
    },
    leave() {
      if (isLeft) return;
      signals.tell("call:leave");
      end();
    },
  };
}

const now = () => performance.now() / 1000;
