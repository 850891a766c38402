// The list of runs: sorted and filtered by the server, drawn only as far as it is seen.

import { html, useEffect, useMemo, useRef, useState } from "./vendor/preact-htm.js";
import { get } from "./api.js";
import { count } from "./format.js";
import { hashOf, keepInHash } from "./route.js";
import { Cells, columnsOf } from "./run_columns.js";
import { asked, FIRST, PART, SORT } from "./run_query.js";
import { listen } from "./stream.js";

const ROW = 40;
const OVER = 8;
const MOST_COMPARED = 100;
const STATES = ["queued", "held", "starting", "running", "stopping", "lost", "cancelled",
  "waiting", "done", "stopped", "pruned", "interrupted", "failed",
  "unfinished", "unreadable"];

/** The runs that a query finds, as far as they were asked for, and kept up to date. */
function useRuns(query, connected) {
  const [list, setList] = useState(null);
  const [problem, setProblem] = useState("");
  const current = useRef({ query });
  current.current.query = query;
  const latest = useRef(null);
  latest.current = list;

  async function load(after = null, limit = PART) {
    const wanted = current.current.query;
    try {
      const page = await get("runs", { ...wanted, after, limit });
      if (current.current.query !== wanted) return;
      setProblem("");
      setList((before) => {
        if (!after) return page;
        // What was asked for twice, or behind a list that is another one by now, is left out.
        return before.runs.at(-1)?.id === after ? { ...page, runs: [...before.runs, ...page.runs] } : before;
      });
      if (limit === FIRST && page.runs.length < page.total) load(page.runs.at(-1).id);
    } catch (error) {
      setProblem(error.message);
    }
  }

  useEffect(() => {
    const timer = setTimeout(() => load(null, list ? PART : FIRST), list ? 120 : 0);
    return () => clearTimeout(timer);
  }, [query]);

  useEffect(() => {
    let timer = 0;
    const again = (wait) => {
      clearTimeout(timer);
      timer = setTimeout(() => load(), wait);
    };
    const close = listen(() => "runs", {
      connected,
      open: (isAgain, { version }) => (isAgain || (latest.current && latest.current.version !== version)) && load(),
      runs: ({ changed, gone, others }) => {
        setList((before) => {
          if (!before) return before;
          const news = new Map(changed.map((run) => [run.id, run]));
          const known = new Set(before.runs.map((run) => run.id));
          if (others || gone.length || changed.some((run) => !known.has(run.id))) again(400);
          const runs = before.runs.map((run) => ({ ...run, ...news.get(run.id) }));
          return { ...before, runs };
        });
      },
    });
    return () => {
      clearTimeout(timer);
      close();
    };
  }, []);

  useEffect(() => {
    if (!list || list.complete) return undefined;
    const timer = setTimeout(() => load(), 500);
    return () => clearTimeout(timer);
  }, [list]);

  const more = () => {
    const { runs, total } = list;
    if (runs.length < total) load(runs[runs.length - 1].id);
  };
  return { list, problem, more };
}

/** Runs, with a heading above those of each sweep. */
function grouped(runs, closed) {
  const groups = new Map();
  for (const run of runs) groups.set(run.group, [...(groups.get(run.group) || []), run]);
  return [...groups].flatMap(([group, members]) => {
    const heading = { heading: group || "single runs", group, members };
    return closed.has(group) ? [heading] : [heading, ...members];
  });
}

export function RunList({ parameters, connected }) {
  const first = useMemo(() => asked(parameters), []);
  const [words, setWords] = useState(parameters.get("q") || "");
  const [state, setState] = useState(first.state);
  const [sort, setSort] = useState(first.sort);
  const [isGrouped, setGrouped] = useState(parameters.get("grouped") === "true");
  const [closed, setClosed] = useState(new Set());
  const [chosen, setChosen] = useState(() => new Set(parameters.get("chosen")?.split(",")));
  const [sweep, setSweep] = useState(first.sweep);
  const query = useMemo(() => ({ q: words.trim(), state, sort, sweep }), [words.trim(), state, sort, sweep]);
  const { list, problem, more } = useRuns(query, connected);
  useEffect(() => {
    const kept = { q: words, state, sweep, sort: sort === SORT ? "" : sort, grouped: isGrouped, chosen: [...chosen].join() };
    keepInHash("runs", kept);
  }, [words, state, sweep, sort, isGrouped, chosen]);

  const entries = useMemo(
    () => (list ? (isGrouped ? grouped(list.runs, closed) : list.runs) : []),
    [list, isGrouped, closed],
  );
  const columns = useMemo(() => (list ? columnsOf(list) : []), [list]);
  const choose = (id, isChosen) => {
    const next = new Set(chosen);
    if (isChosen) next.add(id);
    else next.delete(id);
    setChosen(next);
  };
  const toggle = (group) => {
    const next = new Set(closed);
    if (!next.delete(group)) next.add(group);
    setClosed(next);
  };
  return html`
    <section class="list" aria-label="Runs">
      <form class="tools" role="search" onSubmit=${(event) => event.preventDefault()}>
        <input type="search" aria-label="Filter by words" value=${words}
          placeholder="Filter by words: name, cosine, 0.02 …"
          onInput=${(event) => setWords(event.target.value)} />
        <select aria-label="State" value=${state} onChange=${(event) => setState(event.target.value)}>
          <option value="">all states</option>
          ${STATES.map((name) => html`<option value=${name}>${name}</option>`)}
        </select>
        <label class="check"><input type="checkbox" checked=${isGrouped}
          onChange=${(event) => setGrouped(event.target.checked)} /> by sweep</label>
        ${sweep ? html`<button type="button" aria-label="All runs, not only those of ${sweep}" onClick=${() => setSweep("")}>${sweep} ×</button>` : null}
        <span class="note" role="status">
          ${list ? `${count(list.total)} run${list.total === 1 ? "" : "s"}` : "Reading …"}
          ${list && !list.complete ? ", still reading folders …" : ""}
        </span>
        ${list?.total > 1 ? html`<span class="actions">
          ${chosen.size ? html`<button type="button" class="plain" onClick=${() => setChosen(new Set())}>Choose none</button>` : null}
          <a href=${hashOf("compare", { runs: [...(chosen.size ? chosen : list.runs.map(({ id }) => id))].slice(0, MOST_COMPARED).join() })}>
            ${chosen.size ? `Compare ${count(Math.min(chosen.size, MOST_COMPARED))} chosen`
              : list.total > MOST_COMPARED ? `Compare the first ${MOST_COMPARED}` : "Compare these"}</a></span>` : null}
      </form>
      ${problem ? html`<p class="problem" role="alert">${problem}</p>` : null}
      ${list && !list.total && list.complete ? html`<${Empty} isFiltered=${words || state || sweep} />` : html`
        <${Table} entries=${entries} columns=${columns} sort=${sort} setSort=${setSort}
          total=${list?.total} more=${more} toggle=${toggle} closed=${closed}
          chosen=${chosen} choose=${choose} />`}
    </section>`;
}

