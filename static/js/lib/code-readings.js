// What a code was meant to be: scanned or typed under a Russian or Belarusian keyboard, or with letters that look alike.
// The same table as telemed/rules_keyboards.py; tests/contract/code-readings.json holds both to it.

const KEYS = ["йцукенгшщзхъфывапролджэячсмитьбюёіў", "qwertyuiop[]asdfghjkl;'zxcvbnm,.\u0060bo"];
const LOOKS = ["авекмнорстухіјѕьзб", "abekmhopctyxijsb36"];
const LAYOUT_SIGNS = /[фивуі]/;
const MISREAD = { o: "0", i: "1", l: "1", "|": "1" };

/** Return what a 128-bit token may have been, the likelier first: alone or behind the `#` or number of its square. */
export function tokenReadings(typed) {
  const text = folded(typed).split("#").at(-1);
  const [byKey, byLook] = [KEYS, LOOKS].map((table) => plain(swapped(text, table)).slice(-32));
  return [...new Set(LAYOUT_SIGNS.test(text) ? [byKey, byLook] : [byLook, byKey])];
}

const folded = (typed) => typed.normalize("NFC").replaceAll("№", "#").normalize("NFKC").toLowerCase().replace(/\p{Cf}/gu, "");

const swapped = (text, [from, to]) => [...text].map((sign) => to[from.indexOf(sign)] ?? sign).join("");

const plain = (text) => [...text].map((sign) => MISREAD[sign] ?? sign).join("").replace(/[^\p{L}\p{N}]/gu, "");
