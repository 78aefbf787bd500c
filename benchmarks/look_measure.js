// What a rendering shows (its texts) and what is wrong with its boxes: too wide, cut, figures that do not stand under each other.
// A column that holds words or codes too is no column of figures: what stands in it stands as words do.
() => {
  const shown = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && element.getClientRects().length > 0;
  const clean = (text) => text.replace(/\s+/g, " ").trim();
  const name = (element) => `${element.localName}${element.className && element.className.baseVal === undefined ? `.${String(element.className).split(" ")[0]}` : ""}`;
  const boxes = [];
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) {
    const limit = document.documentElement.clientWidth + 1;
    const widest = [...document.querySelectorAll("body *")].filter((one) => shown(one) && one.getBoundingClientRect().right > limit);
    boxes.push(`${wide} px too wide: ${[...new Set(widest.map(name))].slice(-3).join(", ")}`);
  }
  for (const element of document.querySelectorAll("body *")) {
    if (!shown(element) || element.closest("svg, .visually-hidden, .skip, select, [aria-hidden=true]")) continue;
    const style = getComputedStyle(element);
    const hides = ["hidden", "clip"].includes(style.overflowX) && style.clipPath === "none";
    if (hides && element.clientWidth > 2 && element.scrollWidth > element.clientWidth + 1 && clean(element.textContent) && !element.closest("[title]")) {
      boxes.push(`cut: ${name(element)} “${clean(element.textContent).slice(0, 50)}”`);
    }
    if (["input", "textarea"].includes(element.localName) && element.placeholder && element.scrollWidth > element.clientWidth + 1 && !element.value) {
      boxes.push(`cut placeholder: “${element.placeholder}”`);
    }
    if (["a", "button"].includes(element.localName) && style.whiteSpace === "nowrap" && element.scrollWidth > element.clientWidth + 1 && style.display !== "inline") {
      boxes.push(`overflowing button: ${name(element)} “${clean(element.textContent).slice(0, 40)}”`);
    }
    if (element.localName === "td" && !element.querySelector("code") && /^[\s\u00a0]*[−+-]?[^\p{L}]{0,3}[\d.,\u00a0]+[^\p{L}\d]{0,2}$/u.test(element.textContent) && /\d/.test(element.textContent)) {
      const inner = getComputedStyle(element.querySelector("a, span") ?? element);
      const isCard = style.display !== "table-cell";
      const column = [...element.closest("table").querySelectorAll(`tbody tr > :nth-child(${element.cellIndex + 1})`)];
      const isMixed = column.some((one) => /\p{L}/u.test(one.textContent.replace(/[A-Z]{0,3}[$¥£€]/g, "")));
      if (isMixed) continue;
      if (!isCard && !["end", "right"].includes(style.textAlign)) boxes.push(`figure not at the end: “${clean(element.textContent)}” in ${name(element.closest("table"))}`);
      if (!inner.fontVariantNumeric.includes("tabular-nums")) boxes.push(`figure not tabular in ${name(element.closest("table"))} ${name(element)}`);
    }
  }
  const texts = new Set([document.title]);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!parent || parent.closest("script, style, code, kbd, pre, [lang]:not(html), option") || !shown(parent)) continue;
    if (clean(node.data)) texts.add(clean(node.data));
  }
  for (const element of document.querySelectorAll("[aria-label], [title], [placeholder], [alt]")) {
    if (element.closest("[lang]:not(html)")) continue;
    for (const attribute of ["aria-label", "title", "placeholder", "alt"]) if (clean(element.getAttribute(attribute) ?? "")) texts.add(clean(element.getAttribute(attribute)));
  }
  for (const option of document.querySelectorAll("option")) if (!option.closest("[lang]:not(html)")) texts.add(clean(option.textContent));
  return { boxes: [...new Set(boxes)], texts: [...texts].filter(Boolean) };
}
