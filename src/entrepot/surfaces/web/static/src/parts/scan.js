// The scan field: hand scanners type fast and end with Enter; the camera reads where the browser can. Each scan carries the device and its number,
// so that a scan sent twice counts once. The field takes the focus back, because gloves do not click.
import { buzz } from "./said.js";
import { say } from "./says.js";
import { tell } from "./toast.js";

const DEVICE = "entrepot-device";
const SEQUENCE = "entrepot-sequence";
const FORMATS = ["code_128", "ean_13", "ean_8", "upc_a", "itf", "qr_code", "data_matrix"];
const LOOK_MS = 250;

function deviceCode() {
  const known = localStorage.getItem(DEVICE);
  if (known) return known;
  const fresh = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  localStorage.setItem(DEVICE, fresh);
  return fresh;
}

function number(form) {
  if (!form.querySelector("[data-scan-device]")) return; // the page numbers its scans itself
  const next = Number(localStorage.getItem(SEQUENCE) ?? 0) + 1;
  localStorage.setItem(SEQUENCE, String(next));
  form.querySelector("[data-scan-device]").value = deviceCode();
  form.querySelector("[data-scan-sequence]").value = String(next);
}

async function look(form, field) {
  const video = form.querySelector("[data-scan-video]");
  if (video.srcObject) {
    stop(video);
    return;
  }
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    tell(say("camera"), "danger");
    return;
  }
  video.hidden = false;
  await video.play();
  const detector = new BarcodeDetector({ formats: FORMATS });
  while (video.srcObject && form.isConnected) {
    const [found] = await detector.detect(video);
    if (found) {
      field.value = found.rawValue;
      stop(video);
      form.requestSubmit();
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  stop(video);
}

function stop(video) {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  video.hidden = true;
}

export function startScan(form) {
  const field = form.querySelector("[name=code]");
  const camera = form.querySelector("[data-scan-camera]");
  camera.hidden = !("BarcodeDetector" in window && navigator.mediaDevices);
  camera.addEventListener("click", () => look(form, field));
  form.querySelector("[data-scan-keys]").addEventListener("click", () => {
    field.inputMode = field.inputMode === "none" ? "text" : "none";
    field.focus();
  });
  number(form);
  document.addEventListener("keydown", (event) => {
    const isElsewhere = form.isConnected && !document.querySelector("dialog[open]") && !event.target.closest("input, select, textarea, button, a, summary");
    if (isElsewhere && event.key.length === 1 && !event.ctrlKey && !event.metaKey) field.focus();
  });
  if (form.classList.contains("scan-stop")) buzz();
  if (form.hasAttribute("data-scan-focus")) field.focus({ preventScroll: true });
}
