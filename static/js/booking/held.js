// When the three minutes are over the page says so by itself.
document.addEventListener("countdown-over", () => location.reload());
