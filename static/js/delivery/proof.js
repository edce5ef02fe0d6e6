// Checks a slip's code against the parcel's hash, with no network. The hash cannot be turned back into the code.

/** Return the 32 hex characters in a scanned or typed text, or null. */
export function readProof(text) {
  return text.replace(/[\s-]/g, "").toLowerCase().match(/[0-9a-f]{32}$/)?.[0] ?? null;
}

/** Tell whether `proof` belongs to the parcel with this hash. */
export async function isProofOf(proof, proofHash) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(proof)));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("") === proofHash;
}
