// A list that reads itself anew when the server says that something moved, unless somebody is filling it in.

import { io } from "socket.io-client";

const list = document.querySelector("[data-room]");
const EVENTS = ["order:placed", "parcel:moved"];
const WAIT_MS = 800; // several parcels move in one breath
let isTouched = false;
let timer = 0;

if (list) {
  const socket = io({ transports: ["websocket"] });
  const watch = () => socket.emit("watch", { room: list.dataset.room }, (answer) => { list.dataset.watching = answer?.ok ? "yes" : "no"; });
  let wasConnected = false;
  socket.on("connect", () => { watch(); if (wasConnected) soon(); wasConnected = true; });
  EVENTS.forEach((name) => socket.on(name, soon));
  document.addEventListener("input", () => { isTouched = true; });
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(() => (isTouched ? offer() : location.reload()), WAIT_MS);
}

function offer() {
  document.querySelector("[data-news]").hidden = false;
}
