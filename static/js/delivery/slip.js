// The print button of the slip.

document.querySelector("[data-print]")?.addEventListener("click", () => print());
