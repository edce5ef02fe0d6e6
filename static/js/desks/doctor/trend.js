// The trend as a chart that answers to the pointer; the server's picture stays where this cannot run.
import uPlot from "uplot";
import { clock, dayAndClock, shortDay } from "../../lib/dates.js";
import { word } from "../../lib/words.js";

const HEIGHT = 190;
const HYPERTENSION_MMHG = 140; // office systolic, ESC 2024
const box = document.querySelector("[data-trend]");
const source = document.getElementById("trend-points");
if (box && source) draw(JSON.parse(source.textContent));

function draw(points) {
  if (points.length < 2) return;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const column = (name) => points.map((point) => point[name] ?? null);
  const line = (label, scale, stroke, unit, dash) => ({
    label, scale, stroke, dash, width: 2, spanGaps: true, points: { size: 7 },
    value: (_chart, value) => (value === null ? "–" : `${value} ${unit}`),
  });
  const axis = { stroke: colour("--ink"), grid: { stroke: colour("--hair"), width: 1 }, ticks: { stroke: colour("--hair") } };
  box.hidden = false;
  const chart = new uPlot({
    width: box.clientWidth, height: HEIGHT,
    scales: { mmhg: { range: pressures }, mmol: { range: [0, 25] } },
    series: [
      { label: word("time"), value: (_chart, at) => (at === null ? "–" : dayAndClock(at * 1000, box.dataset.zone)) },
      line(word("systolic"), "mmhg", colour("--deed"), word("mmhg")),
      line(word("diastolic"), "mmhg", colour("--deed"), word("mmhg"), [6, 4]),
      line(word("glucose"), "mmol", colour("--warn"), word("mmol")),
    ],
    axes: [{ ...axis, values: days }, { ...axis, scale: "mmhg", size: 44 }, { ...axis, scale: "mmol", side: 1, size: 36, grid: { show: false } }],
    hooks: { draw: [limit] },
  }, [column("at"), column("systolic"), column("diastolic"), column("glucose")], box);
  document.querySelector("figure.trend")?.setAttribute("hidden", "");
  addEventListener("resize", () => chart.setSize({ width: box.clientWidth, height: HEIGHT }));

  function limit(drawn) {
    const y = Math.round(drawn.valToPos(HYPERTENSION_MMHG, "mmhg", true));
    drawn.ctx.save();
    drawn.ctx.strokeStyle = colour("--alarm");
    drawn.ctx.setLineDash([5, 4]);
    drawn.ctx.beginPath();
    drawn.ctx.moveTo(drawn.bbox.left, y);
    drawn.ctx.lineTo(drawn.bbox.left + drawn.bbox.width, y);
    drawn.ctx.stroke();
    drawn.ctx.restore();
  }
}

// By the branch's clock, as in the list beside the chart; within two days the time of day tells more.
function days(_chart, moments) {
  const written = moments.at(-1) - moments[0] < 2 * 86400 ? clock : shortDay;
  return moments.map((at) => written(at * 1000, box.dataset.zone));
}

// The usual range stays the same from patient to patient, so that a doctor reads height at a glance.
function pressures(_chart, low, high) {
  return [Math.min(60, low ?? 60), Math.max(200, high ?? 200)];
}
