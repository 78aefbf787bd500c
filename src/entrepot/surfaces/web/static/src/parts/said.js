// What the floor says about a scan: to screen readers through a region that stays, by a buzz, and by a sound where somebody wants it.
const SOUNDS = "entrepot-sounds";
const TONES = { ok: [[880, 0.12]], stop: [[220, 0.25], [180, 0.35]], note: [[520, 0.1]] };
const LOUDNESS = 0.2;

// Browsers let a page buzz only after somebody touched it, and complain about one that asks earlier.
export function buzz() {
  if (navigator.userActivation?.hasBeenActive ?? true) navigator.vibrate?.([200, 100, 200]);
}

function sound(state) {
  const context = new AudioContext();
  let at = context.currentTime;
  for (const [pitch, length] of TONES[state] ?? TONES.note) {
    const tone = context.createOscillator();
    const volume = context.createGain();
    volume.gain.value = LOUDNESS;
    tone.frequency.value = pitch;
    tone.connect(volume).connect(context.destination);
    tone.start(at);
    tone.stop(at + length);
    at += length;
  }
  setTimeout(() => context.close(), 2000);
}

export function announce(told) {
  const region = document.querySelector("[data-say]");
  if (region) {
    region.textContent = "";
    requestAnimationFrame(() => (region.textContent = told.textContent.trim()));
  }
  if (told.dataset.said === "stop") buzz();
  if (localStorage.getItem(SOUNDS) === "on") sound(told.dataset.said);
}

export function toggleSounds(button) {
  const show = () => button.setAttribute("aria-pressed", String(localStorage.getItem(SOUNDS) === "on"));
  button.addEventListener("click", () => {
    localStorage.setItem(SOUNDS, localStorage.getItem(SOUNDS) === "on" ? "off" : "on");
    show();
  });
  show();
}
