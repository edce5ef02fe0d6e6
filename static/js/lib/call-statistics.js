// A connection's figures, second by second. No judgement here.

/** Return `read()`, which resolves with what changed since it was last called. `direct.rttMs` is told where nothing else is. */
export function meter(connection, direct = { rttMs: null }) {
  let before = null;
  return async () => {
    const now = summary(await connection.getStats());
    now.rttMs ??= direct.rttMs;
    const figures = changes(before ?? now, now);
    before = now;
    return figures;
  };
}

const ENOUGH_PACKETS = 6; // of fewer, as a pause or long packets bring, one lost would count for much

function changes(before, now) {
  const change = (key) => Math.max(now[key] - before[key], 0);
  const samples = change("audioSamples"), came = change("audioPackets"), lost = change("audioLost");
  return {
    hear: { audio: samples > 0 && came > 0, video: change("framesDecoded") > 0 },
    framesDecoded: now.framesDecoded, fps: change("framesDecoded"), rttMs: now.rttMs, lossPct: now.lossPct,
    heardLossPct: came && came + lost >= ENOUGH_PACKETS ? 100 * lost / (came + lost) : null, // nothing at all is a cut, not a loss
    audioSamples: samples, concealed: change("concealed"), concealedPct: samples ? 100 * change("concealed") / samples : 0,
    freezes: change("freezes"), frozenS: change("frozenS"), availableKbitS: now.availableKbitS,
    inKbitS: change("bytesIn") * 8 / 1000, outKbitS: change("bytesOut") * 8 / 1000, arrivedKbitS: change("bytesArrived") * 8 / 1000,
  };
}

const REPORT_HOLDS_MS = 10_000; // an older report of the far end says nothing about now

const zero = () => ({
  framesDecoded: 0, audioSamples: 0, audioPackets: 0, audioLost: 0, concealed: 0, freezes: 0, frozenS: 0, bytesIn: 0, bytesOut: 0,
  bytesArrived: 0, rttMs: null, reportedRttMs: null, lossPct: null, reportedAt: 0, availableKbitS: null,
});

const TAKE = {
  "inbound-rtp": (sum, entry) => {
    sum.bytesIn += entry.bytesReceived ?? 0;
    sum.bytesArrived += (entry.bytesReceived ?? 0) + (entry.headerBytesReceived ?? 0);
    if (entry.kind === "video") addPicture(sum, entry);
    else addVoice(sum, entry);
  },
  "outbound-rtp": (sum, entry) => { sum.bytesOut += entry.bytesSent ?? 0; },
  // The newest report counts, of voice or picture: they share the path, and the picture's come more often.
  "remote-inbound-rtp": (sum, entry) => {
    if (entry.timestamp <= sum.reportedAt) return;
    const rttMs = entry.roundTripTime === undefined ? sum.reportedRttMs : entry.roundTripTime * 1000;
    Object.assign(sum, { reportedAt: entry.timestamp, lossPct: 100 * (entry.fractionLost ?? 0), reportedRttMs: rttMs });
  },
  // Firefox ESR 140 has no such entry: neither the path's round trip nor what the path would carry.
  transport: (sum, entry, stats) => {
    const pair = stats.get(entry.selectedCandidatePairId);
    if (pair?.currentRoundTripTime !== undefined) sum.rttMs = pair.currentRoundTripTime * 1000;
    if (pair?.availableOutgoingBitrate) sum.availableKbitS = pair.availableOutgoingBitrate / 1000;
  },
};

function addPicture(sum, entry) {
  sum.framesDecoded += entry.framesDecoded ?? 0;
  sum.freezes += entry.freezeCount ?? 0;
  sum.frozenS += entry.totalFreezesDuration ?? 0;
}

function addVoice(sum, entry) {
  sum.audioSamples += entry.totalSamplesReceived ?? 0;
  sum.audioPackets += entry.packetsReceived ?? 0;
  sum.audioLost += entry.packetsLost ?? 0;
  sum.concealed += (entry.concealedSamples ?? 0) - (entry.silentConcealedSamples ?? 0); // invented, and not in a pause
}

function summary(stats) {
  const sum = zero();
  stats.forEach((entry) => TAKE[entry.type]?.(sum, entry, stats));
  if (performance.timeOrigin + performance.now() - sum.reportedAt > REPORT_HOLDS_MS) sum.lossPct = sum.reportedRttMs = null;
  sum.rttMs ??= sum.reportedRttMs;
  return sum;
}
