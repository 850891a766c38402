// One run: its state, its charts as they grow, and what its folder holds.

import { html, useEffect, useMemo, useRef, useState } from "./vendor/preact-htm.js";
import { get } from "./api.js";
import { number } from "./format.js";
import { later } from "./later.js";
import { hashOf, keepInHash } from "./route.js";
import { RunCharts } from "./run_charts.js";
import { Config } from "./run_config.js";
import { Checkpoints, Events, Files } from "./run_files.js";
import { Log } from "./run_log.js";
import { planned } from "./run_plan.js";
import { Progress, State, timeLeft } from "./run_state.js";
import { Steering } from "./run_steering.js";
import { extended, POINTS } from "./series.js";
import { weightOf } from "./smoothing.js";
import { listen } from "./stream.js";

const RunActions = later(async () => (await import("./run_actions.js")).RunActions);
const EVENTS_MS = 10_000;

/** The rows of a run in a window of steps, grown by what the stream tells. */
function useRun(id, range, smooth, connected) {
  const [run, setRun] = useState(null);
  const [rows, setRows] = useState(null);
  const [problem, setProblem] = useState("");
  const current = useRef({});
  const asked = useMemo(() => ({ from: range?.[0], to: range?.[1], smooth: smooth || null }), [range?.[0], range?.[1], smooth]);
  current.current.asked = asked;

  async function loadRun() {
    const { news } = current.current;
    try {
      const answer = await get(`runs/${id}`);
      const isLate = current.current.news !== news; // the stream was ahead of this answer
      setRun({ ...answer, ...(isLate ? current.current.news : {}) });
      setProblem("");
      if (isLate) loadRun();
    } catch (error) {
      setProblem(error.status === 404 || error.status === 422
        ? "There is no run with this address." : error.message);
    }
  }

  async function loadRows() {
    const { asked: now } = current.current;
    try {
      const found = await get(`runs/${id}/rows`, { points: POINTS, ...now });
      if (current.current.asked !== now) return;
      current.current.cursor = found.cursor;
      setRows(found);
    } catch (error) {
      if (error.status !== 404) setProblem(error.message);
    }
  }

  useEffect(() => {
    loadRows();
  }, [id, asked]);

  useEffect(() => {
    let timer = 0;
    let close = () => {};
    const again = () => {
      clearTimeout(timer);
      timer = setTimeout(loadRows, 300);
    };
    const isClosed = { now: false };
    loadRun().then(() => {
      if (isClosed.now) return;
      const isAhead = !current.current.cursor; // of rows that are on their way, perhaps from before
      close = listen(
        () => `run:${id},rows:${id}${current.current.cursor ? `@${current.current.cursor}` : ""}`,
        {
          connected,
          open: (isAgain) => { // what has changed between the first answers and now was told to nobody
            loadRun();
            if (isAhead && !isAgain) again();
          },
          complete: again,
          resync: again,
          runs: ({ changed }) => {
            const [news] = changed.filter((one) => one.id === id);
            if (!news) return;
            current.current.news = news;
            setRun((before) => ({ ...before, ...news }));
            if (news.status !== "running") loadRun();
          },
          rows: (message) => {
            current.current.cursor = message.cursor;
            const { from, smooth: weight } = current.current.asked;
            if (from !== undefined) return;
            setRows((before) => {
              const next = extended(before, message.series, weight);
              if (next.isLong) again();
              return next;
            });
          },
        },
      );
    });
    return () => {
      isClosed.now = true;
      clearTimeout(timer);
      close();
    };
  }, [id]);
  const isRunning = run?.status === "running";
  useEffect(() => {
    const timer = isRunning ? setInterval(loadRun, EVENTS_MS) : 0; // others may give orders too
    return () => clearInterval(timer);
  }, [id, isRunning]);
  return { run, rows, problem, reload: loadRun };
}

/** The scheduled values as they were applied last, by name. */
function applied(rows, plan) {
  const names = plan.curves.map(({ name }) => name).filter((name) => rows?.series[name]);
  return Object.fromEntries(names.map((name) => [name, rows.series[name].last.at(-1)]));
}

/** The curves that the run's config plans, for the steps that are shown. */
function usePlan(run, range) {
  const [plan, setPlan] = useState({ curves: [], total: null, problem: "" });
  const id = run?.id;
  const config = run && JSON.stringify(run.config);
  useEffect(() => {
    let isCurrent = true;
    if (id) planned(id, range).then((found) => isCurrent && setPlan(found));
    return () => {
      isCurrent = false;
    };
  }, [id, config, range?.[0], range?.[1]]);
  return plan;
}

const rangeOf = (parameters) => {
  const [from, to] = ["from", "to"].map((name) => Number.parseInt(parameters.get(name), 10));
  return Number.isFinite(from) && to > from ? [from, to] : null;
};

export function RunPage({ id, parameters, connected }) {
  const [range, setRange] = useState(() => rangeOf(parameters));
  const [view, setView] = useState({
    smooth: Number(parameters.get("smooth")) || 0,
    logarithmic: (parameters.get("log") || "").split(",").filter(Boolean),
    other: parameters.get("other") || "",
  });
  const { run, rows, problem, reload } = useRun(id, range, weightOf(view.smooth), connected);
  const plan = usePlan(run, range);
  const change = (changes) => setView((before) => ({ ...before, ...changes }));
  useEffect(() => {
    keepInHash(`run/${id}`, {
      from: range?.[0], to: range?.[1], smooth: view.smooth || "",
      log: view.logarithmic.join(","), other: view.other,
    });
  }, [id, range, view]);
  useEffect(() => {
    if (run) document.title = `${run.title || run.name} · ${run.status}`;
  }, [run?.name, run?.title, run?.status]);

  if (problem && !run) {
    return html`<p class="empty" role="alert">${problem} <a href="#/runs">All runs</a></p>`;
  }
  if (!run) return html`<p class="empty" role="status">Reading …</p>`;
  return html`
    <article class="run" aria-label="Run ${run.title || run.name}">
      <header>
        <h1>${run.title || run.name}</h1>
        <div class="facts">
          <${State} run=${run} />
          <${Progress} run=${run} words />
          ${timeLeft(run) ? html`<span>${timeLeft(run)}</span>` : null}
          ${run.updates_per_second
            ? html`<span>${number(run.updates_per_second)} updates a second</span>` : null}
          ${run.seed === null ? null : html`<span>seed ${run.seed}</span>`}
          ${run.title ? html`<span>${run.name}</span>` : null}
          <span class="actions">
            <a href=${hashOf("design", { c: `rerun=${id}` })}>Design from it</a>
            <a href="#/compare?runs=${id}${view.other ? `,${view.other}` : ""}">Compare</a>
          </span>
        </div>
        ${run.reason ? html`<p class="reason">${run.reason}</p>` : null}
        ${run.damage.map((text) => html`<p class="reason">${text}</p>`)}
        ${problem ? html`<p class="problem" role="alert">${problem}</p>` : null}
      </header>
      ${run.status === "running" ? html`
        <${Steering} id=${id} values=${applied(rows, plan)} obeyed=${reload} />` : null}
      <${RunCharts} ...${{ run, rows, plan, range, setRange, view, change }} />
      <div class="panels">
        <${RunActions} run=${run} reload=${reload} />
        <${Log} id=${id} isRunning=${run.status === "running"} />
        <${Events} events=${run.events} />
        <${Config} run=${run} other=${view.other} setOther=${(other) => change({ other })} />
        <${Files} id=${id} status=${run.status} />
        <${Checkpoints} id=${id} status=${run.status} />
      </div>
    </article>`;
}
