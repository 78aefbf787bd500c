// What every page loads: htmx for parts of pages, times in the viewer's zone, selects that send their form, the live feed.
import "htmx.org";

const LOCAL_TIME = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
const BRIEF_TIME = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const FEED_ROWS = 30;

function showLocalTimes(root) {
  for (const element of root.querySelectorAll("time[data-local]")) {
    element.textContent = (element.dataset.local === "brief" ? BRIEF_TIME : LOCAL_TIME).format(new Date(element.dateTime));
    element.removeAttribute("data-local");
  }
}

function sendOnChange(event) {
  event.target.closest("form[data-autosubmit]")?.requestSubmit();
}

function follow(feed) {
  const sign = document.querySelector("[data-live]");
  const source = new EventSource(feed.dataset.feed);
  const say = (text, isLive) => {
    sign.textContent = text;
    sign.classList.toggle("live-on", isLive);
  };
  source.addEventListener("open", () => say("live", true));
  source.addEventListener("error", () => say("reconnecting", false));
  source.addEventListener("fact", (event) => {
    document.querySelector("[data-feed-empty]")?.remove();
    feed.insertAdjacentHTML("afterbegin", event.data);
    feed.firstElementChild.classList.add("feed-new");
    showLocalTimes(feed.firstElementChild);
    while (feed.children.length > FEED_ROWS) feed.lastElementChild.remove();
  });
  addEventListener("pagehide", () => source.close());
}

document.addEventListener("change", sendOnChange);
document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("details.pick[open], details.burger[open]")) if (!open.contains(event.target)) open.open = false;
});
new MutationObserver((changes) => {
  for (const change of changes) for (const node of change.addedNodes) if (node.nodeType === Node.ELEMENT_NODE) showLocalTimes(node);
}).observe(document.body, { childList: true, subtree: true });
showLocalTimes(document);
for (const feed of document.querySelectorAll("[data-feed]")) follow(feed);
