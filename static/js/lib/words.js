// The words a script may show. The page carries them, translated, in JSON blocks that are data, not code.

const words = {};
for (const block of document.querySelectorAll('script[type="application/json"][id^="words"]')) Object.assign(words, JSON.parse(block.textContent));

/** Return the page's word for `key`, with every {name} replaced. An unknown key comes back as itself. */
export function word(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

export const hasWord = (key) => key in words;
