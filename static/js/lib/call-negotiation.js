// Perfect negotiation over one connection: when two offers meet, the polite side (the corner) takes its own back.

/** `say(message)` carries a description; `mend(description)` may change the far end's before it is applied. */
export function negotiate({ connection, polite, say, mend = (description) => description }) {
  const held = []; // candidates that came before the description they belong to
  let isOffering = false, ignoresOffer = false;

  async function offer() {
    try {
      isOffering = true;
      await connection.setLocalDescription();
      resend();
    } catch (error) {
      console.warn("call offer", error.name);
    } finally {
      isOffering = false;
    }
  }

  /** Say the offer again that has no answer yet. Tells whether there was one. */
  function resend() {
    if (connection.signalingState !== "have-local-offer") return false;
    say({ description: connection.localDescription });
    return true;
  }

  async function takeDescription(description) {
    const isOffer = description.type === "offer";
    ignoresOffer = isOffer && !polite && (isOffering || connection.signalingState !== "stable");
    if (ignoresOffer || (!isOffer && connection.signalingState !== "have-local-offer")) return;
    await connection.setRemoteDescription(mend(description));
    for (const candidate of held.splice(0)) await takeCandidate(candidate);
    if (!isOffer) return;
    await connection.setLocalDescription();
    say({ description: connection.localDescription });
  }

  async function takeCandidate(candidate) {
    if (!connection.remoteDescription) return held.push(candidate);
    // Those of an ignored offer, or of the ICE generation before a restart, do not fit; others come.
    await connection.addIceCandidate(candidate).catch((error) => ignoresOffer || console.warn("call candidate", error.name));
  }

  return { offer, resend, takeDescription, takeCandidate };
}
