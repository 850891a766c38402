// What a config would train: its curves, its updates, what is wrong or doubtful, and the command.

import { html, useMemo, useState } from "./vendor/preact-htm.js";
import { Chart } from "./chart.js";
import { Hint } from "./design_fields.js";
import { count, number } from "./format.js";
import { later } from "./later.js";

const QueueIt = later(async () => (await import("./launching.js")).QueueIt);
const SINGLE_STEPS = 120;

/** The curves of a name, one of each config that has it. */
function charts(configs, answers, place, letter) {
  const found = new Map();
  configs.forEach(({ id }, at) => {
    const answer = answers[id];
    for (const curve of answer?.curves || []) {
      const lines = found.get(curve.name) || [];
      const isFew = curve.steps.length && curve.steps.at(-1) - curve.steps[0] < SINGLE_STEPS;
      lines.push({
        key: `${id}`, label: configs.length > 1 ? letter(at) : curve.label, colour: `c${at}`, faint: answer.isOld,
        steps: curve.steps, values: curve.values, noPoints: !isFew, width: at === place ? 2.4 : 1.4, curve, at,
      });
      found.set(curve.name, lines);
    }
  });
  return [...found];
}

export function Outcome({ configs, answers, place, range, setRange, mend, setLines, letter }) {
  const answer = answers[configs[place].id];
  const [logarithmic, setLogarithmic] = useState([]);
  const shown = useMemo(() => charts(configs, answers, place, letter), [configs, answers, place]);
  const total = Math.max(1, ...configs.map(({ id }) => answers[id]?.total_steps || 0));
  const steps = range || [0, total];
  const zoom = (from, to) => setRange(from === null || (from <= 0 && to >= total) ? null : [from, Math.min(to, total)]);
  const toggle = (name) => setLogarithmic((before) =>
    before.includes(name) ? before.filter((one) => one !== name) : [...before, name]);
  return html`
    <section class="outcome" aria-label="What it trains">
      <div class="facts" role="status">
        ${answer?.total_steps ? html`<span><b class="total">${count(answer.total_steps)}</b> updates</span>` : null}
        <span>${answer?.isOld ? "the curves are those of before" : answer?.summary?.[0]}</span>
      </div>
      ${answer?.failure ? html`<p class="problem" role="alert">${answer.failure}</p>` : null}
      ${answer?.problems.length ? html`
        <ul class="told refusals" aria-label="Why it can't be trained">
          ${answer.problems.map((problem) => html`<li key=${problem.path + problem.rule}>
            <${Place} path=${problem.path} /> <span>${problem.rule}</span>
            <${Hint} ...${{ problem, mend, setLines }} lines=${configs[place].lines} /></li>`)}
        </ul>` : null}
      ${answer?.findings.length ? html`
        <ul class="told" aria-label="What is doubtful">
          ${answer.findings.map((finding) => html`<li key=${finding.name + finding.text} class=${finding.severity}>
            <code>${finding.name}</code> <span>${finding.text}</span>
            <${Hint} problem=${{ ...finding, path: finding.name, rule: finding.text }} mend=${mend} /></li>`)}
        </ul>` : null}
      <div class="curves">
        ${shown.map(([name, lines]) => {
          const [own] = lines.filter(({ at }) => at === place);
          return html`<${Chart} key=${name} title=${name} lines=${lines} range=${steps} onZoom=${zoom}
            logarithmic=${logarithmic.includes(name)} marks=${marksOf(own)}
            note=${html`${noteOf(own)} <button type="button" class="plain" aria-pressed=${logarithmic.includes(name)}
              aria-label="Logarithmic axis of ${name}" onClick=${() => toggle(name)}>log</button>`} />`;
        })}
        ${range ? html`<p><button type="button" onClick=${() => setRange(null)}>All steps</button>
          <span class="note digits"> steps ${count(range[0])} to ${count(range[1])}</span></p>`
          : shown.length ? html`<p class="note">Drag over a curve to zoom, down to single steps.
              These are the very numbers that training applies.</p>` : null}
      </div>
      <${Command} command=${answer?.command} />
      ${answer && !answer.problems.every(({ rule }) => /multirun/.test(rule)) ? null : html`<${QueueIt} request=${{ overrides: configs[place].lines }} />`}
      ${answer?.summary?.length > 1 ? html`<pre class="summary note">${answer.summary.slice(1).join("\n")}</pre>` : null}
    </section>`;
}

const marksOf = (line) => (line && !line.faint ? line.curve.marks : [])
  .filter(([, step]) => step > 0).map(([text, step]) => ({ step, text }));

const noteOf = (line) => line && html`<span title=${line.curve.lengths.join("\n")}>
  ${number(line.curve.first)} → ${number(line.curve.last)}${line.curve.reacts ? ", as long as it does not react" : ""}</span>`;

/** A path that leads to its field, where the form shows it. */
function Place({ path }) {
  const go = () => document.getElementById(`field-${path}`)?.focus();
  return html`<button type="button" class="plain" onClick=${go}><code>${path}</code></button>`;
}

function Command({ command }) {
  const [isCopied, setCopied] = useState(false);
  if (!command) return null;
  const copy = async () => {
    await navigator.clipboard.writeText(command).catch(() => {});
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return html`
    <div class="command">
      <code aria-label="The command that trains it">${command}</code>
      <button type="button" onClick=${copy}>${isCopied ? "Copied" : "Copy"}</button>
    </div>`;
}
