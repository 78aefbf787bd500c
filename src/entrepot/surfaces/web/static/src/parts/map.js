// The world: land from Natural Earth as the package world-atlas ships it, places as points and ways as arcs, read from the table beside the map.
import { LinesChart, ScatterChart } from "echarts/charts";
import { GeoComponent, TooltipComponent } from "echarts/components";
import { init, registerMap, use } from "echarts/core";
import { LabelLayout } from "echarts/features";
import { CanvasRenderer } from "echarts/renderers";
import { feature } from "topojson-client";
import world from "world-atlas/countries-110m.json";
import { colours, redrawOnChange } from "./colours.js";

use([GeoComponent, ScatterChart, LinesChart, TooltipComponent, LabelLayout, CanvasRenderer]);
const ANTARCTICA = "010";
const LAND = feature(world, world.objects.countries);
LAND.features = LAND.features.filter((one) => one.id !== ANTARCTICA);
for (const { geometry } of LAND.features) {
  for (const polygon of geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates) unroll(polygon);
}
registerMap("world", LAND);
const WHOLE = [[-168, 78], [190, -56]];
const LEAST_SPAN = 24;

// Land that crosses the 180th meridian goes on beyond it instead of jumping to the other edge of the map.
function unroll(polygon) {
  for (const ring of polygon) {
    const longitudes = ring.map((point) => point[0]);
    if (Math.max(...longitudes) - Math.min(...longitudes) > 180) for (const point of ring) if (point[0] < 0) point[0] += 360;
  }
}

function pointsOf(figure) {
  const rows = [...figure.querySelectorAll("[data-point]")];
  return new Map(rows.map((row) => [row.dataset.point, { at: [Number(row.dataset.longitude), Number(row.dataset.latitude)], label: row.querySelector("th").textContent, figure: row.querySelector("td").textContent, kind: row.dataset.kind, size: Number(row.dataset.size ?? 11) }]));
}

function frameOf(points) {
  if (points.length < 2) return WHOLE;
  const [longitudes, latitudes] = [points.map((one) => one.at[0]), points.map((one) => one.at[1])];
  const frame = (values, least) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const margin = Math.max((high - low) * 0.2, (least - (high - low)) / 2, 6);
    return [low - margin, high + margin];
  };
  const [west, east] = frame(longitudes, LEAST_SPAN * 2);
  const [south, north] = frame(latitudes, LEAST_SPAN);
  return east - west > 220 ? WHOLE : [[Math.max(west, -180), Math.min(north, 83)], [Math.min(east, 190), Math.max(south, -56)]];
}

// A label stands on the side away from the nearest other point, so that two places close to each other are both read.
function sideOf(point, points, frame, width) {
  const side = awayFrom(point, points);
  const room = ((point.at[0] - frame[0][0]) / (frame[1][0] - frame[0][0])) * width;
  return side === "left" && room < LABEL ? "right" : side === "right" && width - room < LABEL ? "left" : side;
}

function awayFrom(point, points) {
  const away = (one) => [one.at[0] - point.at[0], one.at[1] - point.at[1]];
  const near = points.filter((one) => one !== point).map(away).sort((a, b) => Math.hypot(...a) - Math.hypot(...b))[0];
  if (!near) return "right";
  const [east, north] = near;
  return Math.abs(east) >= Math.abs(north) ? (east > 0 ? "left" : "right") : north > 0 ? "bottom" : "top";
}

// On a phone the names of many places would cover each other and leave the map; the table below names them.
const CROWD = 12;
const NARROW = 640;
// About how many points a name takes: where less is left to the edge, it stands on the other side.
const LABEL = 110;

function optionOf(figure, ink, width) {
  const points = pointsOf(figure);
  const all = [...points.values()];
  const frame = frameOf(all);
  const arcs = [...figure.querySelectorAll("[data-arc-from]")].map(({ dataset }) => ({
    coords: [points.get(dataset.arcFrom).at, points.get(dataset.arcTo).at],
    lineStyle: { color: { open: ink.soft, late: ink.warning }[dataset.arcState] ?? ink.brand, width: Number(dataset.arcWidth ?? (dataset.arcState === "now" ? 3 : 2)), type: dataset.arcState === "open" ? "dashed" : "solid", curveness: 0.2, opacity: 1 },
  }));
  const fill = { place: ink.brand, parcel: ink.warning, held: ink.warning, door: ink.ink };
  return {
    tooltip: { renderMode: "richText", backgroundColor: ink.paper, borderColor: ink.line, textStyle: { color: ink.ink, fontSize: 12 } },
    geo: { map: "world", boundingCoords: frame, silent: true, itemStyle: { areaColor: ink.land, borderColor: ink.paper, borderWidth: 0.6 }, left: 0, right: 0, top: 0, bottom: 0, roam: false },
    series: [
      { type: "lines", coordinateSystem: "geo", silent: true, data: arcs },
      {
        type: "scatter",
        coordinateSystem: "geo",
        symbolSize: (_, { data }) => data.size,
        label: { show: width >= NARROW || all.length <= CROWD, position: "right", formatter: "{b}", color: ink.ink, fontFamily: ink.font, fontSize: 12, lineHeight: 15, width: Math.max(160, width * 0.3), overflow: "break", textBorderColor: ink.paper, textBorderWidth: 3 },
        labelLayout: { hideOverlap: true, moveOverlap: "shiftY" },
        tooltip: { formatter: ({ name, data }) => (data.figure ? `${name}: ${data.figure}` : name) },
        data: all.map((one) => ({ name: one.label, label: { position: sideOf(one, all, frame, width) }, value: one.at, figure: one.figure, size: one.size, symbol: one.kind === "parcel" ? "diamond" : "circle", itemStyle: { color: fill[one.kind] ?? ink.brand, borderColor: ink.paper, borderWidth: 2 } })),
      },
    ],
  };
}

export function drawMap(figure) {
  if (!figure.isConnected) return;
  const chart = init(figure.querySelector(".chart-canvas"), null, { renderer: "canvas" });
  const draw = () => chart.setOption(optionOf(figure, colours(), chart.getWidth()), true);
  draw();
  figure.dataset.drawn = "yes";
  redrawOnChange(figure, chart, draw);
}
