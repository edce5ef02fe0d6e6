// The QR scanner: fetched once, with the first round, kept beside the page, started only when asked for.

const WASM = "/static/vendor/zxing/reader/zxing_reader.wasm";
const PARTS = [WASM, "/static/vendor/zxing/reader/index.js", "/static/vendor/zxing/share.js"];
export const SCANNER_CACHE = "telemed-scanner";
const LOOK_EVERY_MS = 150;

/** Tell whether the whole scanner lies on this phone. */
export async function hasScanner() {
  const kept = await Promise.all(PARTS.map((path) => caches.match(path, { cacheName: SCANNER_CACHE })));
  return kept.every(Boolean);
}

/** Fetch the scanner into the phone's store; `progress` gets 0 to 100. */
export async function loadScanner(progress) {
  const cache = await caches.open(SCANNER_CACHE);
  await cache.addAll(PARTS.slice(1));
  const answer = await fetch(WASM);
  if (!answer.ok) throw new Error("scanner");
  const total = Number(answer.headers.get("X-Full-Length") ?? 0) || 953_527; // a gzipped answer tells no length
  const reader = answer.body.getReader();
  const parts = [];
  let length = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    length += part.value.length;
    progress(Math.min(99, Math.round((100 * length) / total)));
  }
  const type = { "Content-Type": "application/wasm" };
  await cache.put(WASM, new Response(new Blob(parts), { headers: type }));
  progress(100);
}

/** Show the camera in `video` and call `found(text)` for each code; returns the function that stops it. */
export async function scan(video, found) {
  const zxing = await import("zxing-wasm/reader");
  const locateFile = (path, prefix) => (path.endsWith(".wasm") ? WASM : prefix + path);
  zxing.prepareZXingModule({ overrides: { locateFile } });
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
  video.srcObject = stream;
  video.hidden = false;
  await video.play();
  let isOn = true;
  look();
  return stop;

  async function look() {
    while (isOn) {
      const [code] = await readFrame(zxing, video);
      if (code?.text && isOn) await found(code.text);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }

  function stop() {
    isOn = false;
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
    video.hidden = true;
  }
}

async function readFrame(zxing, video) {
  if (!video.videoWidth) return [];
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(video, 0, 0);
  const picture = pen.getImageData(0, 0, canvas.width, canvas.height);
  return zxing.readBarcodes(picture, { formats: ["QRCode"], maxNumberOfSymbols: 1 });
}
