// The steps of one talk: video, thin video, voice with photographs, telephone. Pure: the state and a second's sample in,
// the next state out. When the picture goes and comes back is the rule of telemed/consultation/line.py, where the
// numbers are explained; the test's cases hold both to it.

export const STEPS = ["video", "thin_video", "voice_photos", "telephone"];
const OFF_KBIT_S = 130, OFF_RTT_MS = 900, OFF_AFTER_S = 5, OFF_LOSS_PCT = 20, OFF_HEARD_LOSS_PCT = 30, OFF_SOON_S = 1;
const ON_KBIT_S = 220, ON_AFTER_S = 20;
// Firefox ESR 140 has no estimate of what the line would carry (kbit_s is null for the whole talk). Only a full line then
// shows its rate: what arrives at the far end. Where nothing waits and little is lost the line may carry more: a trial.
const FULL_LOSS_PCT = 10; // where more is lost a browser sends less and less
const TRIAL_AFTER_S = 30, TRIAL_AFTER_MOST_S = 240, TRIAL_RTT_MS = 400, TRIAL_RTT_MORE_MS = 150, TRIAL_LOSS_PCT = 5, TRIAL_HELD_S = 60;
// A thin picture may rise to 160 kbit/s; a browser's estimate stays within 1.5 times of what is sent, so 260 with voice
// is as high as it can climb and the way back up must lie below that.
const THIN_KBIT_S = 220, FULL_KBIT_S = 250, THIN_MOST_KBIT_S = 160, THIN_FPS = 10, THIN_HEIGHT = 240, FULL_FPS = 25;
// A line of under 60 kbit/s does not carry the voice as it is (54 with its headers): it loses the sixth part and more
// although the picture is off, or its queue stays full. There 12 kbit/s with pauses unsent is what still fits. The
// browser's estimate cannot tell such a line: with voice alone it never rises above the voice's own rate.
const SPARE_LOSS_PCT = 15, SPARE_RTT_MS = 1500, SPARE_AFTER_S = 4, SPARE_BIT_S = 12_000;
const SPARE_OVER_S = 60, SPARE_OVER_MOST_S = 480; // each return to full voice that fails doubles the wait

/** Return the ladder at the start of a talk over a line of this class; unknown counts as good. */
export function begin(lineClass = null) {
  const isPicture = !["voice_photos", "telephone"].includes(lineClass);
  const isThin = lineClass === "thin";
  return settled({
    video: isPicture ? VIDEO_ON : { ...VIDEO_ON, on: false }, thin: { on: isThin, since_s: null, changed_at_s: 0, over_s: TRIAL_AFTER_S },
    spare: { on: lineClass === "telephone", since_s: null, over_s: SPARE_OVER_S }, forced: null, step: "video", reason: "start",
  }, isPicture && !isThin ? "start" : "line_thin");
}

/** Return the ladder after one second's sample {at_s, kbit_s, rtt_ms, loss_pct, heard_loss_pct, arrives_kbit_s}; what is unknown is null. */
export function next(ladder, sample) {
  // A line that hardly carries the voice gets no trial of the picture: each costs seconds of the voice. The wait begins
  // when the voice needs no sparing any more.
  const seen = withLeastRtt(ladder.video, sample);
  const video = ladder.spare.on ? { ...seen, changed_at_s: sample.at_s, against_since_s: null } : nextVideo(seen, sample);
  const thin = nextThin(ladder.thin, video, sample);
  const spare = nextSpare(ladder.spare, video, sample);
  return settled({ ...ladder, video, thin, spare }, why(ladder, seen, sample));
}

/** Return the ladder at a step that a person chose (`by` is doctor or clerk); "automatic" gives it back to the line. */
export function force(ladder, step, by) {
  return settled({ ...ladder, forced: STEPS.includes(step) ? step : null }, by);
}

/** Return what may go out at this step. `voice` null: nothing at all, the talk goes on by telephone. */
export function outgoing({ step, spare }) {
  const voice = step === "telephone" ? null : { max_bit_s: spare.on ? SPARE_BIT_S : null, dtx: spare.on };
  if (step === "video") return { video: { fps: FULL_FPS, max_kbit_s: null, height: null }, voice };
  if (step === "thin_video") return { video: { fps: THIN_FPS, max_kbit_s: THIN_MOST_KBIT_S, height: THIN_HEIGHT }, voice };
  return { video: null, voice };
}

function settled(ladder, reason) {
  const step = ladder.forced ?? (!ladder.video.on ? "voice_photos" : ladder.thin.on ? "thin_video" : "video");
  return step === ladder.step ? { ...ladder, step } : { ...ladder, step, reason };
}

function why(ladder, video, sample) {
  if ((sample.rtt_ms ?? 0) > OFF_RTT_MS) return "line_slow";
  const isThin = isUnder(THIN_KBIT_S, video, sample) || (sample.heard_loss_pct ?? 0) > OFF_HEARD_LOSS_PCT;
  return isThin && ladder.video.on ? "line_thin" : "line_better";
}

