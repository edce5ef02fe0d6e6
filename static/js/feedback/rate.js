// The one-time token stands in the fragment of the address, which no server log sees: move it into the form.
const field = document.querySelector('[data-fragment-token] input[name="token"]');
if (field && location.hash.length > 1) {
  field.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, '', location.pathname);
}
