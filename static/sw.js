// Keeps the postman's page working with no network. It holds the page's own parts only: never an answer of the API,
// never another page, nothing about a patient.

const PAGE = "/round";
const PAGE_CACHE = "telemed-round-page"; // removed at sign-out
const PARTS_CACHE = "telemed-round-parts";
const SCANNER_CACHE = "telemed-scanner"; // filled by the page, once, when the postman asks for it
const SCANNER = "/static/vendor/zxing/";
const PATIENCE_MS = 4_000;
const SCRIPTS = "/static/js/"; // pages name the release in it: /static/js/v-<mark>/...
const RELEASE = "/static/release"; // kept beside the parts: the mark of the release they belong to
const PARTS = [
  "/static/vendor/telemed.css",
  "/static/vendor/idb.js",
  "/static/js/lib/start.js",
  "/static/js/lib/forms.js",
  "/static/js/lib/settings.js",
  "/static/js/lib/menu.js",
  "/static/js/lib/api.js",
  "/static/js/lib/words.js",
  "/static/js/lib/dates.js",
  "/static/js/lib/code-readings.js",
  "/static/js/lib/notice.js",
  "/static/js/delivery/round.js",
  "/static/js/delivery/store.js",
  "/static/js/delivery/database.js",
  "/static/js/delivery/age.js",
  "/static/js/delivery/outbox.js",
  "/static/js/delivery/handover.js",
  "/static/js/delivery/proof.js",
  "/static/js/delivery/scan.js",
  "/static/icons/icon.svg",
  "/static/manifest.webmanifest",
];

addEventListener("install", (event) => event.waitUntil(install()));
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin) return;
  if (event.request.mode === "navigate" && url.pathname === PAGE) event.respondWith(page(event));
  else if (url.pathname.startsWith(SCANNER)) event.respondWith(scannerPart(event.request));
  else if (PARTS.includes(plain(url.pathname))) event.respondWith(part(event.request, plain(url.pathname)));
});

async function install() {
  // The first page came before this worker: fetch it once more, so that it is here from the first minute.
  await keep(await fetch(PAGE, { credentials: "same-origin", redirect: "manual" }));
  await skipWaiting();
}

const plain = (path) => path.replace(/^\/static\/js\/v-[0-9a-f]+\//, SCRIPTS);

// All parts or none: a half-updated page could not start. They are fetched by the addresses that stand in the page, which
// the browser has just loaded itself, and not again until the page names another release.
async function refreshParts(html) {
  const [, release = ""] = html.match(/\/static\/js\/v-([0-9a-f]+)\//) ?? [];
  const cache = await caches.open(PARTS_CACHE);
  const kept = await cache.match(RELEASE);
  if (release && (await kept?.text()) === release && (await isWhole(cache))) return;
  const answers = await Promise.all(PARTS.map((path) => fetchPart(path, release, html)));
  if (answers.some((answer) => !answer.ok)) throw new Error("a part is missing");
  await cache.delete(RELEASE); // a full phone may stop between two parts: then the next visit begins anew
  await Promise.all(answers.map((answer, index) => cache.put(PARTS[index], answer)));
  await cache.put(RELEASE, new Response(release));
}

// A worker of an earlier release kept its own parts of this one: those that it did not know are still missing.
async function isWhole(cache) {
  const kept = await Promise.all(PARTS.map((path) => cache.match(path)));
  return kept.every(Boolean);
}

function fetchPart(path, release, html) {
  const [, named] = html.match(new RegExp(`"(${path.replaceAll(".", "\\.")}\\?v=[0-9a-f]+)"`)) ?? [];
  if (named) return fetch(named);
  if (release && path.startsWith(SCRIPTS)) return fetch(path.replace(SCRIPTS, `${SCRIPTS}v-${release}/`));
  return fetch(path, { cache: "no-cache" });
}

// The parts first: a kept page must find its own scripts where there is no network.
async function keep(answer) {
  const isPage = answer.ok && answer.headers.get("Content-Type")?.startsWith("text/html");
  await refreshParts(isPage ? await answer.clone().text() : "");
  if (isPage) await (await caches.open(PAGE_CACHE)).put(PAGE, answer);
}

// From the network when it answers soon. Session over (a redirect), server in trouble or cut off: the kept page, which
// says so itself. Another role's refusal is shown as it is.
async function page(event) {
  const kept = await caches.match(PAGE, { cacheName: PAGE_CACHE });
  const fresh = fetch(event.request);
  const copy = fresh.then((answer) => (answer.ok ? answer.clone() : null));
  event.waitUntil(copy.then((answer) => answer && keep(answer)).catch(() => {})); // a full phone still shows the page
  if (!kept) return fresh;
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, null));
  const answer = await Promise.race([fresh.catch(() => null), late]);
  const isForUs = answer?.ok || (answer?.status >= 400 && answer.status < 500);
  return isForUs ? answer : kept;
}

async function part(request, path) {
  const kept = await caches.match(path, { cacheName: PARTS_CACHE });
  if (!kept) return fetch(request);
  // A page of the next release gets its own scripts where there is a network.
  const [, wanted] = request.url.match(/\/v-([0-9a-f]+)\//) ?? [];
  const release = await (await caches.match(RELEASE, { cacheName: PARTS_CACHE }))?.text();
  return wanted && wanted !== release ? fetch(request).catch(() => kept) : kept;
}

async function scannerPart(request) {
  return (await caches.match(request, { cacheName: SCANNER_CACHE })) ?? fetch(request);
}
