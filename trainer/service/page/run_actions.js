// What is done with a run besides steering it: again, on, longer, stopped, exported, predicted with.

import { html, useEffect, useState } from "./vendor/preact-htm.js";
import { address, get, once, post, upload } from "./api.js";
import { bytes, shown } from "./format.js";
import { NoLaunching, QueueIt, useLaunching } from "./launching.js";
import { Ladder } from "./queue.js";
import { hashOf } from "./route.js";

const IN_QUEUE = ["starting", "running", "stopping"];
const GOES_ON = ["stopped", "interrupted", "unfinished", "failed", "pruned", "cancelled", "lost"];
const FORMATS = ["keras", "saved_model", "onnx"];
const AGAIN_MS = 1000;
const BYTES = "application/octet-stream"; // the server tells by the first ones
const TABLES = { csv: "text/csv", parquet: BYTES, npy: BYTES, npz: BYTES,
  png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg" };

/** Which paths the server has, by its own contract. */
function usePaths() {
  const [paths, setPaths] = useState({});
  useEffect(() => {
    once("../../openapi.json").then((found) => setPaths(found.paths), () => {});
  }, []);
  return (path) => `/api/v1${path}` in paths;
}

export function RunActions({ run, reload }) {
  const { id, status } = run;
  const queue = useLaunching();
  const has = usePaths();
  const [length, setLength] = useState("");
  const [format, setFormat] = useState(FORMATS[0]);
  const [outcome, setOutcome] = useState({});
  const hasConfig = Object.keys(run.config).length > 0;
  const isCommanded = run.events.some(({ event }) => event === "command");
  const act = async (doing, text) => {
    setOutcome({ text: "…" });
    try {
      const answer = await doing();
      setOutcome({ text: text(answer) });
    } catch (error) {
      setOutcome({ text: error.message, isRefused: true });
    }
    reload();
  };
  const stateOf = ({ state, why }) => [state, why].filter(Boolean).join(": ");
  const start = (...overrides) => act(() => post(`runs/${id}/start`, { overrides }), stateOf);
  const longer = (event) => {
    event.preventDefault();
    if (length.trim()) start(`run.length=${length.trim()}`);
  };
  const task = (doing) => act(() => doing().then(ended), (found) => html`<${Made} ...${found} />`);
  const predict = ({ target }) => {
    const [file] = target.files;
    const kind = file && TABLES[file.name.split(".").pop().toLowerCase()];
    if (file) task(() => upload(`runs/${id}/predictions`, file, kind || file.type));
    target.value = "";
  };
  return html`
    <section class="panel" aria-label="Again">
      <header><h2>Again</h2>
        ${hasConfig ? html`<a href=${hashOf("design", { c: `rerun=${id}` })}>Rerun with changes</a>` : null}
        ${isCommanded ? html`<a href=${hashOf("design", { c: `rerun=${id}\nrun.replay=${id}` })}>Replay by hand</a>` : null}
      </header>
      ${!queue ? null : !queue.launching ? html`<${NoLaunching} why=${queue.why} />` : html`
        ${hasConfig ? html`<${QueueIt} request=${{ rerun: id }} label="Rerun …" />` : null}
        <form class="tools" onSubmit=${longer}>
          ${GOES_ON.includes(status) ? html`<button type="button" onClick=${() => start()}>Go on</button>` : null}
          ${IN_QUEUE.includes(status) || !hasConfig ? null : html`
            <input type="text" class="amount" aria-label="New length" placeholder=${shown(run.config["run.length"])} value=${length}
              onInput=${({ target }) => setLength(target.value)} />
            <button type="submit" disabled=${!length.trim()}>Make longer</button>`}
          ${IN_QUEUE.includes(status) && queue.entries?.some((entry) => entry.id === id) ? html`
            <${Ladder} name="the job" stop=${(how) => act(() => post(`runs/${id}/stop`, { how }), stateOf)} />` : null}
        </form>
        ${has("/runs/{run}/exports") ? html`<div class="tools">
          <select aria-label="Format" value=${format} onChange=${({ target }) => setFormat(target.value)}>
            ${FORMATS.map((name) => html`<option value=${name} selected=${name === format}>${name}</option>`)}</select>
          <button type="button" onClick=${() => task(() => post(`runs/${id}/exports`, { format }))}>Export</button>
          ${has("/runs/{run}/predictions") ? html`<label class="check upload">Predict for a table or an image
            <input type="file" accept=${Object.keys(TABLES).map((end) => `.${end}`).join()} onChange=${predict} /></label>` : null}
        </div>` : html`<p class="note">This server does not export or predict: python -m trainer.export does.</p>`}`}
      <div role="status" class=${outcome.isRefused ? "problem" : "note"}>${outcome.text}</div>
    </section>`;
}

/** The files of a task, and the first rows of what was predicted. */
const Made = ({ task, run, kind, files, rows }) => html`
  ${files.map(({ name, size }) => html`<a key=${name} download=${name.split("/").pop()}
    href=${address(kind === "export" ? `runs/${run}/files/${name}` : `tasks/${task}/files/${name}`)}>${name}</a> ${bytes(size)} `)}
  ${rows?.length ? html`<span class="scroll" tabindex="0"><table class="pairs">
    <thead><tr>${Object.keys(rows[0]).map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr>${Object.values(row).map((value) => html`<td>${value}</td>`)}</tr>`)}</tbody></table></span>` : null}`;

/** What came of a task, once it has ended. */
async function ended({ task }) {
  while (true) {
    const found = await get(`tasks/${task}`);
    if (found.state === "failed") throw new Error(found.error || "it failed");
    if (found.state === "done") return found;
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}
