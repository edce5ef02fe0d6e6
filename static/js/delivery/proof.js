// Checks a slip's code against the parcel's hash, with no network. The hash cannot be turned back into the code.

/** Return what a scanned or typed text may mean, as 32 hex characters each; none when it is no code at all. */
export async function readProofs(text) {
  const { tokenReadings } = await import("lib/code-readings.js"); // no part of the first screen; kept beside it
  return tokenReadings(text).filter((reading) => /^[0-9a-f]{32}$/.test(reading));
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
