// The messages of one call over the page's own socket. They are taken one after another, and what had to be said while
// the socket was away is said when it is back.

// An attempt to open the socket that began while the line was cut waits for TCP's doubling pauses long after the line is
// back, so it is short. Where media come the line is up, and only too full to open a socket in five seconds.
const ATTEMPT_MS = 5000, PATIENT_ATTEMPT_MS = 20_000;

/** `stamp()` gives {page, round} of now; `onBack()` runs when the socket is there again. */
export function openSignals({ socket, callId, stamp, onBack }) {
  const stops = [];
  let unsent = [], turn = Promise.resolve(), isClosed = false;

  const inTurn = (name, run) => {
    turn = turn.then(() => !isClosed && run()).catch((error) => console.warn("call", name, error.name));
    return turn;
  };

  function listen(event, run) {
    socket.on(event, run);
    stops.push(() => socket.off(event, run));
  }

  function say(message) {
    const document = { call_id: callId, ...stamp(), ...message };
    if (socket.connected) socket.emit("call:signal", document);
    else unsent.push(document);
  }

  listen("connect", onBack);
  return {
    inTurn,
    say,
    get isConnected() { return socket.connected; },
    /** Say once a second whether media come. */
    setPatience(hasMedia) {
      socket.io.timeout(hasMedia ? PATIENT_ATTEMPT_MS : ATTEMPT_MS);
    },
    /** Call `run(document)` at each `event` of this call. */
    take(event, run) {
      listen(event, (document) => {
        if (document?.call_id && document.call_id !== callId) return;
        inTurn(event, () => run(document ?? {}));
      });
    },
    /** Say something that is old news when the socket is away. `onAnswer` gets the server's answer. */
    tell(event, document = {}, onAnswer = null) {
      const message = { call_id: callId, ...document };
      if (socket.connected) socket.emit(event, message, ...(onAnswer ? [onAnswer] : []));
    },
    /** Say what was held back of this round; a held offer is stale, the pending one goes by itself. */
    sayLate(round) {
      const late = unsent.filter((document) => document.round === round && document.description?.type !== "offer");
      unsent = [];
      late.forEach((document) => socket.emit("call:signal", document));
    },
    close() {
      isClosed = true;
      this.setPatience(false);
      stops.forEach((stop) => stop());
    },
  };
}
