// The queue: what runs, what waits and why, in the order in which it will start.

import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { get, patch, post } from "./api.js";
import { count, moment } from "./format.js";
import { listen } from "./stream.js";

const WAITING = ["queued", "held", "lost"];

function useQueue(connected) {
  const [queue, setQueue] = useState(null);
  const [problem, setProblem] = useState("");
  const load = () => get("queue").then(setQueue, (error) => setProblem(error.status === 404
    ? "This server has no queue." : error.message));
  useEffect(() => {
    let timer = 0;
    const again = () => {
      clearTimeout(timer);
      timer = setTimeout(load, 100);
    };
    load();
    const close = listen(() => "queue,runs", { connected, open: again, queue: again, runs: again });
    return () => {
      clearTimeout(timer);
      close();
    };
  }, []);
  /** Has something done, tells what is refused, and shows what came of it. */
  const act = async (doing) => {
    const refused = await doing().then(() => "", (error) => error.message);
    setProblem(refused);
    await load();
    return !refused;
  };
  return { queue, problem, act };
}

export function Queue({ connected }) {
  const { queue, problem, act } = useQueue(connected);
  const [announcement, setAnnouncement] = useState("");
  const dragged = useRef(null);
  const focused = useRef(null);
  useEffect(() => {
    const [id, label] = focused.current || [];
    focused.current = null;
    if (id) document.querySelector(`[data-run="${id}"] [aria-label^="${label}"]`)?.focus();
  }, [queue]);
  if (!queue) {
    return html`<p class="empty" role=${problem ? "alert" : "status"}>${problem || "Reading …"}</p>`;
  }
  const waiting = queue.entries.filter(({ state }) => WAITING.includes(state));

  /** Puts a run before another one, or behind all. */
  const place = (run, before) => act(async () => {
    if (run.id === before?.id) return;
    await patch(`runs/${run.id}`, { before: before?.id ?? null });
    const rest = waiting.filter(({ id }) => id !== run.id);
    const at = before ? rest.findIndex(({ id }) => id === before.id) : rest.length;
    setAnnouncement(`${run.name} is ${count(at + 1)} of ${count(waiting.length)} that wait`);
  });
  const move = (run, by) => {
    const at = waiting.findIndex(({ id }) => id === run.id);
    if (at < 0 || !(at + by in waiting)) return;
    focused.current = [run.id, by < 0 ? "Earlier" : "Later"];
    place(run, by < 0 ? waiting[at - 1] : waiting[at + 2]);
  };
  const keys = (event, run) => {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!by || !event.altKey) return;
    event.preventDefault();
    move(run, by);
  };
  const drop = (event, before) => {
    event.preventDefault();
    const run = waiting.find(({ id }) => id === dragged.current);
    if (run) place(run, before);
  };
  const configure = (changes) => act(() => patch("queue", changes));
  const disabled = !queue.launching;
  return html`
    <article class="run queue" aria-label="Queue">
      <header>
        <h1>Queue</h1>
        ${queue.launching ? null : html`<p class="reason">This server starts no jobs: ${queue.why}</p>`}
        ${problem ? html`<p class="problem" role="alert">${problem}</p>` : null}
        <div class="tools" role="group" aria-label="How jobs are started">
          <button type="button" aria-pressed=${queue.paused} disabled=${disabled}
            onClick=${() => configure({ paused: !queue.paused })}>${queue.paused ? "Start jobs again" : "Pause all"}</button>
          <label class="check">at once <${Typed} type="number" min="1" max="1000" value=${queue.at_once} disabled=${disabled}
            placeholder="as suits" set=${(text) => configure({ at_once: text ? Number(text) : null })} /></label>
          <label class="check">cores <${Typed} value=${spans(queue.cores)} disabled=${disabled} placeholder="all"
            set=${(text) => configure({ cores: numbers(text) })} /></label>
          ${queue.gpus.length ? html`<label class="check">GPUs <${Typed} value=${spans(queue.gpus)} disabled=${disabled} placeholder="all"
            set=${(text) => configure({ gpus: numbers(text) })} /></label>` : null}
          <span class="note" role="status">${announcement || `${count(queue.entries.length - waiting.length)} of ${count(queue.at_once)} places taken, ` +
            `${count(waiting.length)} waiting${queue.paused ? ", paused" : ""}`}</span>
        </div>
      </header>
      ${queue.entries.length === 0 ? html`<p class="empty">Nothing runs and nothing waits.
        <a href="#/design">Design</a> puts a config here.</p>` : html`
        <div class="scroll entries" tabindex="0"><table class="pairs">
          <thead><tr>${["", "run", "state", "why", "priority", "submitted", "what was typed", ""].map((name) => html`
            <th scope="col">${name}</th>`)}</tr></thead>
          <tbody>${queue.entries.map((run) => {
            const at = waiting.indexOf(run);
            const places = queue.places.filter((one) => one.run === run.id).flatMap(({ cores, gpus }) =>
              [`cores ${cores.join(", ")}`, ...(gpus.length ? [`GPUs ${gpus.join(", ")}`] : [])]).join(", ");
            return html`
              <tr key=${run.id} data-run=${run.id} draggable=${at >= 0 && !disabled} onKeyDown=${(event) => keys(event, run)}
                onDragStart=${() => { dragged.current = run.id; }} onDragOver=${(event) => at >= 0 && event.preventDefault()}
                onDrop=${(event) => drop(event, run)}>
                <td>${at < 0 || disabled ? null : html`
                  <button type="button" aria-label="Earlier: ${run.name}" title="Earlier (Alt+↑)" disabled=${at === 0} onClick=${() => move(run, -1)}>↑</button>
                  <button type="button" aria-label="Later: ${run.name}" title="Later (Alt+↓)" disabled=${at === waiting.length - 1} onClick=${() => move(run, 1)}>↓</button>`}</td>
                <th scope="row"><a href="#/run/${run.id}">${run.name}</a></th>
                <td><span class="state state-${run.state}">${run.state}</span>${run.attempt > 1 ? html` <span class="note">attempt ${run.attempt}</span>` : null}</td>
                <td>${run.why || places}</td>
                <td><${Typed} type="number" min="-1000" max="1000" aria-label="Priority of ${run.name}" value=${run.priority}
                  disabled=${at < 0 || disabled} set=${(text) => act(() => patch(`runs/${run.id}`, { priority: Number(text) }))} /></td>
                <td class="digits">${moment(run.submitted)}</td>
                <td><code>${run.overrides.join(" ")}</code></td>
                <td>${disabled ? null : html`<${Buttons} ...${{ run, act }} isWaiting=${at >= 0} />`}</td>
              </tr>`;
          })}</tbody>
        </table></div>`}
    </article>`;
}

