// What a call tells its page: plain values, put together from what both sides know.

import { outgoing } from "./call-ladder.js";

/** Return the state that createCall describes. */
export function stateOf({ presence, connection, handshake, ladder, wanted, far }) {
  const { hear, heard } = handshake;
  return {
    phase: phaseOf(presence, connection, hear, heard), connection, hear, heard, isPeerHere: presence.isPeerHere,
    video: { wanted, paused: wanted && !outgoing(ladder).video }, step: ladder.step, reason: ladder.reason, forced: ladder.forced, far,
  };
}

function phaseOf({ isElsewhere, isLeft, isPeerHere, hasFarLeft }, connection, hear, heard) {
  if (isElsewhere) return "elsewhere";
  if (isLeft) return "ended";
  if (connection === "connected" && (hear.audio || hear.video) && (heard.audio || heard.video)) return "talking";
  if (hasFarLeft) return "waiting"; // it went by choice: no line was cut
  if (["disconnected", "failed"].includes(connection)) return "interrupted";
  return isPeerHere || connection === "connected" ? "connecting" : "waiting";
}
