// Five digits that both people say aloud. An eavesdropper in the middle of the call holds two connections with two
// certificates, so the two sides get different digits. Each side first commits to a random number and shows it only when
// it holds the other's commitment and both certificates are settled: who came later can no longer choose anything.

const INFO = new TextEncoder().encode("telemed call code 1");
const NONCE_BYTES = 16, CODE_DIGITS = 5;
const PRINT = /^a=fingerprint:sha-256 ((?:[0-9A-F]{2}:){31}[0-9A-F]{2})$/i;
const OTHER_HASH = /^a=fingerprint:(?!sha-256 )\S+ [0-9A-F]{2}(?::[0-9A-F]{2})+$/i;

/**
 * One exchange on one connection. `tell(message)` carries {commit} or {nonce}; `onChange({state, digits, theirs})` tells
 * state: none | comparing | ready | broken. Broken means that the far end's number is not the one it committed to.
 */
export function openCode({ isDoctor, tell, onChange }) {
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  let state = "none", digits = "", prints = null, commit = null, theirCommit = null, theirNonce = null;

  /** Begin once DTLS is up; `fingerprints` {mine, theirs} are those in use. */
  async function begin(fingerprints) {
    if (state === "broken") return;
    if (prints && prints.theirs !== fingerprints.theirs) return go("broken"); // somebody else joined the connection
    if (prints) return resend();
    prints = fingerprints;
    commit = await digest(nonce);
    go("comparing");
    resend();
    await conclude();
  }

  function resend() {
    if (!commit || state === "broken") return;
    tell({ commit });
    if (theirCommit) tell({ nonce: toHex(nonce) }); // never before theirs is fixed
  }

  async function take(message) {
    if (state === "broken") return;
    if (message.commit) takeCommit(message.commit);
    if (message.nonce) theirNonce = message.nonce;
    await conclude();
  }

  function takeCommit(given) {
    if (theirCommit === given) return;
    if (theirCommit || (commit && given === commit)) return go("broken"); // changed its mind, or sent ours back
    theirCommit = given;
    if (commit) tell({ nonce: toHex(nonce) });
  }

  async function conclude() {
    if (!prints || !theirCommit || !theirNonce || state !== "comparing") return;
    if (await digest(fromHex(theirNonce)) !== theirCommit) return go("broken");
    const both = (mine, theirs) => (isDoctor ? [mine, theirs] : [theirs, mine]);
    digits = await codeOf(both(nonce, fromHex(theirNonce)), both(prints.mine, prints.theirs));
    go("ready");
  }

  function go(to) {
    state = to;
    onChange({ state, digits: state === "ready" ? digits : "", theirs: prints?.theirs ?? null });
  }

  /** The far end's description was not of one certificate: whoever changed it sits in between. */
  const refuse = () => go("broken");

  return { begin, take, resend, refuse, get state() { return state; } };
}

/**
 * Return {mine, theirs}: the fingerprints of the certificates that DTLS really uses, or null where they are not known.
 * Whoever offers may keep voice and picture apart from the data, each with a key exchange of its own: `theirs` names the
 * certificates of all of them, so that the digits differ when somebody took one for himself.
 */
export async function fingerprints(connection) {
  const transports = transportsOf(connection);
  await Promise.all(transports.map(untilSettled));
  // Not from statistics: Chromium's keep the certificates of their first look for good, Firefox's have none. What this side
  // offers is its own word; what the far side offered is only a promise, so that is read from the key exchange.
  const [mine] = printsIn(connection.currentLocalDescription);
  const theirs = [...await printsOf(transports) ?? described(connection)].sort().join(" ");
  return mine && theirs ? { mine, theirs } : null;
}

/** Return the fingerprints of the certificates that came, or null where the browser tells none. */
async function printsOf(transports) {
  if (transports.some((one) => !one.getRemoteCertificates)) return null;
  const certificates = transports.map((one) => one.getRemoteCertificates()[0]).filter(Boolean);
  return new Set(await Promise.all(certificates.map(printOf)));
}

// Firefox ESR 140 tells no certificate. DTLS admits none but those of the description, so where that names a single one
// it is the one that came; of several, nobody knows which.
function described(connection) {
  const prints = printsIn(connection.currentRemoteDescription);
  return prints.size === 1 ? prints : new Set();
}

const printsIn = (description) => new Set(linesOf(description).map((line) => line.match(PRINT)?.[1].toUpperCase()).filter(Boolean));
const linesOf = (description) => (description?.sdp ?? "").split(/\r\n|\n|\r/);

/**
 * Return {print, description} of a description of one certificate: its fingerprint, and the text without that of any
 * other hash, for a key exchange is content with one that fits. Null when the parts name different certificates, when
 * none is named, or when a fingerprint is written in a way that another reader might take for something else.
 */
export function ofOneCertificate(description) {
  const prints = printsIn(description), lines = linesOf(description);
  const isOdd = lines.some((line) => /fingerprint/i.test(line) && !PRINT.test(line) && !OTHER_HASH.test(line));
  if (isOdd || prints.size !== 1) return null;
  const sdp = lines.filter((line) => !OTHER_HASH.test(line)).join("\r\n");
  return { print: [...prints][0], description: { type: description.type, sdp } };
}

// The connection says that it is connected before its transports say so, and they know of the certificates only then.
async function untilSettled(transport) {
  while (transport.state === "new" || transport.state === "connecting") {
    await new Promise((resolve) => transport.addEventListener("statechange", resolve, { once: true }));
  }
}

function transportsOf(connection) {
  const ends = connection.getTransceivers().flatMap(({ sender, receiver }) => [sender.transport, receiver.transport]);
  return [...new Set([connection.sctp?.transport, ...ends])].filter(Boolean);
}

const printOf = async (certificate) => (await digest(certificate)).toUpperCase().match(/../g).join(":");

/** Return the digits of two nonces and two fingerprints, each pair in the order doctor, corner. */
export async function codeOf([doctorNonce, cornerNonce], [doctorPrint, cornerPrint], count = CODE_DIGITS) {
  const secret = join(doctorNonce, cornerNonce);
  const salt = new TextEncoder().encode(`${doctorPrint}|${cornerPrint}`.toUpperCase());
  const key = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  const bits = await crypto.subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt, info: INFO }, key, 64);
  return String(new DataView(bits).getBigUint64(0) % 10n ** BigInt(count)).padStart(count, "0");
}

export const digest = async (bytes) => toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
export const toHex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const fromHex = (text) => new Uint8Array((/^([0-9a-f]{2}){16}$/.test(text) ? text.match(/../g) : []).map((pair) => parseInt(pair, 16)));

function join(one, other) {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