function Buttons({ run, isWaiting, act }) {
  const stop = (how) => act(() => post(`runs/${run.id}/stop`, { how }));
  const held = run.state === "held";
  return html`<span class="tools">
    ${isWaiting ? html`
      <button type="button" aria-label="${held ? "Release" : "Hold"} ${run.name}"
        onClick=${() => act(() => patch(`runs/${run.id}`, { held: !held }))}>${held ? "Release" : "Hold"}</button>
      <button type="button" aria-label="Cancel ${run.name}" onClick=${() => stop("stop")}>Cancel</button>`
      : html`<${Ladder} name=${run.name} stop=${stop} />`}
    ${run.sweep ? html`<button type="button" class="plain" aria-label="Stop the sweep of ${run.name}"
      onClick=${() => act(() => post(`sweeps/${run.sweep}/stop`, { how: "stop" }))}>Stop the sweep</button>` : null}
  </span>`;
}

/** The rungs by which a job is stopped, the later ones for what does not obey. */
export const Ladder = ({ name, stop }) => [["stop", "Stop"], ["terminate", "SIGTERM"], ["kill", "SIGKILL"]].map(([how, label]) => html`
  <button type="button" class=${how === "kill" ? "stop" : ""} aria-label="${label} ${name}" onClick=${() => stop(how)}>${label}</button>`);

/** A field that keeps what is typed until it holds, whatever comes meanwhile. */
function Typed({ value, set, ...rest }) {
  const [typed, setTyped] = useState(null);
  return html`<input type="text" class="amount" ...${rest} value=${typed ?? value} onInput=${({ target }) => setTyped(target.value)}
    onChange=${async ({ target }) => await set(target.value.trim()) && setTyped(null)} />`;
}

/** The numbers of a text like 0-3, 6; null for none. */
function numbers(text) {
  const found = text.split(",").flatMap((part) => {
    const [low, high = low] = part.split("-").map((end) => Number.parseInt(end, 10));
    return high >= low && high < low + 10_000 ? Array.from({ length: high - low + 1 }, (_, place) => low + place) : [];
  });
  return found.length ? found : null;
}

function spans(numbers) {
  const found = [];
  for (const number of numbers) {
    const last = found.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else found.push([number, number]);
  }
  return found.map(([low, high]) => (low === high ? low : `${low}-${high}`)).join(", ");
}
