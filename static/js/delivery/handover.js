// The two windows of a stop: hand over by scan, by typed code or without the slip; or why it was not handed over.

import { word } from "lib/words.js";
import { isMistyped, isSpoken, proofOf, readProofs } from "./proof.js";
import { hasScanner, loadScanner, scan } from "./scan.js";

const TROUBLES_OF_A_CAMERA = { NotAllowedError: "camera_refused", NotReadableError: "camera_busy" };

/** Show the hand-over of `stop`; `note(kind, details)` keeps the deed and returns the trouble's words when it could not. */
export function openHandOver(stop, note) {
  const box = prepare("hand-over", stop);
  const [video, error, input] = [box.querySelector("[data-camera]"), box.querySelector("#code-error"), box.querySelector("#code")];
  let stopCamera = () => {};
  let isDone = false; // gloves tap more than once; the store refuses a second note too
  error.textContent = input.value = "";
  box.querySelector("[data-sure]").hidden = true;
  box.querySelector("[data-recalled]").hidden = !stop.flags.includes("recalled");
  box.querySelector("[data-document]").hidden = !stop.flags.includes("document");

  async function check(text) {
    const proofs = readProofs(text);
    if (!proofs.length) return void (error.textContent = word("bad_code"));
    const spoken = proofs.filter(isSpoken);
    const proof = (await proofOf(proofs, stop.proof_hash)) ?? spoken.find((code) => !isMistyped(code));
    if (!proof) return void (error.textContent = word(spoken.length ? "code:code_mistyped" : "wrong_code"));
    await finish({ proof });
  }

  async function finish(details) {
    if (isDone) return;
    isDone = true;
    stopCamera();
    const trouble = await note("handed_over", details);
    if (!trouble) return box.close();
    isDone = false; // nothing is kept: every button is alive, and the code read stays for the next press
    input.value = details.proof ?? input.value;
    alarm(box, trouble);
  }

  async function startCamera() {
    error.textContent = "";
    stopCamera();
    try {
      if (!(await hasScanner())) await loadScanner(() => {});
    } catch {
      return typeInstead("no_scanner");
    }
    try {
      stopCamera = await scan(video, check);
    } catch (trouble) {
      typeInstead(TROUBLES_OF_A_CAMERA[trouble?.name] ?? "no_camera");
    }
  }

  function typeInstead(why) {
    error.textContent = word(why);
    input.focus();
  }

  box.querySelector("[data-code]").onsubmit = (event) => { event.preventDefault(); check(input.value); };
  box.querySelector("[data-scan]").onclick = startCamera;
  box.querySelector("[data-without]").onclick = () => { box.querySelector("[data-sure]").hidden = false; };
  box.querySelector("[data-unverified]").onclick = () => finish({ proof: null });
  box.onclose = () => stopCamera();
  box.showModal();
}

/** Show the reasons; the pressed button says whether the postman tries again or brings it back. */
export function openFailure(stop, note) {
  const box = prepare("fail", stop);
  const form = box.querySelector("[data-reason]");
  const error = box.querySelector("[data-reason-error]");
  let isDone = false;
  form.reset();
  error.textContent = "";
  form.onsubmit = async (event) => {
    event.preventDefault();
    const reason = new FormData(form).get("reason");
    if (!reason) return void (error.textContent = word("choose_reason"));
    if (isDone) return;
    isDone = true;
    const trouble = await note(event.submitter?.value ?? "attempted", { reason });
    if (!trouble) return box.close();
    isDone = false;
    alarm(box, trouble);
  };
  box.showModal();
}

function prepare(id, stop) {
  const box = document.getElementById(id);
  box.querySelector("[data-name]").textContent = stop.name;
  box.querySelector("[data-number]").textContent = stop.shown;
  box.querySelector("[data-close]").onclick = () => box.close();
  alarm(box, "");
  return box;
}

// Inside the window: what stands behind it is neither seen nor spoken.
function alarm(box, text) {
  const line = box.querySelector("[data-not-saved]") ?? box.querySelector(".error[role=alert]");
  line.hidden = !text;
  line.textContent = text;
  if (text) line.scrollIntoView({ block: "center" });
}
