// When the picture stops, the other person's last clear picture stays, so that nobody talks to a black square.

const EVERY_MS = 3000, WIDTH = 480;
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
    still.width = WIDTH;
    still.height = Math.round(WIDTH * video.videoHeight / video.videoWidth);
    still.getContext("2d").drawImage(video, 0, 0, still.width, still.height);
    hasPicture = true;
  }, EVERY_MS);
}
