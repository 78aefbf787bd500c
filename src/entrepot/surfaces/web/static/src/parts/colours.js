// The tokens as a canvas needs them: resolved for light or dark.
const PROBE = document.createElement("span");

function resolved(name) {
  PROBE.style.color = `var(${name})`;
  return getComputedStyle(PROBE).color;
}

export function colours() {
  PROBE.hidden = true;
  document.body.append(PROBE);
  const found = {
    ink: resolved("--ink"),
    soft: resolved("--ink-soft"),
    line: resolved("--line"),
    strong: resolved("--line-strong"),
    paper: resolved("--paper"),
    land: resolved("--line-strong"),
    brand: resolved("--brand"),
    warning: resolved("--warning"),
    series: [1, 2, 3, 4, 5, 6].map((number) => resolved(`--series-${number}`)),
    font: getComputedStyle(document.body).fontFamily,
  };
  PROBE.remove();
  return found;
}

export function redrawOnChange(figure, chart, draw, fit = () => chart.resize()) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const observer = new ResizeObserver(() => {
    if (figure.isConnected) return fit();
    observer.disconnect();
    dark.removeEventListener("change", draw);
    chart.dispose();
  });
  observer.observe(figure);
  dark.addEventListener("change", draw);
}
