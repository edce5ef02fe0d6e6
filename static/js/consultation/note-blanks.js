// A template's blank is filled in or deleted before a case ends: the cursor goes into the first one.

/** Select the note's first blank. Returns whether there is one. */
export function goToBlank(form) {
  const blanks = JSON.parse(form.dataset.blanks);
  for (const field of form.querySelectorAll("textarea")) {
    const places = blanks.map((blank) => [field.value.indexOf(blank), blank]).filter(([at]) => at >= 0);
    if (!places.length) continue;
    const [at, blank] = places.sort(([one], [other]) => one - other)[0];
    field.focus();
    field.setSelectionRange(at, at + blank.length);
    field.scrollIntoView({ block: "nearest" });
    return true;
  }
  return false;
}
