// One call between two pages, signalled over the page's own Socket.IO connection. The doctor's side offers, the corner's
// (`polite`) asks for offers and answers. No words and no elements here: the page shows what onState tells.

import { openHandshake } from "./call-handshake.js";
import { begin, force, next, outgoing, STEPS } from "./call-ladder.js";
import { exchangeTrack, openLink } from "./call-link.js";
import { applyOutgoing, mendVoice } from "./call-outgoing.js";
import { recordQuality } from "./call-quality.js";
import { NEW_ROUND_AFTER_S } from "./call-reconnection.js";
import { openSignals } from "./call-signal.js";
import { stateOf } from "./call-state.js";

const TICK_MS = 1000, ANSWER_WITHIN_MS = 8000;
const OVER = ["no_call_now", "not_found"];
const DEAF = { onRemoteTrack() {}, onState() {}, onStats() {}, onCode() {}, onPhotos() {}, nextId: () => crypto.randomUUID() };

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
 * Returns {connection, photos, setVideo(wanted), setStep(step, by), exchange(kind, track), takeOver(stream), leave(), depart()}.
 */
export const createCall = (options) => new Call({ ...DEAF, iceServers: [], ...options });

class Call {
  #options; #signals; #handshake; #quality; #link; #ticker; #servers; #stream;
  #page = crypto.getRandomValues(new Uint32Array(2)).join("-");
  #presence = { isPeerHere: false, hasFarLeft: false, isLeft: false, isElsewhere: false };
  #round = 0; #farPage = null; #far = { step: null, reason: null };
  #ladder; #wanted = true; #shown = ""; #mayShow = false; #applied = Promise.resolve();
  #startedAt = now(); #mediaAt = now(); #setUpMs = null; #cutsBefore = 0;

  constructor(options) {
    this.#options = options;
    this.#servers = Array.isArray(options.iceServers) ? options.iceServers : [];
    this.#stream = new MediaStream(options.localStream?.getTracks() ?? []);
    this.#ladder = begin(options.lineClass ?? null);
    const { socket, callId, nextId } = options;
    this.#signals = openSignals({ socket, callId, stamp: () => ({ page: this.#page, round: this.#round }), onBack: () => this.#join() });
    this.#handshake = openHandshake({ tell: (hear) => this.#tellHeard(hear), tellDirectly: (hear) => this.#link.tellHeard(hear) });
    this.#quality = recordQuality({ send: (record) => this.#sendMinute(record), nextId });
    this.#connect(0, !options.polite);
    this.#listen();
    this.#ticker = setInterval(() => this.#presence.isElsewhere || this.#signals.inTurn("tick", () => this.#tick()), TICK_MS);
    this.#renew(this.connection).then(() => this.#join()); // only now, with every handler in place
    this.#show();
  }

