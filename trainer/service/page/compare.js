// Runs beside each other: curves of one series, what differs with its results, and what mattered.

import { html, useEffect, useMemo, useState } from "./vendor/preact-htm.js";
import { address, get } from "./api.js";
import { Chart } from "./chart.js";
import { Parallel, passes } from "./compare_axes.js";
import { Settings } from "./compare_table.js";
import { count, shown } from "./format.js";
import { keepInHash } from "./route.js";
import { Smoothing, weightOf } from "./smoothing.js";
import { listen } from "./stream.js";

const MOST_NAMED = 12;
const AGAIN_MS = 2000;

/** An answer about these runs, asked for again whenever `key` is another; the last one meanwhile. */
function useAnswer(path, query, key) {
  const [answer, setAnswer] = useState({});
  useEffect(() => {
    const stop = new AbortController();
    get(path, query, stop.signal).then((body) => setAnswer({ body }),
      (error) => stop.signal.aborted || setAnswer((before) => ({ ...before, problem: error.message })));
    return () => stop.abort();
  }, [path, JSON.stringify(query), key]);
  return answer;
}

/** Grows when one of these runs has changed, at most every two seconds. */
function useChanges({ runs, sweep }, connected) {
  const [changes, setChanges] = useState(0);
  const ids = new Set(runs?.split(","));
  useEffect(() => {
    let timer = 0;
    const again = () => {
      timer ||= setTimeout(() => {
        timer = 0;
        setChanges((before) => before + 1);
      }, AGAIN_MS);
    };
    const close = listen(() => "runs", {
      connected,
      open: again, // what has changed between the first answer and now was told to nobody
      runs: ({ changed, gone, others }) => {
        if (others || gone.some((id) => sweep || ids.has(id)) ||
          changed.some(({ id, group }) => group === sweep || ids.has(id))) again();
      },
    });
    return () => {
      clearTimeout(timer);
      close();
    };
  }, []);
  return [changes, () => setChanges((before) => before + 1)];
}

/** What is typed and chosen, in the hash. */
const viewOf = (parameters) => ({
  metric: parameters.get("metric") || "",
  smooth: Number(parameters.get("smooth")) || 0,
  mean: parameters.get("seeds") === "mean",
  log: parameters.get("log") === "true",
  range: ["from", "to"].map((name) => Number.parseInt(parameters.get(name), 10)),
  brushes: Object.fromEntries(parameters.getAll("only").map((text) => {
    const [high, low, ...name] = text.split("~").reverse();
    return [name.reverse().join("~"), [Number(low), Number(high)]];
  })),
});

