// Times in the viewer's zone; UTC stays as the title.
import { LANGUAGE } from "./says.js";

const LOCAL = new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const BRIEF = new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

// British English writes "Sept" in browsers and "Sep" on the server: the same page would say both.
export function showTime(element) {
  element.textContent = (element.dataset.local === "brief" ? BRIEF : LOCAL).format(new Date(element.dateTime)).replace("Sept ", "Sep ").replace("Sept,", "Sep,");
  element.removeAttribute("data-local");
}
