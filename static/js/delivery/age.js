// How old the kept list is. A phone's clock alone proves nothing: it is set on and back, starts at 1970, or is an hour slow.
// So it hides at once, and erases only with a witness: the server's time, the phone's own counting, or a second day of it.

const DAY_MS = 86_400_000;
const LIST_LIVES_MS = 7 * DAY_MS;
const APART_MS = DAY_MS;

/** Begin the age of a list that the server gave at `serverTime`, when this phone's clock said `now`. */
export const newAge = (serverTime, now) => ({ given_at: serverTime, saved_at: now, counted_ms: 0, late_at: null });

/** Tell whether the phone's clock says that the list is too old to be shown. */
export const isLate = (age, now) => now - age.saved_at > LIST_LIVES_MS;

/** Tell whether it is certain enough to erase the list. `serverTime` is what a server just said, or null. */
export function isOver(age, now, serverTime = null) {
  const byServer = serverTime !== null && serverTime - (age.given_at ?? age.saved_at) > LIST_LIVES_MS;
  const isLateAgain = Boolean(age.late_at) && isLate(age, now) && now - age.late_at >= APART_MS;
  return byServer || (age.counted_ms ?? 0) > LIST_LIVES_MS || isLateAgain;
}

/** Return the age after `runMs` more that the phone has counted itself, with its clock at `now`. */
export function older(age, now, runMs) {
  const lateAt = isLate(age, now) ? Math.min(age.late_at ?? now, now) : age.late_at ?? null;
  return { ...age, counted_ms: (age.counted_ms ?? 0) + runMs, late_at: lateAt };
}
