// One chart: lines over steps with their envelopes, marks, a shared pointer and a zoom.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/preact-htm.js";
import { number } from "./format.js";
import { drawMarks, drawPoints } from "./chart_marks.js";
import { uPlot } from "./plot.js";

const HEIGHT = 240;
const POINTER = uPlot.sync("steps");

/** Whether the system asks for dark colours; drawn charts don't follow by themselves. */
function useDark() {
  const query = matchMedia("(prefers-color-scheme: dark)");
  const [isDark, setDark] = useState(query.matches);
  useEffect(() => {
    const changed = () => setDark(query.matches);
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, []);
  return isDark;
}

/** A colour of the style sheet, by its name there. */
export const colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const faded = (name, percent) => `color-mix(in srgb, ${colour(name)} ${percent}%, transparent)`;

/**
 * `lines`: `{key, label, colour, steps, values, low?, high?, dashed?, faint?, width?, stairs?}`;
 * `low` and `high` are drawn as a band behind. `range` are the steps from and to that are shown.
 * `onZoom(from, to)` is told which steps were chosen, and `onZoom(null)` that all are wanted.
 */
export function Chart(props) {
  const { title, note, lines, logarithmic, range, marks = [], onZoom } = props;
  const element = useRef(null);
  const readout = useRef(null);
  const chart = useRef(null);
  const latest = useRef(props);
  latest.current = props;
  const isDark = useDark();
  const shape = lines.map((line) =>
    [line.key, line.colour, line.dashed, line.faint, line.width, line.stairs, !!line.low].join())
    .join(";");

  useLayoutEffect(() => {
    const made = new uPlot(options(latest, readout, element.current), data(lines), element.current);
    chart.current = made;
    const observer = new ResizeObserver(() => {
      const width = Math.floor(element.current.clientWidth);
      if (width && width !== made.width) made.setSize({ width, height: HEIGHT });
    });
    observer.observe(element.current);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [shape, logarithmic, isDark]);

  useLayoutEffect(() => {
    chart.current.setData(data(lines), true);
    tell(chart.current, lines, readout.current);
  }, [lines, range?.[0], range?.[1], marks]);

  return html`
    <figure class="chart" aria-label=${title}>
      <figcaption>
        <h3>${title}</h3><span class="note">${note}</span>
      </figcaption>
      <div class="plot" ref=${element} tabindex="0" role="img"
        aria-label="${title}: ${spoken(lines)}. Arrow keys move the pointer, + and − zoom, 0 shows all."
        onKeyDown=${(event) => keys(event, chart.current, latest.current, readout.current)}></div>
      <ul class="readout" ref=${readout}>
        ${lines.filter((line) => line.label).map((line) => html`
          <li key=${line.key}>
            <i class="swatch ${line.dashed ? "dashed" : ""} ink-${line.colour}"></i>
            <span>${line.label}</span> <output data-key=${line.key}></output>
          </li>`)}
        <li class="at"><output data-key="step"></output></li>
      </ul>
    </figure>`;
}

const spoken = (lines) => lines.filter((line) => line.label && line.values.length)
  .map((line) => `${line.label} is ${number(line.values[line.values.length - 1])} at step ` +
    `${line.steps[line.steps.length - 1]}`).join(", ") || "no values yet";

/** The columns of uPlot, which has one of steps for all. */
function data(lines) {
  const tables = lines.flatMap((line) => [
    ...(line.low ? [[line.steps, line.high], [line.steps, line.low]] : []),
    [line.steps, line.values],
  ]);
  return tables.length ? uPlot.join(tables) : [[]];
}

function series(lines) {
  const found = [{}];
  const bands = [];
  for (const line of lines) {
    if (line.low) {
      const band = { stroke: null, width: 0, points: { show: false } };
      bands.push({ series: [found.length, found.length + 1], fill: faded(line.colour, 22) });
      found.push(band, { ...band });
    }
    found.push({
      stroke: line.faint ? faded(line.colour, 40) : colour(line.colour),
      width: line.width || 1.6,
      pxAlign: 0, // lines of many points are even only between pixels
      dash: line.dashed ? [6, 5] : undefined,
      paths: line.stairs ? uPlot.paths.stepped({ align: 1 }) : undefined,
      points: { show: drawPoints(line) },
    });
  }
  return { series: found, bands };
}

function options(latest, readout, element) {
  const { lines, logarithmic } = latest.current;
  const axis = {
    stroke: colour("quiet"),
    grid: { stroke: colour("grid"), width: 1 },
    ticks: { show: false },
    font: `12px ${getComputedStyle(document.body).fontFamily}`,
  };
  return {
    width: Math.floor(element.clientWidth) || 600,
    height: HEIGHT,
    padding: [8, 30, 0, 0],
    legend: { show: false },
    scales: {
      x: { time: false, range: (u, low, high) => stepRange(latest.current.range, low, high) },
      y: logarithmic
        ? { distr: 3, range: (u, low, high) => uPlot.rangeLog(positive(low), positive(high), 10, false) }
        : { range: (u, low, high) => valueRange(low, high) },
    },
    axes: [
      { ...axis, size: 30, space: 80, values: (u, ticks) => ticks.map(stepTick) },
      { ...axis, size: 62, values: (u, ticks) => ticks.map((tick) => tick === null ? "" : number(tick)) },
    ],
    ...series(lines),
    cursor: {
      sync: { key: POINTER.key, setSeries: false, scales: ["x", null] },
      drag: { x: true, y: false, setScale: false, dist: 4 },
      bind: { dblclick: () => () => latest.current.onZoom?.(null) },
      dataIdx: (u, place, index) => nearestValue(u.data[place], index),
      points: { size: 7 },
    },
    hooks: {
      setCursor: [(u) => tell(u, latest.current.lines, readout.current)],
      setSelect: [(u) => selected(u, latest.current.onZoom)],
      draw: [(u) => drawMarks(u, latest.current, colour)],
    },
  };
}

const positive = (value) => (value > 0 ? value : 1e-12);

const stepTick = (tick) => (tick === null || !Number.isInteger(tick) ? "" : number(tick));

function stepRange(range, low, high) {
  const [from, to] = range || [low ?? 0, high ?? 1];
  return to > from ? [from, to] : [from - 0.5, from + 0.5];
}

function valueRange(low, high) {
  if (low === null || low === undefined) return [0, 1];
  if (low === high) return low === 0 ? [-0.1, 1] : [low - Math.abs(low) * 0.1, low + Math.abs(low) * 0.1];
  const space = (high - low) * 0.06;
  return [low >= 0 && low < space * 4 ? 0 : low - space, high + space];
}

/** The place nearest to one at which a series has a value, since others have values between. */
function nearestValue(values, index) {
  for (let away = 0; away < values.length; away += 1) {
    for (const place of [index - away, index + away]) {
      if (values[place] !== undefined && values[place] !== null) return place;
    }
  }
  return index;
}

/** The place of the last step that is not behind another one; 0 where all are. */
export function placeOf(steps, step) {
  let [low, high] = [0, steps.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (steps[middle] <= step) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The last step that was measured; a plan goes beyond. */
const lastStep = (lines) => Math.max(...lines.filter((line) => !line.dashed)
  .map((line) => line.steps.at(-1) ?? -Infinity), -Infinity);

/** Writes the values under the pointer, and the last ones where there is none. */
function tell(u, lines, readout) {
  if (!readout) return;
  const { left } = u.cursor;
  const isPointed = left !== null && left !== undefined && left >= 0;
  const step = isPointed ? u.posToVal(left, "x") : lastStep(lines);
  let at = "";
  for (const output of readout.querySelectorAll("output")) {
    const line = lines.find(({ key }) => key === output.dataset.key);
    if (!line) continue;
    let place = placeOf(line.steps, step === -Infinity ? Infinity : step);
    const isNext = line.steps[place + 1] - step < step - line.steps[place];
    if (isPointed && isNext) place += 1;
    output.textContent = line.steps.length ? number(line.values[place], 6) : "";
    if (isPointed && line.steps.length) at ||= `step ${number(line.steps[place])}`;
  }
  readout.querySelector('[data-key="step"]').textContent = at;
}

function selected(u, onZoom) {
  const { left, width } = u.select;
  if (width > 3) {
    const from = Math.max(0, Math.floor(u.posToVal(left, "x")));
    const to = Math.ceil(u.posToVal(left + width, "x"));
    u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    onZoom?.(from, Math.max(to, from + 1));
  }
}

function keys(event, u, { onZoom }, readout) {
  const { min, max } = u.scales.x;
  const width = u.over.clientWidth;
  const left = u.cursor.left >= 0 ? u.cursor.left : width / 2;
  const at = u.posToVal(left, "x");
  const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (move) {
    const next = Math.max(0, Math.min(width, left + move * width * (event.shiftKey ? 0.1 : 0.01)));
    u.setCursor({ left: next, top: u.over.clientHeight / 2 }, true, true); // in all charts
    readout.setAttribute("aria-live", "polite");
  } else if (event.key === "+" || event.key === "=") {
    zoom(onZoom, at, (max - min) / 2, min, max);
  } else if (event.key === "-") {
    zoom(onZoom, at, (max - min) * 2, min, max);
  } else if (event.key === "0" || event.key === "Escape") {
    onZoom?.(null);
  } else {
    return;
  }
  event.preventDefault();
}

/** Asks for the steps around one that keeps its place in the chart. */
function zoom(onZoom, at, width, min, max) {
  const from = Math.max(0, Math.floor(at - ((at - min) / (max - min)) * width));
  onZoom?.(from, Math.max(from + 2, Math.ceil(from + width)));
}
