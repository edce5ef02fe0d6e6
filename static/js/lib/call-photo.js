// A photograph over an ordered data channel, in chunks so small and so far apart that the voice stays in front.

const CHUNK_BYTES = 2048; // about half a second of a 40 kbit/s line
const QUEUE_MOST_BYTES = 4096;
const STUCK_AFTER_MS = 20_000; // nothing moved: the caller sends it another way
export const PHOTO_MOST_BYTES = 300_000;

/** Send a JPEG and resolve when the far end has it whole. Rejects when the channel is closed or stuck. */
export async function sendPhoto(channel, { id, bytes, onProgress = () => {} }) {
  if (channel?.readyState !== "open") throw new Error("channel_closed");
  const arrived = answer(channel, id, onProgress, bytes.length);
  try {
    channel.send(JSON.stringify({ photo: id, size: bytes.length }));
    for (let from = 0; from < bytes.length; from += CHUNK_BYTES) {
      await room(channel);
      channel.send(bytes.slice(from, from + CHUNK_BYTES));
    }
  } catch (error) {
    arrived.catch(() => {});
    throw error;
  }
  return arrived;
}

async function room(channel) {
  channel.bufferedAmountLowThreshold = CHUNK_BYTES;
  if (channel.bufferedAmount <= QUEUE_MOST_BYTES) return;
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => done(reject, new Error("channel_stuck")), STUCK_AFTER_MS);
    const low = () => done(resolve);
    const closed = () => done(reject, new Error("channel_closed"));
    function done(settle, value) {
      clearTimeout(timer);
      channel.removeEventListener("bufferedamountlow", low);
      channel.removeEventListener("close", closed);
      settle(value);
    }
    channel.addEventListener("bufferedamountlow", low);
    channel.addEventListener("close", closed);
  });
}

/** Resolve when the far end says that it has the photograph; each word from it starts the clock anew. */
function answer(channel, id, onProgress, size) {
  return new Promise((resolve, reject) => {
    let timer;
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => done(reject, new Error("channel_stuck")), STUCK_AFTER_MS);
    };
    const hear = ({ data }) => {
      const news = typeof data === "string" ? JSON.parse(data) : {};
      if (news.got !== id) return;
      wait();
      onProgress(news.bytes / size);
      if (news.bytes >= size) done(resolve);
    };
    const closed = () => done(reject, new Error("channel_closed"));
    function done(settle, value) {
      clearTimeout(timer);
      channel.removeEventListener("message", hear);
      channel.removeEventListener("close", closed);
      settle(value);
    }
    channel.addEventListener("message", hear);
    channel.addEventListener("close", closed);
    wait();
  });
}

/** Put arriving photographs together. `onPhoto({id, bytes})` gets whole ones, `onProgress(share)` the way there. */
export function receivePhotos(channel, { onPhoto, onProgress = () => {} }) {
  let id = null, size = 0, parts = [], count = 0;

  channel.binaryType = "arraybuffer";
  channel.addEventListener("message", ({ data }) => {
    if (typeof data === "string") return begin(JSON.parse(data));
    if (!id) return;
    parts.push(new Uint8Array(data));
    count += data.byteLength;
    channel.send(JSON.stringify({ got: id, bytes: count }));
    onProgress(count / size);
    if (count >= size) end();
  });

  function begin({ photo, size: whole }) {
    if (!photo || !(whole > 0 && whole <= PHOTO_MOST_BYTES)) return;
    [id, size, parts, count] = [photo, whole, [], 0];
  }

  function end() {
    const bytes = new Uint8Array(count);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    onPhoto({ id, bytes });
    id = null;
  }
}
