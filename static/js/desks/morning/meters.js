// The morning's last look: while a meter is silent the page asks again, for a meter that only woke changes nothing else.

const ASK_EVERY_MS = 3000;

setInterval(() => {
  if (document.visibilityState === "visible" && document.querySelector("[data-morning-silent]")) {
    document.dispatchEvent(new Event("please-renew"));
  }
}, ASK_EVERY_MS);
