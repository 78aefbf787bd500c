// Charts: they read the figures of the table beside them, take their colours from the tokens, and draw no inline styles into the page.
import { BarChart, LineChart, PieChart } from "echarts/charts";
import { AriaComponent, GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { colours, redrawOnChange } from "./colours.js";
import { LANGUAGE } from "./says.js";

use([BarChart, LineChart, PieChart, GridComponent, LegendComponent, TooltipComponent, AriaComponent, CanvasRenderer]);

function figuresOf(figure) {
  const heads = [...figure.querySelectorAll("thead th")].slice(1).map((head) => head.textContent);
  const rows = [...figure.querySelectorAll("tbody tr")].map((row) => ({
    label: row.querySelector("th").textContent,
    cells: [...row.querySelectorAll("td")].map((cell) => ({ value: cell.dataset.value === "" ? null : Number(cell.dataset.value), text: cell.textContent })),
  }));
  return { heads, rows };
}

function seriesOf(kind, heads, rows) {
  const type = kind === "line" || kind === "area" ? "line" : "bar";
  return heads.map((name, index) => ({
    name,
    type,
    data: rows.map((row) => row.cells[index].value),
    stack: kind === "stacked" || kind === "area" || kind === "tornado" ? "all" : undefined,
    areaStyle: kind === "area" ? { opacity: 0.25 } : undefined,
    symbolSize: 6,
    barMaxWidth: 36,
    itemStyle: type === "bar" && kind !== "stacked" ? { borderRadius: 3 } : undefined,
  }));
}

// How high the names below the axis stand: on narrow pages, and in languages with long words, they need more than one line.
function heightOfNames(heads, width) {
  const wide = heads.reduce((sum, head) => sum + 30 + [...head].reduce((letters, letter) => letters + (letter > "\u2e80" ? 13 : 7.5), 0), 0);
  return 32 + 20 * Math.floor(wide / width);
}

function optionOf(kind, unit, { heads, rows }, ink, width) {
  const brief = new Intl.NumberFormat(LANGUAGE, { notation: "compact", maximumFractionDigits: 1 });
  const text = { color: ink.soft, fontFamily: ink.font, fontSize: 12 };
  const shared = {
    color: ink.series,
    textStyle: { fontFamily: ink.font },
    aria: { enabled: false, decal: { show: false } },
    animationDuration: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 400,
    animationDurationUpdate: 0,
    tooltip: { renderMode: "richText", trigger: kind === "share" ? "item" : "axis", backgroundColor: ink.paper, borderColor: ink.line, textStyle: { color: ink.ink, fontSize: 12 } },
    legend: heads.length > 1 || kind === "share" ? { bottom: 0, icon: "roundRect", itemWidth: 10, itemHeight: 10, textStyle: text } : undefined,
  };
  if (kind === "share") {
    const slices = rows.map((row) => ({ name: row.label, value: row.cells[0].value }));
    return { ...shared, series: [{ type: "pie", radius: ["55%", "78%"], center: ["50%", "44%"], label: { show: false }, itemStyle: { borderColor: ink.paper, borderWidth: 2 }, data: slices }] };
  }
  const labels = { type: "category", data: rows.map((row) => row.label), axisLine: { lineStyle: { color: ink.line } }, axisTick: { show: false }, axisLabel: { ...text, hideOverlap: true } };
  const values = { type: "value", name: unit, nameTextStyle: { ...text, align: "left" }, splitLine: { lineStyle: { color: ink.line } }, axisLabel: { ...text, formatter: (value) => brief.format(value) } };
  const isLying = kind === "tornado";
  return {
    ...shared,
    grid: { left: 8, right: 12, top: unit ? 28 : 12, bottom: heads.length > 1 ? heightOfNames(heads, width) : 4, outerBoundsMode: "same" },
    xAxis: isLying ? values : labels,
    yAxis: isLying ? { ...labels, inverse: true } : values,
    series: seriesOf(kind, heads, rows),
  };
}

export function drawChart(figure) {
  const chart = init(figure.querySelector(".chart-canvas"), null, { renderer: "canvas" });
  const draw = () => chart.setOption(optionOf(figure.dataset.chart, figure.dataset.unit, figuresOf(figure), colours(), chart.getWidth()), true);
  draw();
  figure.dataset.drawn = "yes";
  let width = chart.getWidth();
  redrawOnChange(figure, chart, draw, () => {
    chart.resize();
    if (chart.getWidth() !== width) draw();
    width = chart.getWidth();
  });
}
