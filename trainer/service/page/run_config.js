// The config of a run, and what differs from another one.

import { html, useEffect, useState } from "./vendor/preact-htm.js";
import { get } from "./api.js";
import { shown } from "./format.js";

const OFFERED = 20;

export function Config({ run, other, setOther }) {
  const [words, setWords] = useState("");
  const [wanted, setWanted] = useState("");
  const [offered, setOffered] = useState([]);
  const [name, setName] = useState("");
  const [differences, setDifferences] = useState(null);
  useEffect(() => {
    let isCurrent = true;
    get("runs", { q: wanted, limit: OFFERED, columns: "mode" })
      .then(({ runs }) => isCurrent && setOffered(runs.filter(({ id }) => id !== run.id))).catch(() => {});
    return () => {
      isCurrent = false;
    };
  }, [run.id, wanted]);
  const typed = (text) => {
    setWanted(text);
    setOther("");
  };
  useEffect(() => {
    const found = !other && wanted && offered.find((one) => one.name === wanted);
    if (found) setOther(found.id);
  }, [wanted, offered, other]);
  useEffect(() => {
    setDifferences(null);
    if (!other) return;
    get(`runs/${run.id}/differences`, { other })
      .then((found) => setDifferences(found.differences)).catch(() => setOther(""));
    get(`runs/${other}`).then((found) => {
      setName(found.name);
      setWanted(found.name);
    }).catch(() => {});
  }, [run.id, other]);
  const has = ([path, value]) => `${path} ${shown(value)}`.toLowerCase().includes(words.toLowerCase());
  return html`
    <section class="panel" aria-label="Config">
      <header>
        <h2>Config</h2>
        <input type="search" aria-label="Find in the config" placeholder="Find" value=${words}
          onInput=${(event) => setWords(event.target.value)} />
        <input type="search" aria-label="Compare with" placeholder="Compare with a run" value=${wanted}
          list="other-runs" autocomplete="off" onInput=${(event) => typed(event.target.value)} />
        <datalist id="other-runs">${offered.map((one) => html`<option value=${one.name} />`)}</datalist>
      </header>
      ${other && differences?.length === 0 ? html`<p class="note">Both have the same config.</p>` : html`
      <div class="scroll" tabindex="0"><table class="pairs">
        ${differences ? html`
          <thead><tr><th scope="col">differs</th><th scope="col">here</th><th scope="col">${name}</th></tr></thead>
          <tbody>${differences.filter(({ path, here }) => has([path, here])).map(({ path, here, there }) => html`
            <tr key=${path} class="differs"><th scope="row">${path}</th><td>${shown(here)}</td><td>${shown(there)}</td></tr>`)}
          </tbody>` : html`
          <tbody>${Object.entries(run.config).filter(has).map(([path, value]) => html`
            <tr key=${path}><th scope="row">${path}</th><td>${shown(value)}</td></tr>`)}</tbody>`}
      </table></div>`}
    </section>`;
}
