// Orders to a run that trains: hold a value, give it back, save, evaluate, stop.

import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { get, newKey, postOnce } from "./api.js";
import { count, number } from "./format.js";

const WAIT_SECONDS = 10;
const MOST_SHOWN = 5;
/** How far the slider goes from the value that is applied, in powers of ten. */
const SPAN = 2;

/** Sends orders, and waits until the run has told what came of them. */
async function ordered(id, orders) {
  let answer = await postOnce(`runs/${id}/orders`, { orders, wait: WAIT_SECONDS });
  while (answer.state === "waiting") {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    answer = await get(`runs/${id}/orders/${answer.letter}`);
  }
  return answer;
}

/** `values` are the scheduled values by name, as they were applied last. */
export function Steering({ id, values, obeyed }) {
  const names = Object.keys(values);
  const [name, setName] = useState(names[0]);
  const [typed, setTyped] = useState("");
  const [entries, setEntries] = useState([]);
  const [isStopping, setStopping] = useState(false);
  const begun = useRef(null);
  useEffect(() => {
    if (!names.includes(name)) setName(names[0]);
  }, [names.join()]);

  const give = async (...orders) => {
    const text = orders.join(" ");
    const entry = { key: newKey(), text, state: "waiting for the run" };
    const put = (changes) => setEntries((before) => [{ ...entry, ...changes },
      ...before.filter((one) => one.key !== entry.key)].slice(0, MOST_SHOWN));
    put({});
    try {
      const answer = await ordered(id, orders);
      put({ state: `before step ${count(answer.step)}: ${answer.told.join(", ")}` });
      obeyed();
    } catch (error) {
      put({ state: error.message, isRefused: true });
    }
  };
  const hold = (event) => {
    event.preventDefault();
    if (typed.trim()) give(`${name}=${typed.trim()}`);
  };
  const slide = ({ target }) => {
    begun.current ??= Math.abs(values[name]) || 1;
    setTyped(String(Number((begun.current * 10 ** Number(target.value)).toPrecision(3))));
  };
  const choose = (next) => {
    begun.current = null;
    setTyped("");
    setName(next);
  };
  return html`
    <section class="panel" aria-label="Steer">
      <form class="tools" onSubmit=${hold}>
        <h2>Steer</h2>
        ${names.length ? html`
          <select aria-label="Value to hold" value=${name} onChange=${({ target }) => choose(target.value)}>
            ${names.map((one) => html`<option value=${one} selected=${one === name}>${one}</option>`)}
          </select>
          <input type="text" class="amount" inputmode="decimal" autocomplete="off" aria-label="Hold at" value=${typed}
            placeholder=${number(values[name])} onInput=${({ target }) => setTyped(target.value)} />
          <input type="range" min=${-SPAN} max=${SPAN} step="0.02" value=${slid(begun.current, typed)}
            aria-label="Hold at, by powers of ten" aria-valuetext=${typed || number(values[name])} onInput=${slide} />
          <button type="submit" disabled=${!typed.trim()}>Hold</button>
          <button type="button" onClick=${() => give(`release=${name}`)}>Give back</button>` : null}
        <button type="button" onClick=${() => give("checkpoint")}>Checkpoint</button>
        <button type="button" onClick=${() => give("evaluate")}>Evaluate</button>
        ${isStopping ? html`
          <button type="button" class="stop" onClick=${() => { setStopping(false); give("stop"); }}>Save and stop now</button>
          <button type="button" onClick=${() => setStopping(false)}>Let it go on</button>`
          : html`<button type="button" onClick=${() => setStopping(true)}>Stop …</button>`}
      </form>
      <div role="status" aria-label="Orders"><ul class="orders">
        ${entries.map((one) => html`<li key=${one.key} class=${one.isRefused ? "problem" : ""}>
          <code>${one.text}</code> <span>${one.state}</span></li>`)}
      </ul></div>
    </section>`;
}

/** Where the slider stands for a number that is typed. */
function slid(begun, typed) {
  const value = Number(typed);
  if (!begun || !(value > 0)) return 0;
  return Math.max(-SPAN, Math.min(SPAN, Math.log10(value / begun)));
}
