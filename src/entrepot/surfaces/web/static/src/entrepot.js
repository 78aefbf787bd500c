// What every page loads. A part takes an element and brings it to life; charts and the map are loaded only by pages that hold one.
import "htmx.org";
import { openDialog } from "./parts/dialog.js";
import { follow } from "./parts/feed.js";
import { chooseWhole, focusErrors, sendOnChange, takeFocus } from "./parts/forms.js";
import { startList } from "./parts/list.js";
import { watchNetwork } from "./parts/network.js";
import { startPrint } from "./parts/print.js";
import { watchProgress } from "./parts/progress.js";
import { announce, toggleSounds } from "./parts/said.js";
import { reachScroller } from "./parts/scroll.js";
import { startScan } from "./parts/scan.js";
import { startTabs } from "./parts/tabs.js";
import { showTime } from "./parts/times.js";
import { say } from "./parts/says.js";
import { showToast, tell } from "./parts/toast.js";

const PARTS = [
  ["time[data-local]", showTime],
  ["[data-feed]", follow],
  ["[data-listing]", startList],
  ["[data-network]", watchNetwork],
  [".scroll", reachScroller],
  ["[data-tabs]", startTabs],
  ["[data-toast]", showToast],
  ["[data-progress]", watchProgress],
  ["[data-scan]", startScan],
  ["[data-said]", announce],
  ["[data-focus]", takeFocus],
  ["[data-whole]", chooseWhole],
  ["[data-sounds]", toggleSounds],
  ["[data-error-summary]", focusErrors],
  ["[data-opens]", openDialog],
  ["[data-print]", startPrint],
  ["[data-chart]", async (figure) => (await import("./parts/chart.js")).drawChart(figure)],
  ["[data-map]", async (figure) => (await import("./parts/map.js")).drawMap(figure)],
];

function dress(root) {
  for (const [selector, start] of PARTS) {
    if (root.matches?.(selector)) start(root);
    for (const element of root.querySelectorAll(selector)) start(element);
  }
}

document.addEventListener("change", sendOnChange);
for (const failure of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) document.addEventListener(failure, () => tell(say("failed"), "danger"));
document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("details[data-closes][open]")) if (!open.contains(event.target)) open.open = false;
});
document.addEventListener("keydown", (event) => {
  const inField = event.target.closest?.("input, select, textarea, [contenteditable]");
  if (event.key === "Escape") {
    const open = event.target.closest?.("details[data-closes][open]");
    if (open) {
      open.open = false;
      open.querySelector("summary").focus();
    }
  } else if (!inField && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const wanted = document.querySelector(`[data-hotkey="${CSS.escape(event.key)}"]`);
    if (wanted) {
      event.preventDefault();
      wanted.focus();
    }
  }
});
new MutationObserver((changes) => {
  for (const change of changes) for (const node of change.addedNodes) if (node.nodeType === Node.ELEMENT_NODE) dress(node);
}).observe(document.body, { childList: true, subtree: true });
dress(document);
