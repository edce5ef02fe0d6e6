// The card's code stands in the fragment of the address, which no server log sees: send it as a form. The server reads it,
// under whatever keyboard it was scanned.
const form = document.querySelector("[data-card]");
const token = plain(location.hash.slice(1));
if (form && token.length >= 32) {
  history.replaceState(null, "", location.pathname);
  form.elements.token.value = token;
  form.requestSubmit();
}

function plain(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray percent sign: no code of ours, and the server says so
  }
}
