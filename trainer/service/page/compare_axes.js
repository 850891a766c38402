// Parallel coordinates: an axis for each value that differs, a line for each run, brushes to filter.

import { html } from "./vendor/preact-htm.js";
import { number, shown } from "./format.js";

const WIDE = 150;
const HIGH = 200;
const TOP = 28;
const LOGARITHMIC = 30;

const isNumber = (value) => typeof value === "number";
const there = (value) => value !== null && value !== undefined;

/** An axis: where a value is on it, from 0 at its foot to 1, and what is at a place. */
function axisOf(name, of, runs) {
  const values = runs.map(of).filter(there);
  if (values.every(isNumber)) {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const isLog = low > 0 && high > LOGARITHMIC * low;
    const [scaled, back] = isLog ? [Math.log, Math.exp] : [(x) => x, (x) => x];
    const span = scaled(high) - scaled(low) || 1;
    const at = (value) => (scaled(value) - scaled(low)) / span;
    const text = (place) => number(back(scaled(low) + place * span));
    return { name, of, at, text, marks: [[0, text(0)], [1, text(1)]] };
  }
  const words = [...new Set(values.map(shown))].sort();
  const place = (word) => (words.length > 1 ? words.indexOf(word) / (words.length - 1) : 0.5);
  return { name, of, at: (value) => place(shown(value)), marks: words.map((word) => [place(word), word]),
    text: (at) => words[Math.round(at * (words.length - 1))] };
}

const axesOf = ({ columns, metrics, runs }) => [
  ...columns.map((name, place) => axisOf(name, (run) => run.values[place], runs)),
  ...metrics.map((name) => axisOf(name, (run) => run.metrics[name], runs)),
];

/** Whether a run is within every brush. */
export function passes(run, table, brushes) {
  if (!Object.keys(brushes).length) return true;
  return axesOf(table).every(({ name, of, at }) => {
    const [low, high] = brushes[name] || [0, 1];
    return !(name in brushes) || (there(of(run)) && at(of(run)) >= low - 1e-9 && at(of(run)) <= high + 1e-9);
  });
}

const clipped = (place) => Number(Math.max(0, Math.min(1, place)).toFixed(3));

export function Parallel({ table, runs, metric, marked, brushes, setBrushes }) {
  const axes = axesOf(table).filter(({ name }) => table.columns.includes(name) || name === metric || name in brushes);
  if (axes.length < 2) return null;
  const known = new Set(runs.map(({ id }) => id));
  const y = (place) => TOP + (1 - place) * HIGH;
  const brush = (name, ends) => {
    const { [name]: _, ...rest } = brushes;
    setBrushes(ends ? { ...rest, [name]: ends.map(clipped).sort((one, other) => one - other) } : rest);
  };
  const keys = (event, { name }) => {
    const by = { ArrowUp: 0.1, ArrowDown: -0.1 }[event.key];
    const [low, high] = brushes[name] || (by > 0 ? [-0.1, 0.9] : [0.1, 1.1]);
    if (by) brush(name, event.shiftKey ? [low, Math.max(low, high + by)] : [low + by, high + by]);
    else if (event.key === "Escape") brush(name, null);
    else return;
    event.preventDefault();
  };
  const drag = (event, { name }) => {
    const { top, height } = event.currentTarget.getBoundingClientRect();
    const place = ({ clientY }) => 0.5 + 1.04 * (0.5 - (clientY - top) / height); // its ends are reached
    const [begun, target] = [place(event), event.currentTarget];
    target.setPointerCapture(event.pointerId);
    target.onpointermove = (moved) => brush(name, [begun, place(moved)]);
    target.onpointerup = (ended) => {
      target.onpointermove = target.onpointerup = null;
      if (Math.abs(place(ended) - begun) < 0.02) brush(name, null);
    };
  };
  const path = (run) => axes.map(({ of, at }, place) => there(of(run))
    ? `${place * WIDE + WIDE / 2},${y(at(of(run))).toFixed(1)}` : null).filter(Boolean).join(" ");
  return html`
    <section class="panel" aria-label="Parallel coordinates">
      <header><h2>Values and results</h2>
        <span class="note">Drag along an axis to keep only its runs; arrow keys move, Shift widens, Escape ends.</span>
        ${Object.keys(brushes).length ? html`<button type="button" onClick=${() => setBrushes({})}>All runs</button>` : null}
      </header>
      <div class="scroll" tabindex="0"><svg class="parallel" width=${axes.length * WIDE} height=${HIGH + TOP + 24}>
        ${[...table.runs].sort((one, other) => known.has(one.id) - known.has(other.id)).map((run) => html`
          <polyline key=${run.id} points=${path(run)} class=${known.has(run.id)
            ? `ink-c${(run.setting ?? 0) % 8} ${marked === run.setting ? "marked" : ""}` : "out"}><title>${run.name}</title></polyline>`)}
        ${axes.map((axis, place) => {
          const { name, marks, text } = axis;
          const ends = brushes[name];
          return html`<g key=${name} transform="translate(${place * WIDE + WIDE / 2} 0)">
            <text y="12" text-anchor="middle" class="name"><title>${name}</title>${label(name)}</text>
            <line y1=${y(1)} y2=${y(0)} />
            ${marks.length > 12 ? null : marks.map(([at, word]) => html`<text x="6" y=${y(at) + 4}>${String(word).slice(0, 16)}</text>`)}
            ${ends ? html`<rect class="brush" x="-7" width="14" y=${y(ends[1])} height=${y(ends[0]) - y(ends[1])} />` : null}
            <rect class="axis" x="-14" width="28" y=${y(1)} height=${HIGH} tabindex="0" role="slider" aria-orientation="vertical"
              aria-label="Keep runs by ${name}" aria-valuenow=${ends ? ends[0] : 0} aria-valuemin="0" aria-valuemax="1"
              aria-valuetext=${ends ? `${text(ends[0])} to ${text(ends[1])}` : "all"}
              onKeyDown=${(event) => keys(event, axis)} onPointerDown=${(event) => drag(event, axis)} /></g>`;
        })}
      </svg></div>
    </section>`;
}

const label = (name) => {
  const text = name.replace(/\.kind$/, "").split(".").slice(-2).join(".");
  return text.length > 22 ? `…${text.slice(-21)}` : text;
};
