// The page: a heading, and the part that the hash names.

import { html, render, useEffect, useState } from "./vendor/preact-htm.js";
import { once } from "./api.js";
import { later } from "./later.js";
import { RunList } from "./run_list.js";
import { route } from "./route.js";

const PARTS = [["runs", "Runs"], ["queue", "Queue"], ["design", "Design"]];
const WITHIN = { run: "runs", compare: "runs" };

const RunPage = later(async () => (await import("./run_page.js")).RunPage);
const Design = later(async () => (await import("./design.js")).Design);
const Compare = later(async () => (await import("./compare.js")).Compare);
const Queue = later(async () => (await import("./queue.js")).Queue);

function useRoute() {
  const [current, setCurrent] = useState(route);
  useEffect(() => {
    const changed = () => setCurrent(route());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return current;
}

function App() {
  const { page, id, parameters } = useRoute();
  const [isConnected, setConnected] = useState(true);
  const [root, setRoot] = useState("");
  useEffect(() => {
    once("health").then((health) => setRoot(health.root)).catch(() => setConnected(false));
  }, []);
  useEffect(() => {
    if (!(page in WITHIN)) document.title = `${Object.fromEntries(PARTS)[page] || "Runs"} · ${root}`;
  }, [page, root]);
  const part = WITHIN[page] || page;
  return html`
    <header class="top">
      <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
      <nav aria-label="Parts of the page">
        ${PARTS.map(([name, label]) => html`
          <a href="#/${name}" aria-current=${part === name ? "page" : null}>${label}</a>`)}
      </nav>
      <span class="root" title=${root}><bdi>${root}</bdi></span>
      <span class="connection" role="status">
        ${isConnected ? "" : "The server does not answer; trying again…"}
      </span>
    </header>
    <main id="main" tabindex="-1">
      ${page === "run"
        ? html`<${RunPage} key=${id} id=${id} parameters=${parameters} connected=${setConnected} />`
        : page === "compare"
          ? html`<${Compare} key=${parameters.get("runs") + parameters.get("sweep")} parameters=${parameters} connected=${setConnected} />`
        : page === "queue"
          ? html`<${Queue} connected=${setConnected} />`
        : page === "design"
          ? html`<${Design} key=${parameters.toString()} parameters=${parameters} />`
          : html`<${RunList} parameters=${parameters} connected=${setConnected} />`}
    </main>`;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

render(html`<${App} />`, document.body);
