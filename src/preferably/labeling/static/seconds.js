// How long the page was looked at: seconds while it is visible and has the focus, and somebody is there.

const IDLE = 60_000; // milliseconds without a sign of anybody, after which time does not count
const SIGNS = ["pointermove", "pointerdown", "keydown", "wheel", "touchstart", "scroll"];

let counted = 0;
let last = performance.now();
let sign = last;

function tick() {
  const now = performance.now();
  const there = document.visibilityState === "visible" && document.hasFocus() && now - sign < IDLE;
  if (there) counted += Math.min(now - last, 2000); // a machine that slept does not make hours
  last = now;
}

for (const name of SIGNS) {
  document.addEventListener(name, () => (sign = performance.now()), { passive: true, capture: true });
}
document.addEventListener("visibilitychange", tick);
window.addEventListener("blur", tick);
window.addEventListener("focus", tick);
setInterval(tick, 500);

export function secondsSpent() {
  tick();
  return Math.round(counted / 100) / 10;
}
