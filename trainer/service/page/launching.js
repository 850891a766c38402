// Putting configs into the queue: what would start, and then on one word more that it shall.

import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { get, newKey, post, postOnce } from "./api.js";
import { count } from "./format.js";

/** Whether this server starts jobs, or why it does not; null until it has said so. */
export function useLaunching() {
  const [found, setFound] = useState(null);
  useEffect(() => {
    get("queue").then(setFound, ({ status, message }) =>
      setFound({ launching: false, why: status === 404 ? "this server has no queue" : message }));
  }, []);
  return found;
}

export const NoLaunching = ({ why }) => html`<p class="note">Nothing can be started from here: ${why}.</p>`;

/** "Queue it": asks what would start, with a priority and a name, and then has it started. */
export function QueueIt({ request, label = "Queue it …" }) {
  const queue = useLaunching();
  const [planned, setPlanned] = useState(null);
  const [begun, setBegun] = useState(null);
  const [problem, setProblem] = useState("");
  const [isAsking, setAsking] = useState(false);
  const [details, setDetails] = useState({ name: "", priority: "0" });
  const key = useRef("");
  const text = JSON.stringify(request);
  const body = { ...request, name: details.name, priority: Number(details.priority) || 0 };
  useEffect(() => {
    setPlanned(null);
    setBegun(null);
    setProblem("");
  }, [text]);
  useEffect(() => {
    key.current = newKey();
  }, [JSON.stringify(body)]);
  const tried = async (doing, then) => {
    setAsking(true);
    await doing().then((answer) => {
      setProblem("");
      then(answer);
    }, (error) => setProblem(error.message));
    setAsking(false);
  };
  const type = (name) => ({ target }) => setDetails((before) => ({ ...before, [name]: target.value }));
  if (!queue) return null;
  if (!queue.launching) return html`<${NoLaunching} why=${queue.why} />`;
  return html`
    <section class="queue-it" aria-label="Queue it">
      ${planned ? html`
        <p>${planned.search ? "A search" : planned.sweep ? `A sweep of ${count(planned.runs.length)} runs` : "A run"}${planned.search
          ? "" : `, ${count(planned.runs.reduce((sum, run) => sum + (run.total_steps || 0), 0))} updates in all`}. This would start:
          <code> ${planned.command}</code></p>
        <form class="tools" onSubmit=${(event) => {
          event.preventDefault();
          tried(() => postOnce("runs", body, key.current), (answer) => {
            setPlanned(null);
            setBegun(answer);
          });
        }}>
          <label class="check">name <input type="text" value=${details.name} maxlength="200" onInput=${type("name")} /></label>
          <label class="check">priority <input type="number" class="amount" min="-1000" max="1000" value=${details.priority} onInput=${type("priority")} /></label>
          <button type="submit" disabled=${isAsking}>Put into the queue</button>
          <button type="button" onClick=${() => setPlanned(null)}>Leave it</button>
        </form>` : html`
        <button type="button" disabled=${isAsking} onClick=${() => tried(() => post("runs?dry=1", body), setPlanned)}>${
          isAsking ? "Looking …" : label}</button>`}
      <span role="status">${begun ? html`${count(begun.runs.length)} in the <a href="#/queue">queue</a>: <a href=${begun.link}>${begun.runs[0].name}</a>` : null}</span>
      ${problem ? html`<p class="problem" role="alert">${problem}</p>` : null}
    </section>`;
}
