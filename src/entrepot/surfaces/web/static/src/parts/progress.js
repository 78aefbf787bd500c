// Long work: asks how far it is until it is done; leaving the page stops only the asking.
import { say } from "./says.js";
import { tell } from "./toast.js";

const PAUSE_MS = 1500;
const MOST_FAILURES = 5;

export async function watchProgress(part) {
  const bar = part.querySelector("progress");
  const text = part.querySelector("[data-progress-text]");
  let failures = 0;
  while (part.isConnected && failures < MOST_FAILURES) {
    try {
      const answer = await fetch(part.dataset.progress, { headers: { accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const { done, total, text: told, href } = await answer.json();
      failures = 0;
      bar.max = total || 1;
      bar.value = done;
      text.textContent = told;
      if (done >= total) {
        tell(say("ready"));
        if (href) location.assign(href);
        return;
      }
    } catch {
      failures += 1;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  if (failures) text.textContent = say("failed");
}
