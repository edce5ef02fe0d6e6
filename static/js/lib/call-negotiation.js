// Negotiation over one connection. Only the doctor's side offers; the corner asks it to. When two offers meet, perfect
// negotiation lets one side take its own back, and a Chromium that takes an offer back in the middle of a call sends
// nothing over that connection ever after (seen with 150 and 156: `packetsSent` stays 0). So two offers never meet.

import { ofOneCertificate } from "./call-code.js";

export const OFFER = "offer", RESTART = "restart"; // what a side may ask for

/**
 * `say(message)` carries a message; `mend(description)` may change the far end's before it is applied; `onRefused()` runs
 * when one does not name the one certificate that this connection began with.
 */
export function negotiate({ connection, polite, say, mend = (description) => description, onRefused = () => {} }) {
  let print = null; // of the far end's certificate: a page has one for its life
  const held = []; // candidates that came before the description they belong to
  let asked = null; // of the corner: what it waits for; of the doctor: what must follow the answer that is on its way
  let isRestarting = false, isOffering = false;

  /** Have a description made that says how things are now; RESTART looks for a new path as well. */
  async function offer(kind = OFFER) {
    if (polite) return ask(kind);
    if (kind === RESTART && !isRestarting) {
      isRestarting = true;
      connection.restartIce(); // its offer may come by itself first: then the one below is none
    }
    if (isOffering || connection.signalingState !== "stable") {
      if (kind === OFFER) asked = OFFER;
      return;
    }
    isOffering = true;
    await connection.setLocalDescription().catch((error) => console.warn("call offer", error.name));
    isOffering = false;
    resend();
  }

  function ask(kind) {
    asked = asked === RESTART ? RESTART : kind;
    say({ ask: asked });
  }

  /** Say again what has no answer yet. Tells whether there was anything. */
  function resend() {
    if (polite && asked) ask(asked);
    if (polite) return Boolean(asked);
    if (connection.signalingState !== "have-local-offer") return false;
    say({ description: connection.localDescription });
    return true;
  }

  async function takeDescription(description) {
    const isOffer = description.type === "offer";
    if (isOffer !== polite || (!isOffer && connection.signalingState !== "have-local-offer")) return;
    const one = ofOneCertificate(description);
    if (!one || (print ?? one.print) !== one.print) return onRefused();
    print = one.print;
    await connection.setRemoteDescription(mend(one.description));
    for (const candidate of held.splice(0)) await takeCandidate(candidate);
    const next = asked;
    asked = null;
    isRestarting = false;
    if (isOffer) {
      await connection.setLocalDescription();
      say({ description: connection.localDescription });
    } else if (next) await offer(next);
  }

  async function takeCandidate(candidate) {
    if (!connection.remoteDescription) return held.push(candidate);
    // Those of the ICE generation before a restart do not fit; others come.
    await connection.addIceCandidate(candidate).catch((error) => console.warn("call candidate", error.name));
  }

  return { offer, resend, takeDescription, takeCandidate };
}
