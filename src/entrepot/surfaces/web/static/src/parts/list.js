// Selection in lists: how many rows are chosen and what they sum up to, currency by currency.
import { LANGUAGE, say } from "./says.js";

function money(minor, currency) {
  if (!currency) return new Intl.NumberFormat(LANGUAGE).format(minor);
  const format = new Intl.NumberFormat(LANGUAGE, { style: "currency", currency });
  return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
}

function sumsOf(rows) {
  const sums = new Map();
  for (const row of rows) {
    for (const cell of row.querySelectorAll("[data-currency]:not([data-currency=''])")) {
      const { currency, minor } = cell.dataset;
      sums.set(currency, (sums.get(currency) ?? 0) + Number(minor));
    }
  }
  return [...sums].map(([currency, minor]) => money(minor, currency)).join(" + ");
}

export function startList(list) {
  const all = list.querySelector("[data-select-all]");
  const bar = list.querySelector("[data-selection]");
  const boxes = [...list.querySelectorAll("[data-select]")];
  if (!all || !bar) return;
  const tell = () => {
    const chosen = boxes.filter((box) => box.checked);
    bar.hidden = chosen.length === 0;
    all.checked = chosen.length === boxes.length;
    all.indeterminate = chosen.length > 0 && !all.checked;
    bar.querySelector("[data-selection-count]").textContent = say("selected", { count: chosen.length });
    bar.querySelector("[data-selection-sums]").textContent = sumsOf(chosen.map((box) => box.closest("tr")));
    for (const box of boxes) box.closest("tr").classList.toggle("is-selected", box.checked);
  };
  const set = (isChosen) => {
    for (const box of boxes) box.checked = isChosen;
    tell();
  };
  all.addEventListener("change", () => set(all.checked));
  list.querySelector("[data-select-none]").addEventListener("click", () => set(false));
  for (const box of boxes) box.addEventListener("change", tell);
  tell();
}
