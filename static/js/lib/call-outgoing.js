// Put a step of the ladder into effect: what this connection may send.

/** Prefer VP9: at the same rate it keeps a larger picture than VP8 and H.264. Before the negotiation. */
export function preferVp9(connection) {
  const codecs = RTCRtpReceiver.getCapabilities?.("video")?.codecs ?? [];
  const isVp9 = ({ mimeType, sdpFmtpLine }) => mimeType === "video/VP9" && !/profile-id=[1-9]/.test(sdpFmtpLine ?? "");
  if (!codecs.some(isVp9)) return;
  const order = [...codecs.filter(isVp9), ...codecs.filter((codec) => !isVp9(codec))];
  for (const transceiver of connection.getTransceivers()) {
    if (transceiver.receiver.track.kind === "video") transceiver.setCodecPreferences?.(order);
  }
}

/** Apply `{video, voice}` of the ladder; `wanted` is whether this side's person wants to be seen. */
export async function applyOutgoing(connection, { video, voice }, wanted) {
  for (const sender of connection.getSenders()) {
    if (sender.track?.kind === "video") await showPicture(sender, wanted ? video : null);
    if (sender.track?.kind === "audio") await change(sender, (encoding) => limitVoice(encoding, voice));
  }
}

async function showPicture(sender, video) {
  await change(sender, (encoding) => limitVideo(encoding, video, sender.track));
  // A picture that was turned off goes on being repeated to a far end that asks for its lost packets, for ten seconds on
  // a thin line, and takes the voice's room. A change of this hint makes Chromium begin a sender with an empty memory;
  // elsewhere it changes nothing, because nothing is sent.
  sender.track.contentHint = video ? "" : "detail";
}

async function change(sender, limit) {
  const parameters = sender.getParameters();
  const [encoding] = parameters.encodings ?? [];
  if (!encoding) return; // before the negotiation
  limit(encoding);
  await sender.setParameters(parameters).catch((error) => console.warn("call limits", error.name));
}

function limitVideo(encoding, video, track) {
  encoding.active = Boolean(video);
  setOrDrop(encoding, "maxBitrate", video?.max_kbit_s && video.max_kbit_s * 1000);
  setOrDrop(encoding, "maxFramerate", video?.fps);
  const height = track.getSettings().height;
  encoding.scaleResolutionDownBy = video?.height && height ? Math.max(height / video.height, 1) : 1;
}

// Voice has no cap of 16 to 24 kbit/s ever: it would silently take its error correction away.
function limitVoice(encoding, voice) {
  encoding.active = Boolean(voice);
  setOrDrop(encoding, "maxBitrate", voice?.max_bit_s);
  encoding.adaptivePtime = Boolean(voice?.max_bit_s); // fewer and longer packets: at 12 kbit/s headers are most of a short one
}

function setOrDrop(encoding, name, value) {
  if (value) encoding[name] = value;
  else delete encoding[name];
}

/** Ask for unsent pauses in the far end's description of Opus, or leave it as it came. */
export function mendVoice(description, isSpare) {
  if (!isSpare) return description;
  const opus = /a=rtpmap:(\d+) opus\/48000/i.exec(description.sdp)?.[1];
  if (!opus) return description;
  const sdp = description.sdp.replace(new RegExp(`(a=fmtp:${opus} [^\\r\\n]*)`), "$1;usedtx=1");
  return { type: description.type, sdp };
}
