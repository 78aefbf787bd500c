// The operator's map: as long as it shows now it follows what the server sends; the scrubber shows how it was in the last day.
import { say } from "./says.js";

export function watchNetwork(root) {
  const scrubber = root.querySelector("input[type=range]");
  const shown = root.querySelector("[data-network-shown]");
  const told = root.querySelector("[data-network-hour]");
  const sign = root.querySelector("[data-network-live]");
  const isNow = () => scrubber.value === scrubber.max;
  let asked = 0;
  const tell = (isLive) => {
    sign.textContent = say(isLive ? "live" : "reconnecting");
    sign.classList.toggle("live-on", isLive);
    sign.hidden = !isNow();
  };
  const show = async () => {
    const mine = ++asked;
    told.textContent = scrubber.getAttribute("aria-valuetext");
    sign.hidden = !isNow();
    const answer = await fetch(`${root.dataset.networkAt}?hours=${Number(scrubber.max) - Number(scrubber.value)}`);
    if (answer.ok && mine === asked) shown.innerHTML = await answer.text();
  };
  const name = () => {
    const hours = Number(scrubber.max) - Number(scrubber.value);
    scrubber.setAttribute("aria-valuetext", hours ? root.dataset.ago.replace("{hours}", hours) : root.dataset.now);
  };
  scrubber.addEventListener("input", () => {
    name();
    show();
  });
  name();
  const source = new EventSource(root.dataset.network);
  source.addEventListener("open", () => tell(true));
  source.addEventListener("error", () => tell(false));
  source.addEventListener("network", (event) => {
    if (isNow() && !shown.contains(document.activeElement)) shown.innerHTML = event.data;
  });
  addEventListener("pagehide", () => source.close());
}