const Empty = ({ isFiltered }) => html`
  <p class="empty">${isFiltered ? "No run has these words." : html`
    There are no runs below this folder yet. <code>python -m trainer</code> makes one, and
    <a href="#/design">Design</a> shows what it would train.`}</p>`;

function Table({ entries, columns, sort, setSort, total, more, toggle, closed, chosen, choose }) {
  const frame = useRef(null);
  const [seen, setSeen] = useState({ top: 0, height: 900 });
  useEffect(() => {
    const look = () => setSeen({ top: frame.current.scrollTop, height: frame.current.clientHeight });
    const observer = new ResizeObserver(look);
    observer.observe(frame.current);
    frame.current.addEventListener("scroll", look, { passive: true });
    return () => observer.disconnect();
  }, []);
  const first = Math.max(0, Math.floor(seen.top / ROW) - OVER);
  const last = Math.min(entries.length, Math.ceil((seen.top + seen.height) / ROW) + OVER);
  useEffect(() => {
    if (entries.length && last >= entries.length - OVER) more();
  }, [last, entries.length]);
  const width = columns.reduce((sum, column) => sum + column.width, 0);
  return html`
    <div class="rows" ref=${frame} tabindex="-1">
      <table aria-rowcount=${(total ?? 0) + 1} style=${{ minWidth: `${width}px` }}>
        <caption class="hidden">Runs, ${sort.replace(/^-/, "")} ${sort[0] === "-" ? "from above" : "from below"}</caption>
        <colgroup>${columns.map((column) => html`<col style=${{ width: `${column.width}px` }} />`)}</colgroup>
        <thead><tr aria-rowindex="1">
          ${columns.map((column) => html`<${Head} key=${column.key} ...${{ column, sort, setSort }} />`)}
        </tr></thead>
        <tbody onKeyDown=${walk}>
          <tr aria-hidden="true" style=${{ height: `${first * ROW}px` }}></tr>
          ${entries.slice(first, last).map((entry, place) => entry.heading === undefined
            ? html`<tr key=${entry.id} aria-rowindex=${first + place + 2}>
                <${Cells} run=${entry} columns=${columns} chosen=${chosen} choose=${choose} /></tr>`
            : html`<tr key=${`group ${entry.group}`} class="heading" aria-rowindex=${first + place + 2}>
                <th colspan=${columns.length} scope="rowgroup">
                  <button type="button" aria-expanded=${!closed.has(entry.group)}
                    onClick=${() => toggle(entry.group)}>${entry.heading}</button>
                  <span class="note">${counted(entry.members)}</span>
                  ${entry.group ? html` <a href=${hashOf("compare", { sweep: entry.group })}>Compare</a>` : null}
                </th></tr>`)}
          <tr aria-hidden="true" style=${{ height: `${(entries.length - last) * ROW}px` }}></tr>
        </tbody>
      </table>
    </div>`;
}

function Head({ column, sort, setSort }) {
  const { key, label, sortBy } = column;
  const direction = sort === sortBy ? "ascending" : sort === `-${sortBy}` ? "descending" : null;
  const next = direction === "descending" ? sortBy : `-${sortBy}`;
  return html`
    <th scope="col" class=${column.kind} aria-sort=${direction} title=${key}>
      ${sortBy ? html`<button type="button" onClick=${() => setSort(next)}>${label}
        <span class="arrow" aria-hidden="true">${direction ? (direction === "ascending" ? "↑" : "↓") : ""}</span>
      </button>` : label}
    </th>`;
}

function counted(members) {
  const counts = new Map();
  for (const { status } of members) counts.set(status, (counts.get(status) || 0) + 1);
  return [...counts].map(([status, number]) => `${count(number)} ${status}`).join(", ");
}

/** The arrow keys go from run to run; rows that are not drawn yet are, once they are scrolled to. */
function walk(event) {
  const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  let row = step && event.target.closest("tr")?.[step];
  while (row && !row.querySelector("a, button")) row = row[step];
  if (!row) return;
  event.preventDefault();
  row.querySelector("a, button").focus();
}
