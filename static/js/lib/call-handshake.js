// Each side tells the other what arrives; "talking" is what both say, never what one side's connection state says.
// It is said over the server, which keeps the first word, and over the connection itself: where media come through this
// comes through, too, also while the thin line's socket is away or the server restarts.

const AGAIN_EVERY_S = 5, DIRECT_EVERY_S = 2, DIRECT_HOLDS_S = 10;
const POOR_LOSS_PCT = 15, FIGURES_HOLD_S = 4;
export const nothing = () => ({ audio: false, video: false });

/** `tell(document)` carries the news over the server, `tellDirectly(document)` over the connection; each returns whether it could. */
export function openHandshake({ tell, tellDirectly }) {
  let last = nothing(), hear = nothing(), heard = nothing(), told = "", ticks = 0, directUntil = 0, far = { lossPct: null, kbitS: null, until: 0 };

  return {
    get hear() { return hear; },
    get heard() { return heard; },
    /** What the far end lost of our voice in its last second. Its browser's own reports come every five seconds at best. */
    get lossPct() { return ticks < far.until ? far.lossPct : null; },
    /** What of ours arrived at the far end in its last second. A browser may have no estimate of its own. */
    get arrivesKbitS() { return ticks < far.until ? far.kbitS : null; },
    /**
     * Once a second: what arrives here (a second without anything is no silence yet), how much of the voice was lost, and
     * how much came in all.
     */
    notice(arrives, lossPct = null, kbitS = null) {
      hear = { audio: arrives.audio || last.audio, video: arrives.video || last.video };
      last = arrives;
      const text = `${hear.audio}${hear.video}`, isNews = text !== told;
      ticks += 1;
      if (isNews || lossPct > POOR_LOSS_PCT || ticks % DIRECT_EVERY_S === 0) tellDirectly({ ...hear, lossPct, kbitS });
      if ((isNews || ticks % AGAIN_EVERY_S === 0) && tell(hear)) told = text;
    },
    /** The far end's word. What came directly is newer than what a socket kept back. */
    take({ audio, video, lossPct = null, kbitS = null }, { isDirect = false } = {}) {
      if (!isDirect && ticks < directUntil) return;
      if (isDirect) {
        directUntil = ticks + DIRECT_HOLDS_S;
        far = { lossPct, kbitS, until: ticks + FIGURES_HOLD_S };
      }
      heard = { audio: Boolean(audio), video: Boolean(video) };
    },
    /** The far end has gone: it hears nothing of us. */
    lose() {
      heard = nothing();
      told = "";
    },
    /** A new connection begins with nothing on both sides. */
    reset() {
      last = hear = heard = nothing();
      told = "";
      directUntil = 0;
    },
  };
}