// With an estimate the small picture stays until it says that there is room; without one a quiet line gets a trial of the
// large one, and each that fails doubles the wait. A picture that was off comes back small.
function nextThin(thin, video, sample) {
  const { at_s, kbit_s = null } = sample, isTrial = kbit_s === null;
  if (isTrial && !video.on) return { ...thin, on: true, since_s: null, changed_at_s: at_s };
  const isAgainst = !thin.on ? isUnder(THIN_KBIT_S, video, sample) : isTrial ? isQuiet(video, sample) : kbit_s > FULL_KBIT_S;
  const changed = held(thin, at_s, isAgainst, !thin.on ? OFF_AFTER_S : isTrial ? thin.over_s : ON_AFTER_S);
  if (changed.on === thin.on) return { ...thin, ...changed, over_s: hasHeld(thin, at_s) ? TRIAL_AFTER_S : thin.over_s };
  const over_s = thin.on && isTrial ? Math.min(thin.over_s * 2, TRIAL_AFTER_MOST_S) : thin.over_s;
  return { ...changed, changed_at_s: at_s, over_s };
}

const hasHeld = ({ on, changed_at_s }, at_s) => !on && at_s - changed_at_s >= TRIAL_HELD_S;
const isOverfull = ({ rtt_ms, loss_pct }) => (loss_pct ?? 0) > SPARE_LOSS_PCT || (rtt_ms ?? 0) > SPARE_RTT_MS;

function nextSpare(spare, video, sample) {
  const changed = spare.on
    ? held(spare, sample.at_s, hasNoQueue(video, sample), spare.over_s)
    : held(spare, sample.at_s, !video.on && isOverfull(sample), SPARE_AFTER_S);
  const isOver = spare.on && !changed.on;
  return { ...changed, over_s: isOver ? Math.min(spare.over_s * 2, SPARE_OVER_MOST_S) : spare.over_s };
}

/** Turn a switch once the line has spoken against it for `after_s`. */
function held({ on, since_s }, at_s, isAgainst, after_s) {
  if (!isAgainst) return { on, since_s: null };
  const since = since_s ?? at_s;
  return at_s - since >= after_s ? { on: !on, since_s: null } : { on, since_s: since };
}

// ---- the picture's switch

export const VIDEO_ON = { on: true, changed_at_s: 0, against_since_s: null, trial_after_s: TRIAL_AFTER_S, least_rtt_ms: null };

export function nextVideo(video, sample) {
  const seen = withLeastRtt(video, sample);
  return seen.on ? whileOn(seen, sample) : whileOff(seen, sample);
}

function withLeastRtt(video, { rtt_ms }) {
  return { ...video, least_rtt_ms: rtt_ms && rtt_ms < (video.least_rtt_ms ?? Infinity) ? rtt_ms : video.least_rtt_ms };
}

/** Tell whether the line carries less than `least_kbit_s`: by the browser's estimate, else by what arrives of a full line. */
function isUnder(least_kbit_s, video, sample) {
  if ((sample.kbit_s ?? null) !== null) return sample.kbit_s < least_kbit_s;
  return (sample.arrives_kbit_s ?? null) !== null && sample.arrives_kbit_s < least_kbit_s && isFull(video, sample);
}

const isFull = (video, sample) => (sample.loss_pct ?? 0) > FULL_LOSS_PCT || (sample.rtt_ms !== null && !hasNoQueue(video, sample));
const isQuiet = (video, sample) => hasNoQueue(video, sample) && sample.loss_pct !== null && sample.loss_pct < TRIAL_LOSS_PCT;

const hasNoQueue = (video, { rtt_ms }) => rtt_ms !== null && rtt_ms < Math.max(TRIAL_RTT_MS, video.least_rtt_ms + TRIAL_RTT_MORE_MS);

function whileOn(video, sample) {
  const { at_s, rtt_ms, loss_pct, heard_loss_pct } = sample, isDeaf = (heard_loss_pct ?? 0) > OFF_HEARD_LOSS_PCT;
  const isBad = isDeaf || isUnder(OFF_KBIT_S, video, sample) || (rtt_ms ?? 0) > OFF_RTT_MS;
  const isHeld = at_s - video.changed_at_s >= TRIAL_HELD_S;
  if (!isBad) return { ...video, against_since_s: null, trial_after_s: isHeld ? TRIAL_AFTER_S : video.trial_after_s };
  const since = video.against_since_s ?? at_s;
  const after = isDeaf || (loss_pct ?? 0) > OFF_LOSS_PCT ? OFF_SOON_S : OFF_AFTER_S;
  if (at_s - since < after) return { ...video, against_since_s: since };
  return { ...video, on: false, changed_at_s: at_s, against_since_s: null };
}

function whileOff(video, { at_s, kbit_s, rtt_ms, loss_pct }) {
  const isRich = kbit_s !== null && kbit_s > ON_KBIT_S && (rtt_ms ?? 0) <= OFF_RTT_MS;
  const since = isRich ? video.against_since_s ?? at_s : null;
  if (since !== null && at_s - since >= ON_AFTER_S) return { ...VIDEO_ON, changed_at_s: at_s, least_rtt_ms: video.least_rtt_ms };
  if (!isQuiet(video, { rtt_ms, loss_pct }) || at_s - video.changed_at_s < video.trial_after_s) return { ...video, against_since_s: since };
  const longer_s = Math.min(video.trial_after_s * 2, TRIAL_AFTER_MOST_S);
  return { ...video, on: true, changed_at_s: at_s, against_since_s: null, trial_after_s: longer_s };
}