export function Compare({ parameters, connected }) {
  const [view, setView] = useState(() => viewOf(parameters));
  const [marked, setMarked] = useState(null);
  const change = (changes) => setView((before) => ({ ...before, ...changes }));
  const asked = { runs: parameters.get("runs"), sweep: parameters.get("sweep") };
  const [changes, again] = useChanges(asked, connected);
  const table = useAnswer("compare", asked, changes);
  const metric = view.metric || ["eval_loss", "loss"].find((name) => table.body?.metrics.includes(name)) || "loss";
  const [from, to] = Number.isFinite(view.range[0]) ? view.range : [];
  const curves = useAnswer("compare/rows", { ...asked, name: metric, from, to,
    smooth: weightOf(view.smooth) || null, seeds: view.mean ? "mean" : null }, changes);
  const importance = useAnswer("compare/importance", asked, table.body?.search ? changes : 0);
  useEffect(() => {
    document.title = `Compare · ${asked.sweep || `${count(table.body?.runs.length)} runs`}`;
  }, [asked.sweep, table.body?.runs.length]);
  useEffect(() => {
    keepInHash("compare", { ...asked, metric: view.metric, smooth: view.smooth || "", seeds: view.mean && "mean",
      log: view.log, from, to, only: Object.entries(view.brushes).map(([name, ends]) => [name, ...ends].join("~")) });
  }, [view]);
  useEffect(() => {
    const timer = curves.body?.approximate ? setTimeout(again, AGAIN_MS) : 0;
    return () => clearTimeout(timer);
  }, [curves.body]);

  const runs = useMemo(() => (table.body?.runs || []).filter((run) => passes(run, table.body, view.brushes)),
    [table.body, view.brushes]);
  const lines = useMemo(() => linesOf(curves.body, runs, table.body, marked), [curves.body, runs, marked]);
  if (!table.body) {
    return html`<p class="empty" role=${table.problem ? "alert" : "status"}>
      ${table.problem || "Reading …"} <a href="#/runs">All runs</a></p>`;
  }
  const { columns_left_out: leftOut, total, gone, metrics } = table.body;
  const names = [...new Set([...metrics, ...(curves.body?.names || [])])];
  const last = Math.max(1, ...lines.map(({ steps }) => steps.at(-1) + 1));
  const zoom = (low, high) => change({ range: low === null ? [] : [low, high] });
  return html`
    <article class="run compare" aria-label="Compare">
      <header>
        <h1>${asked.sweep || "Compare"}</h1>
        <div class="facts" role="status">
          <span>${count(runs.length)} of ${count(asked.sweep ? total : table.body.runs.length)} runs</span>
          ${asked.sweep && total > table.body.runs.length ? html`<span>those are the first by name</span>` : null}
          ${gone.length ? html`<span>${count(gone.length)} are gone</span>` : null}
          ${leftOut ? html`<span>${count(leftOut)} more values differ</span>` : null}
          <span class="actions">
            ${["html", "csv"].map((format) => html`
              <a href=${address("compare/report", { ...asked, format })} download>Save as ${format.toUpperCase()}</a>`)}
            ${table.body.written.map((name) => html`
              <a href=${address(`compare/written/${name}`, { sweep: asked.sweep })} download title="Written when all jobs of the sweep had ended">${name}</a>`)}
          </span>
        </div>
        ${table.problem || curves.problem ? html`<p class="problem" role="alert">${table.problem || curves.problem}</p>` : null}
      </header>
      <div class="tools" role="group" aria-label="Curves">
        <select aria-label="Series" value=${metric} onChange=${({ target }) => change({ metric: target.value })}>
          ${names.map((name) => html`<option value=${name} selected=${name === metric}>${name}</option>`)}
        </select>
        <${Smoothing} value=${view.smooth} set=${(smooth) => change({ smooth })} />
        <label class="check"><input type="checkbox" checked=${view.mean}
          onChange=${({ target }) => change({ mean: target.checked })} /> mean of seeds</label>
        <label class="check"><input type="checkbox" checked=${view.log}
          onChange=${({ target }) => change({ log: target.checked })} /> logarithmic</label>
        <button type="button" disabled=${from === undefined} onClick=${() => zoom(null)}>All steps</button>
      </div>
      <${Chart} title=${metric} lines=${lines} range=${from === undefined ? [0, last] : [from, to]} onZoom=${zoom}
        logarithmic=${view.log} note=${noteOf(curves.body, lines)} />
      <${Settings} ...${{ ...table.body, runs, metric, marked, setMarked, isMean: view.mean }} />
      <${Parallel} table=${table.body} runs=${runs} metric=${metrics.includes(metric) ? metric : metrics[0]} marked=${marked}
        brushes=${view.brushes} setBrushes=${(brushes) => change({ brushes })} />
      ${table.body.search && importance.body ? html`<${Importance} ...${importance.body} />` : null}
    </article>`;
}

function linesOf(answer, runs, table, marked) {
  const known = new Map(runs.map((run) => [run.id, run]));
  const shown = (answer?.lines || []).filter((line) => line.runs.some((id) => known.has(id)));
  const isNamed = shown.length <= MOST_NAMED;
  return shown.map((line) => {
    const own = line.runs.map((id) => known.get(id)).filter(Boolean);
    const [{ setting, name }] = own;
    const isMarked = marked === setting;
    return {
      key: line.runs[0], colour: `c${(setting ?? 0) % 8}`, steps: line.steps, values: line.values,
      low: line.low, high: line.high, width: isMarked ? 3 : 1.4, faint: marked !== null && !isMarked,
      label: isNamed || isMarked ? (line.runs.length > 1 ? `${labelOf(table, setting)} (${line.runs.length} runs)` : name) : "",
    };
  });
}

const labelOf = ({ columns, settings }, place) => settings[place].values
  .map((value, at) => value === null ? "" : `${columns[at].replace(/\.kind$/, "").split(".").pop()} ${shown(value)}`).filter(Boolean).join(", ") || "all";

function noteOf(answer, lines) {
  if (!answer) return "";
  const drawn = lines.reduce((sum, { steps }) => sum + steps.length, 0);
  const rows = answer.lines.reduce((sum, line) => sum + line.rows, 0);
  return answer.approximate ? "long files are being read" : `${count(drawn)} points for ${count(rows)} rows`;
}

const Importance = ({ trials, importance, why }) => html`
  <section class="panel" aria-label="Importance">
    <header><h2>What mattered</h2><span class="note">PED-ANOVA over ${count(trials)} trials</span></header>
    ${why ? html`<p class="note">${why}</p>` : html`<table class="pairs"><tbody>
      ${importance.map(([name, share]) => html`<tr key=${name}><th scope="row">${name}</th>
        <td><meter value=${share} aria-label=${name}></meter></td>
        <td class="digits">${Math.round(share * 100)} %</td></tr>`)}</tbody></table>`}
  </section>`;
