// Reads a slip's code. The square's letters are checked against the parcel's hash, with no network; the hash cannot be turned
// back into them. Nine spoken digits could be guessed from any hash, so only their check digit is looked at here.

import { tokenReadings } from "lib/code-readings.js";

// The quasigroup of H. M. Damm (2004), as in delivery/rules.py.
const DAMM = ["0317598642", "7092154863", "4206871359", "1750983426", "6123045978", "3674209581", "5869720134", "8945362017", "9438617205", "2581436790"];

/** Return what a scanned or typed text may mean: 32 hex characters or nine digits each; none when it is no code at all. */
export function readProofs(text) {
  return tokenReadings(text).filter((reading) => /^([0-9a-f]{32}|[0-9]{9})$/.test(reading));
}

/** Tell whether a proof is the spoken kind: only the server can tell whether it is this parcel's. */
export const isSpoken = (proof) => proof?.length === 9;

/** Tell whether the digits of a spoken code do not fit each other. */
export function isMistyped(code) {
  return [...code].reduce((interim, digit) => Number(DAMM[interim][Number(digit)]), 0) !== 0;
}

/** Return the one of `proofs` that belongs to the parcel with this hash, or null. */
export async function proofOf(proofs, proofHash) {
  for (const proof of proofs) if ((await hashOf(proof)) === proofHash) return proof;
  return null;
}

async function hashOf(proof) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(proof)));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
