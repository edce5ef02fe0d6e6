// Dates and times as the server writes them. A browser asked for Belarusian answers in a language of its own, month first.

const FIELDS = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

/** "31.12" of a moment in a zone; without a zone by this device's clock. */
export function shortDay(moment, zone) {
  const { day, month } = fields(moment, zone);
  return `${day}.${month}`;
}

/** "23:58" of a moment in a zone. */
export function clock(moment, zone) {
  const { hour, minute } = fields(moment, zone);
  return `${hour}:${minute}`;
}

/** "31.12.2026 23:58" of a moment in a zone. */
export function dayAndClock(moment, zone) {
  return `${shortDay(moment, zone)}.${fields(moment, zone).year} ${clock(moment, zone)}`;
}

/** Whether this browser knows a zone by its name; an old one may not know a new zone. */
export function isKnown(zone) {
  try {
    return Boolean(zone) && Boolean(new Intl.DateTimeFormat("en-GB", { timeZone: zone }));
  } catch {
    return false;
  }
}

function fields(moment, zone) {
  const parts = new Intl.DateTimeFormat("en-GB", { ...FIELDS, timeZone: zone }).formatToParts(moment);
  return Object.fromEntries(parts.map(({ type, value }) => [type, value]));
}
