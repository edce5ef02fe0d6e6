// The prescription form: empty lines wait behind a button, and what cannot go by post says so at once.

document.querySelectorAll("[data-prescription-form]").forEach(bind);
document.addEventListener("renewed", ({ target }) => target.querySelectorAll("[data-prescription-form]").forEach(bind));

function bind(form) {
  const lines = [...form.querySelectorAll("[data-line]")];
  const more = form.querySelector("[data-more]");
  lines.forEach((line, index) => { line.hidden = index > 0 && isEmpty(line); });
  lines.forEach(noteBarred);
  form.addEventListener("change", () => { lines.forEach((line) => { noteBarred(line); line.hidden &&= isEmpty(line); }); showDetails(form); });
  more.querySelector("button").addEventListener("click", () => showNext(lines, more));
  more.hidden = lines.every((line) => !line.hidden);
  showDetails(form);
}

function isEmpty(line) {
  return [...line.querySelectorAll("select, input, textarea")].every((field) => !field.value);
}

function showNext(lines, more) {
  const next = lines.find((line) => line.hidden);
  if (!next) return;
  next.hidden = false;
  next.querySelector("select").focus();
  more.hidden = lines.every((line) => !line.hidden);
}

function noteBarred(line) {
  const chosen = line.querySelector("select").selectedOptions[0];
  line.querySelector("[data-barred-note]").textContent = chosen?.dataset.barred ?? "";
}

// Date, clinic and doctor belong to one of the two grounds only.
function showDetails(form) {
  form.querySelector("[data-basis-details]").hidden = form.querySelector("[name=basis]:checked")?.value === "experiment";
}
