// One Socket.IO connection per page. News carries ids only: after a gap the page reads its whole state again.

import { io } from "socket.io-client";

let line = null;

/** Return the page's connection; the first caller opens it. */
export const live = () => (line ??= open());

function open() {
  // An attempt begun while the line was cut would wait for TCP's doubling pauses long after the line is back.
  const socket = io({ transports: ["websocket"], reconnectionDelay: 500, reconnectionDelayMax: 2000, timeout: 5000 });
  const rooms = new Set();
  const readers = new Set();
  const watchers = new Set();
  let wasConnected = false;

  // Rooms first, then the state: what happens in between comes as news.
  socket.on("connect", async () => {
    const isBack = wasConnected;
    wasConnected = true;
    tell(true);
    await Promise.all([...rooms].map(enter));
    if (isBack) readAgain();
  });
  socket.on("disconnect", () => tell(false));
  socket.on("session:ended", askToSignIn);
  // A page that comes back from the browser's cache or from a sleeping phone has missed news, too.
  addEventListener("pageshow", (event) => event.persisted && readAgain());

  const enter = (room) => ask("watch", { room }).catch(() => rooms.delete(room));
  const readAgain = () => readers.forEach((read) => read());
  const tell = (isConnected) => watchers.forEach((watch) => watch(isConnected));

  /** Emit and return the answer. Rejects with the server's code, or with "offline" when none comes. */
  async function ask(name, document = {}, timeoutMs = 8000) {
    let answer;
    try {
      answer = await socket.timeout(timeoutMs).emitWithAck(name, document);
    } catch {
      throw new Error("offline");
    }
    if (answer?.error) throw new Error(answer.error);
    return answer;
  }

  return {
    socket,
    ask,
    /** Listen to news of `room`, e.g. "branch:<id>", now and after every reconnect. */
    watch(room) {
      rooms.add(room);
      return socket.connected ? enter(room) : Promise.resolve();
    },
    unwatch(room) {
      rooms.delete(room);
      if (socket.connected) socket.emit("unwatch", { room });
    },
    /** Call `run(news)` at each event called `name`. Returns the way to stop. */
    on(name, run) {
      socket.on(name, run);
      return () => socket.off(name, run);
    },
    /** Call `read()` after every gap: the page must read its whole state again. Returns the way to stop. */
    onGap(read) {
      readers.add(read);
      return () => readers.delete(read);
    },
    /** Call `show(isConnected)` now and at each change. Returns the way to stop. */
    onConnection(show) {
      watchers.add(show);
      show(socket.connected);
      return () => watchers.delete(show);
    },
  };
}

// The server cuts the line of a session that ended. Loading the page anew leads to the sign-in and back here.
async function askToSignIn() {
  const [{ say }, { word }] = await Promise.all([import("./notice.js"), import("./words.js")]);
  say(word("code:sign_in_needed"), "error", { text: word("sign_in_again"), run: () => location.reload() });
}
