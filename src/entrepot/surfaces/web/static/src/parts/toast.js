// What was done, said in the corner and gone after a while; errors stay until they are closed.
import { say } from "./says.js";

const SHOWN_MS = 8000;

export function showToast(toast) {
  const corner = document.querySelector("[data-toasts]");
  toast.removeAttribute("data-toast");
  const close = document.createElement("button");
  close.type = "button";
  close.className = "button button-quiet button-icon";
  close.setAttribute("aria-label", say("close"));
  close.textContent = "×";
  close.addEventListener("click", () => toast.remove());
  toast.append(close);
  corner.append(toast);
  if (!toast.classList.contains("toast-danger")) setTimeout(() => toast.remove(), SHOWN_MS);
}

export function tell(text, tone = "success") {
  const toast = document.createElement("div");
  const line = document.createElement("p");
  toast.className = `toast toast-${tone}`;
  line.textContent = text;
  toast.append(line);
  showToast(toast);
}
