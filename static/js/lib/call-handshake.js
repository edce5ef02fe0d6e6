// Each side tells the other what arrives; "talking" is what both say, never what one side's connection state says.

const AGAIN_EVERY_S = 5;
export const nothing = () => ({ audio: false, video: false });

/** `tell(document)` carries the news to the far end and returns whether it could. */
export function openHandshake(tell) {
  let hear = nothing(), heard = nothing(), told = "", ticks = 0;

  return {
    get hear() { return hear; },
    get heard() { return heard; },
    /** Once a second: what arrives here. */
    notice(arrives) {
      hear = arrives;
      const text = `${hear.audio}${hear.video}`;
      if (text === told && ++ticks % AGAIN_EVERY_S) return;
      if (tell(hear)) told = text;
    },
    take({ audio, video }) {
      heard = { audio: Boolean(audio), video: Boolean(video) };
    },
    /** The far end has gone: it hears nothing of us. */
    lose() {
      heard = nothing();
      told = "";
    },
    /** A new connection begins with nothing on both sides. */
    reset() {
      hear = heard = nothing();
      told = "";
    },
  };
}
