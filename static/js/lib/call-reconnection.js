// The way back after a cut: restart 2 s after `disconnected`, again at `failed`, again when the socket returns.
// connectionState, because iceConnectionState has been seen to stay away from "failed" for a minute.

const RESTART_AFTER_MS = 2000; // the browser may mend a short gap itself
const AGAIN_AFTER_MS = 10_000; // a restart that led nowhere
export const NEW_ROUND_AFTER_S = 60; // no media for so long: start over with a new connection

/**
 * Watch one connection. `maySignal()` tells whether the far end can be reached at all; `renew(connection)` fetches fresh
 * relay credentials, because those of an hour ago open no new path; `restart()` has a new path looked for. `isExpected()`
 * tells whether the far end has said that it goes: then nothing was cut.
 */
export function keepConnected({ connection, maySignal, renew, restart, onChange, isExpected = () => false }) {
  let timer = null, isWanted = false, isStopped = false, cuts = 0;

  function watch() {
    const state = connection.connectionState;
    clearTimeout(timer);
    if (state === "connected") isWanted = false;
    if (state === "disconnected") {
      if (!isExpected()) cuts += 1;
      timer = setTimeout(mend, RESTART_AFTER_MS);
    }
    if (state === "failed") mend();
    onChange(state);
  }

  async function mend() {
    clearTimeout(timer);
    isWanted = true;
    if (isStopped || !maySignal() || connection.connectionState === "connected") return;
    await renew(connection);
    if (isStopped || connection.signalingState === "closed" || connection.connectionState === "connected") return;
    restart();
    timer = setTimeout(mend, AGAIN_AFTER_MS);
  }

  connection.addEventListener("connectionstatechange", () => isStopped || watch());
  return {
    get cuts() { return cuts; },
    /** The far end can be reached again: restart if it is still needed. */
    retry() {
      if (isWanted) mend();
    },
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}
