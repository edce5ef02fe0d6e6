// The record of a call, a minute at a time: plain figures, no word of what was said.

const MINUTE_S = 60, LEAST_S = 5, KEPT_MOST = 60;

/** `send(record)` resolves with true once the server has it; `nextId()` makes the id under which it is stored once. */
export function recordQuality({ send, nextId }) {
  let sum = empty(), minute = 0, pending = [], turn = Promise.resolve();

  /** Once a second while connected. */
  function add(figures, { step, cuts, setUpMs }) {
    sum.seconds += 1;
    sum.samples += figures.audioSamples;
    sum.concealed += figures.concealed;
    sum.freezes += figures.freezes;
    sum.frozenS += figures.frozenS;
    sum.outKbitS += figures.outKbitS;
    sum.rttMs = Math.max(sum.rttMs, figures.rttMs ?? 0);
    sum.lossPct = Math.max(sum.lossPct, figures.lossPct ?? 0);
    Object.assign(sum, { step, cuts, setUpMs });
    if (sum.seconds >= MINUTE_S) close();
  }

  /** End the minute that runs, e.g. at the end of the talk. */
  function close() {
    if (sum.seconds >= LEAST_S) pending = [...pending, record(sum, minute++, nextId())].slice(-KEPT_MOST);
    sum = { ...empty(), cutsBefore: sum.cuts };
    return flush();
  }

  const flush = () => (turn = turn.then(drain));

  async function drain() {
    while (pending.length && await send(pending[0]).catch(() => false)) pending.shift();
  }

  return { add, close };
}

const empty = () => ({ seconds: 0, samples: 0, concealed: 0, freezes: 0, frozenS: 0, outKbitS: 0, rttMs: 0, lossPct: 0, step: "video", cuts: 0, cutsBefore: 0, setUpMs: null });
const round = (value) => Math.round(value * 10) / 10;

function record(sum, minute, id) {
  return {
    id, minute, seconds: sum.seconds, step: sum.step, cuts: Math.max(sum.cuts - sum.cutsBefore, 0),
    set_up_ms: minute === 0 && sum.setUpMs !== null ? Math.round(sum.setUpMs) : null,
    concealed_pct: sum.samples ? Math.min(round(100 * sum.concealed / sum.samples), 100) : null,
    freezes: sum.freezes, frozen_s: Math.min(round(sum.frozenS), sum.seconds), rtt_ms: Math.round(sum.rttMs),
    loss_pct: Math.min(round(sum.lossPct), 100), out_kbit_s: round(sum.outKbitS / sum.seconds),
  };
}
