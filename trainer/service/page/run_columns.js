// The columns of the list: those that every run has, the values that vary, and the metrics.

import { html } from "./vendor/preact-htm.js";
import { moment, number, shown } from "./format.js";
import { Progress, Sparkline, State, timeLeft } from "./run_state.js";

const MOST_VARIED = 12;
const MOST_METRICS = 8;

/** The columns of what the server has listed. */
export function columnsOf({ columns, runs }) {
  const metrics = new Set(runs.slice(0, 1000).flatMap((run) => Object.keys(run.metrics)));
  return [
    { key: "name", label: "Run", sortBy: "name", width: 240, kind: "name", cell: nameCell },
    { key: "status", label: "State", sortBy: "status", width: 110, cell: (run) => html`<${State} run=${run} />` },
    { key: "progress", label: "Progress", sortBy: "steps", width: 130, cell: (run) => html`<${Progress} run=${run} />` },
    { key: "left", label: "Time left", width: 110, cell: timeLeft },
    { key: "spark", label: "Losses", width: 116, cell: (run) => html`<${Sparkline} values=${run.sparkline} />` },
    ...[...metrics].slice(0, MOST_METRICS).map(metricColumn),
    ...variedPlaces(columns, runs).map((place) => [columns[place], place]).map(([path, place]) => ({
      key: path,
      label: label(path),
      sortBy: path,
      width: 130,
      kind: "value",
      cell: (run) => valueCell(run.values?.[place]),
    })),
    { key: "started", label: "Started", sortBy: "started", width: 150, kind: "digits", cell: (run) => moment(run.started) },
  ];
}

/** The places of the columns, those first for which most runs have a value. */
function variedPlaces(columns, runs) {
  const filled = columns.map((_, place) =>
    runs.reduce((sum, { values }) => sum + (values?.[place] === null ? 0 : 1), 0));
  return [...filled.keys()].sort((one, other) => filled[other] - filled[one])
    .slice(0, MOST_VARIED);
}

const valueCell = (value) => value === null || value === undefined
  ? html`<span class="note">–</span>` : html`<span title=${shown(value)}>${shown(value)}</span>`;

const nameCell = (run) => html`<a href="#/run/${run.id}" title=${run.name}>${run.title || run.name}</a>`;

/** The last part of a path that tells enough; of `optimizer.kind` the group. */
function label(path) {
  const parts = path.split(".");
  const last = parts.pop();
  return last === "kind" && parts.length ? parts.pop() : last;
}

function metricColumn(name) {
  return {
    key: `metrics.${name}`,
    label: name.replaceAll("_", " "),
    sortBy: `metrics.${name}`,
    width: 130,
    kind: "metric",
    cell: (run) => {
      const found = run.metrics[name];
      if (!found) return "";
      const { last, best } = found;
      return html`<span>${number(last)}</span>${best === undefined || best === null || best === last
        ? null : html` <span class="best" title="the best so far">${number(best)}</span>`}`;
    },
  };
}

export const Cells = ({ run, columns, chosen, choose }) => columns.map((column) => column.key === "name"
  ? html`<th scope="row" class="name"><input type="checkbox" aria-label="Choose ${run.name}" checked=${chosen.has(run.id)}
    onChange=${({ target }) => choose(run.id, target.checked)} /> ${column.cell(run)}</th>`
  : html`<td class=${column.kind}>${column.cell(run)}</td>`);
