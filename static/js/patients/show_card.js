// The card's code stands in the fragment of the address, which no server log sees: send it as a form.
const form = document.querySelector("[data-card]");
const token = decodeURIComponent(location.hash.slice(1));
if (form && /^[0-9a-f]{32}$/i.test(token)) {
  history.replaceState(null, "", location.pathname);
  form.elements.token.value = token;
  form.requestSubmit();
}
