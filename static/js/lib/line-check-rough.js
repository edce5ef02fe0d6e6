// The line as the pages alone can tell it, for when no media come through. It knows no loss, because what is lost is
// repeated below it, and where something was lost its rates are too low.

const PAD = 6000, ROUNDS = 2;

/** Measure by round trips and one padded message, and resolve with the server's judgement. `api` is line-check.js's. */
export async function measureRoughly(api, path) {
  const rtts = [];
  for (let i = 0; i < ROUNDS; i++) {
    const touched = await timed(() => api.touch(), "/healthz").catch(() => null);
    if (touched) rtts.push(waited(touched)); // not the whole time: the first one also opens the connection
  }
  if (!rtts.length) throw new Error("line_check_failed");
  const rttMs = Math.min(...rtts);
  const padded = await timed(() => api.pad(randomText(PAD)), `${path}/pad`).catch(() => null);
  return api.report({ is_rough: true, rtt_ms: rttMs, ...(padded && rates(padded, rttMs)) }); // no rate: telephone
}

const rates = (padded, rttMs) => ({
  up_kbit_s: rate(PAD, waited(padded) - rttMs), down_kbit_s: rate(padded.encodedBodySize, padded.responseEnd - padded.responseStart),
});

async function timed(ask, path) {
  performance.clearResourceTimings(); // a browser keeps the first 250 and no more
  await ask();
  return performance.getEntriesByType("resource").find(({ name }) => new URL(name).pathname === path);
}

const waited = (entry) => entry.responseStart - entry.requestStart;
const rate = (bytes, ms) => bytes * 8 / Math.max(ms, 1);

// Random, because a server packs its answers: a text of zeros would come back as nothing.
function randomText(length) {
  return [...crypto.getRandomValues(new Uint8Array(length))].map((byte) => String.fromCharCode(35 + (byte % 57))).join("");
}