  get connection() { return this.#link.connection; }
  get photos() { return this.#link.photos; }
  /** What of ours arrives at the far end, in kbit/s; null while it has not said so. */
  get arrivesKbitS() { return this.#handshake.arrivesKbitS; }

  async setVideo(isWanted) {
    this.#wanted = isWanted;
    await this.#apply();
    this.#show();
  }

  async setStep(step, by) {
    await this.#climb(force(this.#ladder, step, by), true);
    this.#show();
  }

  /** Send another camera or microphone; null when it was unplugged. */
  async exchange(kind, track) {
    this.#stream.getTracks().filter((old) => old.kind === kind).forEach((old) => this.#stream.removeTrack(old));
    if (track) this.#stream.addTrack(track);
    await exchangeTrack(this.connection, kind, track);
    await this.#apply();
  }

  /** Go on here, with the tracks of `stream`: those of before ended when the other device took over. */
  takeOver(stream) {
    this.#presence.isElsewhere = false;
    this.#stream = new MediaStream(stream?.getTracks() ?? this.#stream.getTracks());
    this.#connect(this.#round, !this.#options.polite);
    this.#join({ take_over: true });
    this.#show();
  }

  leave() {
    if (this.#presence.isLeft) return;
    this.#signals.tell("call:leave");
    this.#end();
  }

  /** The page goes, perhaps to come back at once: say so, or it looks like a cut of the line. */
  depart() {
    if (this.#presence.isLeft || this.#presence.isElsewhere) return;
    this.#quality.close();
    this.#signals.tell("call:leave");
  }

  /** How often the line was cut. */
  get cuts() { return this.#cutsBefore + this.#link.reconnection.cuts; }

  // ---- who is there

  #listen() {
    const take = (event, run) => this.#signals.take(event, (news) => this.#presence.isElsewhere || run(news));
    take("call:peer", (news) => this.#onPeer(news));
    take("call:signal", (news) => this.#onSignal(news));
    take("call:step", (news) => this.#onStep(news));
    take("call:code", (news) => news.round === this.#round && news.page === this.#farPage && this.#link.code.take(news));
    take("call:heard", (news) => { this.#handshake.take(news); this.#show(); });
    take("call:elsewhere", () => this.#goElsewhere());
    take("call:ended", () => this.leave());
  }

  #join(more = {}) {
    if (this.#presence.isLeft || (this.#presence.isElsewhere && !more.take_over)) return;
    const { device } = this.#options;
    this.#signals.tell("call:join", { page: this.#page, ...(device ? { device } : {}), ...more }, (answer) => this.#joined(answer));
    this.#link.negotiation.resend(); // as it is now; what else was said meanwhile follows
    this.#signals.sayLate(this.#round);
    this.#link.reconnection.retry();
  }

  #joined(answer) {
    if (answer?.error === "call_elsewhere") this.#goElsewhere();
    if (OVER.includes(answer?.error)) this.#end();
  }

  async #onPeer({ joined, page: theirs = null, by_choice: isChosen = false }) {
    if (!joined && theirs !== null && theirs !== this.#farPage) return; // the page before a reload, noticed late
    Object.assign(this.#presence, { isPeerHere: Boolean(joined), hasFarLeft: !joined && isChosen });
    if (joined) await this.#meet(theirs);
    else this.#handshake.lose();
    this.#show();
  }

  async #meet(theirs) {
    this.#mediaAt = now();
    if (this.#isReload(theirs)) return this.#newRound();
    const { negotiation, reconnection, code } = this.#link;
    if (!negotiation.resend() && !this.#options.polite && !this.connection.remoteDescription) await negotiation.offer();
    reconnection.retry();
    code.resend();
    this.#tellStep();
  }

  #isReload(theirs) {
    const isOther = this.#farPage !== null && theirs !== null && theirs !== this.#farPage;
    this.#farPage = theirs ?? this.#farPage;
    return isOther;
  }

  async #onSignal({ description, candidate, ask, page: theirs = null, round: theirRound = 0 }) {
    Object.assign(this.#presence, { isPeerHere: true, hasFarLeft: false });
    const isOther = this.#isReload(theirs);
    if (theirRound > this.#round) this.#connect(theirRound, !this.#options.polite);
    else if (isOther) return this.#newRound();
    if (theirRound < this.#round) return;
    if (description) await this.#link.negotiation.takeDescription(description).then(() => this.#apply());
    else if (candidate) await this.#link.negotiation.takeCandidate(candidate);
    else if (ask && !this.#options.polite) await this.#link.negotiation.offer(ask);
  }

  #goElsewhere() {
    this.#presence.isElsewhere = true;
    this.#link.close();
    this.#show();
  }

  #end() {
    if (this.#presence.isLeft) return;
    this.#presence.isLeft = true;
    clearInterval(this.#ticker);
    this.#quality.close();
    this.#signals.close();
    this.#link.close();
    this.#show();
  }

  // ---- connection

  #connect(newNumber, isFirst) {
    this.#cutsBefore += this.#link?.reconnection.cuts ?? 0;
    this.#link?.close();
    this.#round = newNumber;
    this.#mediaAt = now();
    this.#handshake.reset();
    this.#mayShow = false;
    this.#applied = Promise.resolve(); // what waits for a closed connection may wait for ever
    const { polite, relayOnly, certificates, onPhotos } = this.#options;
    this.#link = openLink({
      polite, relayOnly, certificates, isFirst, stream: this.#stream, iceServers: this.#servers, say: this.#signals.say,
      tell: (message) => this.#signals.tell("call:code", { page: this.#page, round: newNumber, ...message }),
      mend: (description) => mendVoice(description, this.#ladder.spare.on),
      maySignal: () => this.#signals.isConnected && this.#presence.isPeerHere, isExpected: () => this.#presence.hasFarLeft,
      renew: (connection) => this.#renew(connection), on: this.#linkEvents(),
    });
    onPhotos(this.#link.photos);
    this.#apply();
  }

  #linkEvents() {
    const remote = new MediaStream(); // a new one with each connection: an element stays silent on an ended track
    return {
      onTrack: (track) => { remote.addTrack(track); this.#options.onRemoteTrack(track, remote); },
      onState: (state) => this.#onConnection(state),
      onHear: () => this.#allowPicture(true),
      // The first offer is the doctor's, when both are there.
      onNegotiation: () => this.#presence.isPeerHere && this.connection.remoteDescription && this.#link.negotiation.offer(),
      onCode: this.#options.onCode,
      onHeard: (heard) => { this.#handshake.take(heard, { isDirect: true }); this.#show(); },
    };
  }

  #onConnection(state) {
    if (["disconnected", "failed"].includes(state)) this.#allowPicture(false); // after the cut it begins anew and small
    this.#show();
  }

  #allowPicture(mayShow) {
    this.#mayShow = mayShow;
    return this.#apply();
  }

  #newRound() {
    this.#connect(this.#round + 1, !this.#options.polite);
    return this.#link.negotiation.offer(); // whoever starts over must tell: the doctor offers, the corner asks for it
  }

  async #renew(connection) {
    if (typeof this.#options.iceServers !== "function") return;
    try {
      this.#servers = await this.#options.iceServers();
      connection.setConfiguration({ ...connection.getConfiguration(), iceServers: this.#servers });
    } catch (error) {
      console.warn("call servers", error.name); // the old ones may still do
    }
  }

  // ---- ladder

  /** One after another, each with what holds by then: parameters that were read before another change are refused. */
  #apply() {
    return (this.#applied = this.#applied.then(() => applyOutgoing(this.connection, outgoing(this.#ladder), this.#wanted && this.#mayShow)));
  }

  async #climb(changed, isForced = false) {
    const before = this.#ladder;
    this.#ladder = changed;
    const isSame = before.step === changed.step && before.forced === changed.forced;
    const isSpareSame = before.spare.on === changed.spare.on;
    if (isSame && isSpareSame) return;
    await this.#apply();
    // Pauses go unsent only after a new description: its five kilobytes find room once the voice has become small.
    if (!isSpareSame && this.#presence.isPeerHere) await this.#link.negotiation.offer();
    if (!isSame) this.#tellStep(isForced);
    this.#show();
  }

  #tellStep(isForced = false) {
    const kind = isForced && !this.#ladder.forced ? "automatic" : this.#ladder.step;
    if (this.#presence.isPeerHere || isForced) this.#signals.tell("call:step", { kind, reason: this.#ladder.reason });
  }

  /** A step that a person chose holds for both sides; one that a line forced is that side's own. */
  async #onStep({ kind, reason, role }) {
    if (kind !== "automatic" && !STEPS.includes(kind)) return; // a word between people: say it again, the same code
    if (kind !== "automatic") this.#far = { step: kind, reason };
    const chosen = kind === "automatic" ? null : kind;
    if (reason === role && this.#ladder.forced !== chosen) await this.#climb(force(this.#ladder, chosen, role));
    this.#show();
  }

  // ---- each second

  async #tick() {
    const own = this.#link;
    const figures = await own.read();
    if (own !== this.#link || this.#presence.isLeft) return;
    const hasMedia = figures.hear.audio || figures.hear.video;
    if (hasMedia) this.#mediaAt = now();
    this.#signals.setPatience(hasMedia);
    this.#handshake.notice(figures.hear, figures.heardLossPct, figures.arrivedKbitS);
    this.#options.onStats(figures);
    if (own.connection.connectionState === "connected") await this.#steer(figures);
    if (this.#isDead()) await this.#newRound();
    this.#show();
  }

  #isDead() {
    const isSilent = now() - this.#mediaAt > NEW_ROUND_AFTER_S && this.#ladder.step !== "telephone";
    return isSilent && this.#presence.isPeerHere && this.#signals.isConnected;
  }

  async #steer({ hear, ...figures }) {
    if (this.#setUpMs === null && (hear.audio || hear.video)) this.#setUpMs = (now() - this.#startedAt) * 1000;
    this.#quality.add(figures, { step: this.#ladder.step, cuts: this.cuts, setUpMs: this.#setUpMs });
    const { availableKbitS: kbit_s, rttMs: rtt_ms, heardLossPct: heard_loss_pct } = figures;
    const { lossPct, arrivesKbitS: arrives_kbit_s } = this.#handshake;
    const sample = { at_s: now(), kbit_s, rtt_ms, loss_pct: lossPct ?? figures.lossPct, heard_loss_pct, arrives_kbit_s };
    await this.#climb(next(this.#ladder, sample));
  }

  #tellHeard(hear) {
    if (!this.#presence.isPeerHere || !this.#signals.isConnected) return false;
    this.#signals.tell("call:heard", hear);
    return true;
  }

  #sendMinute(record) {
    const { socket, callId } = this.#options;
    if (!socket.connected) return Promise.resolve(false);
    return socket.timeout(ANSWER_WITHIN_MS).emitWithAck("call:minute", { call_id: callId, ...record }).then(() => true);
  }

  #show() {
    const state = stateOf({
      presence: this.#presence, connection: this.connection.connectionState, handshake: this.#handshake, ladder: this.#ladder,
      wanted: this.#wanted, far: this.#far,
    });
    const text = JSON.stringify(state);
    if (text === this.#shown) return;
    this.#shown = text;
    this.#options.onState(state);
  }
}

const now = () => performance.now() / 1000;
