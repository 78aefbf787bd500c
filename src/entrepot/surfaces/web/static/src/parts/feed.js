// Lines that the server sends as they happen, newest on top.
import { say } from "./says.js";

const ROWS = 30;

export function follow(feed) {
  const sign = document.querySelector("[data-live]");
  const source = new EventSource(feed.dataset.feed);
  const tell = (key, isLive) => {
    if (!sign) return;
    sign.textContent = say(key);
    sign.classList.toggle("live-on", isLive);
  };
  source.addEventListener("open", () => tell("live", true));
  source.addEventListener("error", () => tell("reconnecting", false));
  source.addEventListener("fact", (event) => {
    document.querySelector("[data-feed-empty]")?.remove();
    feed.insertAdjacentHTML("afterbegin", event.data);
    feed.firstElementChild.classList.add("feed-new");
    while (feed.children.length > ROWS) feed.lastElementChild.remove();
  });
  addEventListener("pagehide", () => source.close());
}
