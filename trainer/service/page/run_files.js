// What a run's folder holds: events, files to save, and checkpoints.

import { html, useEffect, useState } from "./vendor/preact-htm.js";
import { address, get } from "./api.js";
import { bytes, count, moment } from "./format.js";

const PLAIN = ["step", "event", "time", "id", "rewinds"];

/** What an event says, in the words of its row. */
export function sentence(event) {
  if (event.event === "command") return event.orders.join(" ");
  const rest = Object.entries(event).filter(([name]) => !PLAIN.includes(name));
  const details = rest.map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`);
  return [event.event, ...details].join(", ");
}

export const markOf = (event) => ({
  step: event.step,
  text: event.event === "command" ? event.orders.join(" ") : event.event,
  colour: event.event === "command" ? "accent" : "warn",
});

export const Events = ({ events }) => html`
  <section class="panel" aria-label="Events">
    <header><h2>Events</h2><span class="note">${count(events.length)}</span></header>
    ${events.length === 0 ? html`<p class="note">Nothing happened besides updates.</p>` : html`
      <div class="scroll" tabindex="0"><table class="pairs">
        <thead><tr><th scope="col">before step</th><th scope="col">what</th><th scope="col">when</th></tr></thead>
        <tbody>${[...events].reverse().map((event) => html`
          <tr><td>${count(event.step)}</td><td>${sentence(event)}</td><td class="digits">${moment(event.time)}</td></tr>`)}
        </tbody></table></div>`}
  </section>`;

function useFiles(id, status) {
  const [files, setFiles] = useState([]);
  useEffect(() => {
    let isCurrent = true;
    const load = () => get(`runs/${id}/files`)
      .then((found) => isCurrent && setFiles(found.files)).catch(() => {});
    load();
    const timer = status === "running" ? setInterval(load, 10_000) : 0;
    return () => {
      isCurrent = false;
      clearInterval(timer);
    };
  }, [id, status]);
  return files;
}

const link = (id, name) =>
  address(`runs/${id}/files/${name.split("/").map(encodeURIComponent).join("/")}`);

export function Files({ id, status }) {
  const files = useFiles(id, status).filter(({ name }) => !name.startsWith("checkpoints/"));
  return html`
    <section class="panel" aria-label="Files">
      <header><h2>Files</h2><span class="note">${count(files.length)}</span></header>
      <div class="scroll" tabindex="0"><table class="pairs"><tbody>
        ${files.map(({ name, size, changed }) => html`<tr key=${name}>
          <td><a href=${link(id, name)} download=${name.split("/").pop()}>${name}</a></td>
          <td class="digits">${bytes(size)}</td><td class="digits">${moment(changed)}</td></tr>`)}
      </tbody></table></div>
    </section>`;
}

/** The checkpoints by their folders, the latest first. */
function checkpoints(files) {
  const found = new Map();
  for (const { name, size, changed } of files) {
    const [place, folder, inner] = name.split("/");
    if (place !== "checkpoints" || !inner) continue;
    const one = found.get(folder) || { folder, size: 0, changed };
    found.set(folder, { ...one, size: one.size + size, changed: Math.max(one.changed, changed) });
  }
  return [...found.values()].reverse();
}

export function Checkpoints({ id, status }) {
  const saved = checkpoints(useFiles(id, status));
  return html`
    <section class="panel" aria-label="Checkpoints">
      <header><h2>Checkpoints</h2><span class="note">${count(saved.length)}</span></header>
      ${saved.length === 0 ? html`<p class="note">None is saved yet.</p>` : html`
        <div class="scroll" tabindex="0"><table class="pairs"><tbody>
          ${saved.map(({ folder, size, changed }) => html`<tr key=${folder}>
            <td>${folder.replace(/^step-0*(\d)/, "step $1")}</td>
            <td class="digits">${bytes(size)}</td><td class="digits">${moment(changed)}</td></tr>`)}
        </tbody></table></div>`}
    </section>`;
}
