// The steps of the talk in plain words, who chose them, and the telephone one press away.
import { live } from "../lib/live.js";
import { word } from "../lib/words.js";

const POOR_CONCEALED_PCT = 20, POOR_AFTER_S = 10;
const box = document.querySelector("[data-call]");
const part = (name) => box.querySelector(`[data-call-${name}]`);
const line = box && live();
let call = null, poorS = 0;

if (box) {
  part("telephone").addEventListener("click", telephone);
  box.addEventListener("call-begun", ({ detail }) => { call = detail.call; });
  box.addEventListener("call-phone", ({ detail }) => {
    Object.assign(part("phone"), { href: `tel:${detail}`, textContent: detail });
    part("phone").hidden = false;
    part("no-phone").hidden = true;
  });
  box.addEventListener("call-stats", ({ detail }) => watchVoice(detail));
  part("choose").addEventListener("change", ({ target }) => call?.setStep(target.value, box.dataset.callRole));
}

/** Say at which step both sides are, and why. */
export function showStep(panel, { step, reason, forced, far, video, phase }) {
  panel.dataset.step = step;
  part("choose").value = forced ?? "automatic";
  part("step").textContent = phase === "talking" || phase === "connecting" ? sentence(step, reason, far, video) : "";
  if (step === "telephone") showNumber(true);
}

function sentence(step, reason, far, video) {
  const by = ["doctor", "clerk"].includes(reason) ? `by_${reason}` : "line";
  if (step === "telephone") return "";
  const own = step !== "video" && video.wanted ? `${word(`step_${step}`)} ${word(`why_${by}`)}` : "";
  const isWorse = far.step === "voice_photos" && (step !== "voice_photos" || !own); // the picture that stands still must be explained
  const theirs = isWorse || (!own && far.step === "thin_video") ? word(`far_${far.step}`) : "";
  return [own, theirs].filter(Boolean).join(" ");
}

/** A voice of which a fifth is invented is no talk: propose the telephone, decide nothing. */
function watchVoice({ concealedPct }) {
  poorS = concealedPct > POOR_CONCEALED_PCT ? poorS + 1 : Math.max(poorS - 1, 0);
  part("suggest").hidden = poorS < POOR_AFTER_S;
}

function telephone() {
  const isOn = part("number").hidden;
  showNumber(isOn);
  if (call) return call.setStep(isOn ? "telephone" : "automatic", box.dataset.callRole);
  const kind = isOn ? "telephone" : "video";
  line.ask("call:step", { call_id: box.dataset.call, kind, reason: "asked" }).catch(() => {});
}

function showNumber(isShown) {
  part("number").hidden = !isShown;
  part("telephone").setAttribute("aria-expanded", String(isShown));
  part("telephone").textContent = word(isShown ? "telephone_back" : "telephone_on");
}
