// The charts of a run: the loss, every applied value over its plan, evaluations, and the pace.

import { html, useMemo } from "./vendor/preact-htm.js";
import { Chart } from "./chart.js";
import { count } from "./format.js";
import { lineOf } from "./series.js";
import { markOf } from "./run_files.js";
import { Smoothing } from "./smoothing.js";

const FIRST = ["loss"];
const LAST = ["updates_per_second"];

/** The series of each chart: what is evaluated goes with what it is an evaluation of. */
function panels(names, curves) {
  const planned = new Set(curves.map((curve) => curve.name));
  const evaluated = (name) => names.filter((one) => one === `eval_${name}`);
  const rest = names.filter((name) => !FIRST.includes(name) && !LAST.includes(name));
  const applied = rest.filter((name) => planned.has(name));
  const others = rest.filter((name) => !planned.has(name) && name !== "eval_loss");
  return [
    { title: "loss", names: ["loss", ...evaluated("loss")].filter((name) => names.includes(name)) },
    ...[...new Set([...applied, ...planned])].map((name) => ({ title: name, names: [name], plan: true })),
    ...others.map((name) => ({ title: name, names: [name] })),
    ...LAST.filter((name) => names.includes(name)).map((name) => ({ title: "updates a second", names: [name] })),
  ];
}

/** The lines of a chart: the plan dashed below, then what was measured. */
function linesOf(panel, rows, plan) {
  const lines = [];
  const curve = panel.plan && plan.curves.find(({ name }) => name === panel.title);
  if (curve) {
    lines.push({ key: "planned", label: "planned", colour: "quiet", dashed: true, steps: curve.steps,
      values: curve.values });
  }
  panel.names.forEach((name, place) => {
    const series = rows?.series[name];
    if (!series) return;
    const ink = name.startsWith("eval_") ? "c1" : panel.plan ? "c2" : name === LAST[0] ? "c6" : `c${place}`;
    const line = lineOf(name, panel.plan ? { ...series, smooth: null } : series, ink);
    if (line.raw) {
      lines.push({ key: `${name} raw`, colour: ink, faint: true, width: 1, noPoints: true,
        steps: line.steps, values: line.raw });
    }
    lines.push({ ...line, label: panel.plan ? "applied" : name });
  });
  return lines;
}

function noteOf(panel, rows) {
  const [first] = panel.names.map((name) => rows?.series[name]).filter(Boolean);
  if (!first) return panel.plan ? "nothing applied yet" : "";
  if (rows.approximate) return `${count(first.steps.length)} rows of a long file, which is being read`;
  return `${count(Math.min(first.steps.length, first.rows))} of ${count(first.rows)} rows`;
}

export function RunCharts({ run, rows, plan, range, setRange, view, change }) {
  const total = plan.total || run.total_steps || run.steps || 1;
  const shownRange = range || [0, total];
  const zoom = (from, to) => setRange(from === null || (from <= 0 && to >= total) ? null : [from, to]);
  const names = rows?.names || [];
  const shape = names.join() + plan.curves.map(({ name }) => name).join();
  const shown = useMemo(() => panels(names, plan.curves), [shape]);
  const lines = useMemo(
    () => shown.map((panel) => linesOf(panel, rows, plan)),
    [shown, rows, plan],
  );
  const marks = useMemo(() => run.events.map(markOf), [run.events]);
  const [from, to] = shownRange;
  const move = (share) => {
    const by = Math.round((to - from) * share);
    zoom(Math.max(0, from + by), Math.max(to - from, to + by));
  };
  const scale = (factor) => {
    const half = Math.max(1, Math.round(((to - from) * factor) / 2));
    const middle = Math.round((from + to) / 2);
    zoom(Math.max(0, middle - half), middle + half);
  };
  const toggle = (title) => {
    const kept = view.logarithmic.filter((one) => one !== title);
    change({ logarithmic: kept.length === view.logarithmic.length ? [...kept, title] : kept });
  };
  return html`
    <div class="tools" role="group" aria-label="Charts">
      <${Smoothing} value=${view.smooth} set=${(smooth) => change({ smooth })} />
      <button type="button" aria-label="Zoom in" onClick=${() => scale(0.5)}>+</button>
      <button type="button" aria-label="Zoom out" disabled=${!range} onClick=${() => scale(2)}>−</button>
      <button type="button" aria-label="Earlier steps" disabled=${!range} onClick=${() => move(-0.5)}>←</button>
      <button type="button" aria-label="Later steps" disabled=${!range} onClick=${() => move(0.5)}>→</button>
      <button type="button" disabled=${!range} onClick=${() => setRange(null)}>All steps</button>
      <span class="note digits" role="status">steps ${count(from)} to ${count(to)}
        ${range ? "" : " · drag over a chart to zoom"}</span>
      ${plan.problem ? html`<span class="note" title=${plan.problem}>no planned curves: its config
        can't be declared here now</span>` : null}
    </div>
    <div class="charts">
      ${shown.map((panel, place) => html`
        <div key=${panel.title}>
          <${Chart} title=${panel.title} lines=${lines[place]} range=${shownRange} onZoom=${zoom}
            marks=${marks} logarithmic=${view.logarithmic.includes(panel.title)}
            holes=${panel.names.flatMap((name) => (rows?.series[name]?.not_finite || []).map(([step]) => step))}
            note=${html`${noteOf(panel, rows)} <button type="button" class="plain"
              aria-pressed=${view.logarithmic.includes(panel.title)} aria-label="Logarithmic axis of ${panel.title}"
              onClick=${() => toggle(panel.title)}>log</button>`} />
        </div>`)}
    </div>`;
}
