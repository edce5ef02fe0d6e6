// When the picture stops, the other person's last clear picture stays, so that nobody talks to a black square.

const EVERY_MS = 3000, WIDTH = 480;
const DARK = 16; // of 255: a covered or switched-off camera sends black, which nobody wants to keep
const box = document.querySelector("[data-call]");
if (box) {
  const video = box.querySelector("[data-call-remote]");
  const still = box.querySelector("[data-call-still]");
  let hasPicture = false, isSeen = false;

  box.addEventListener("call-state", ({ detail: { hear } }) => {
    isSeen = hear.video;
    still.hidden = isSeen || !hasPicture;
    box.toggleAttribute("data-still", !still.hidden);
  });

  setInterval(() => {
    if (!isSeen || !video.videoWidth) return;
    const picture = new OffscreenCanvas(WIDTH, Math.round(WIDTH * video.videoHeight / video.videoWidth));
    const drawing = picture.getContext("2d", { willReadFrequently: true });
    drawing.drawImage(video, 0, 0, picture.width, picture.height);
    if (isBlack(drawing.getImageData(0, 0, picture.width, picture.height).data)) return;
    still.width = picture.width;
    still.height = picture.height;
    still.getContext("2d").drawImage(picture, 0, 0);
    hasPicture = true;
  }, EVERY_MS);
}

/** Tell whether no point of a coarse grid is brighter than black; every 199th point hits all columns in turn. */
function isBlack(points) {
  for (let at = 0; at < points.length; at += 4 * 199) {
    if (Math.max(points[at], points[at + 1], points[at + 2]) > DARK) return false;
  }
  return true;
}
