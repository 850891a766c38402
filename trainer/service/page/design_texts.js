// The config as text: overrides, one a line, and YAML.

import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { Asker, previewed } from "./design_preview.js";
import { keyOf, overridesOf } from "./overrides.js";

const concerns = (path, key) => `${path}.`.startsWith(`${key}.`) || `${key}.`.startsWith(`${path}.`);

export function Overrides({ text, setText, answer }) {
  const lines = text.split("\n");
  const at = (path) => lines.findIndex((line) => line.trim() && concerns(path, keyOf(line)));
  return html`
    <label class="note" for="overrides">One override a line, or a whole command. Each wins over the config's files.</label>
    <${Text} id="overrides" text=${text} setText=${setText} at=${at} answer=${answer}
      placeholder=${"schedule=warmup_cosine\nrun.length=20 epochs\noptimizer.momentum=0.95"} />`;
}

/** The line of a text of YAML, from 0, that a path leads to; the nearest above it that is there. */
function yamlLine(text, path) {
  const parts = path.split(".");
  let [depth, found, indent] = [0, -1, -1];
  for (const [place, line] of text.split("\n").entries()) {
    const [, space, key] = line.match(/^(\s*)(?:- )?["']?([^\s"'#][^:"']*)["']?\s*:/) || [];
    if (key === undefined || depth === parts.length) continue;
    if (space.length <= indent && depth) break;
    if (key === parts[depth] && (depth === 0 ? space === "" : space.length > indent)) {
      [found, indent, depth] = [place, space.length, depth + 1];
    }
  }
  return found;
}

let asked = null;

/** The config that is trained where nothing is said. */
async function baseConfig() {
  asked ||= previewed({ overrides: [], points: 1 });
  const { config } = await asked;
  if (!config) asked = null;
  return config || {};
}

export function Yaml({ answer, options, setLines }) {
  const [draft, setDraft] = useState(null);
  const [own, setOwn] = useState(null);
  const asker = useRef(null);
  const current = useRef({});
  current.current = { options, setLines };
  useEffect(() => {
    baseConfig();
    asker.current = new Asker(async (preview) => {
      setOwn(preview.config ? null : preview);
      if (!preview.config) return;
      const base = await baseConfig();
      current.current.setLines(overridesOf(preview.config, base, current.current.options));
    });
    return () => {
      asker.current.tell = null;
    };
  }, []);
  const text = draft ?? answer?.yaml ?? "";
  const type = (typed) => {
    setDraft(typed);
    asker.current.ask({ values: typed, points: 1 });
  };
  return html`
    <label class="note" for="yaml">The whole config; what is left out is as in the config's files.</label>
    <${Text} id="yaml" text=${text} setText=${type} answer=${own || answer} rows=${40}
      at=${(path, rule) => {
        const [, line] = rule.match(/line (\d+)/) || [];
        return line ? Number(line) - 1 : yamlLine(text, path);
      }} />`;
}

/** A text with the problems of its lines below it. */
function Text({ id, text, setText, at, answer, placeholder, rows = 10 }) {
  const area = useRef(null);
  const go = (line) => {
    const lines = text.split("\n");
    const begin = lines.slice(0, line).reduce((sum, one) => sum + one.length + 1, 0);
    area.current.focus();
    area.current.setSelectionRange(begin, begin + lines[line].length);
  };
  const problems = (answer?.problems || []).map((problem) => ({ ...problem, line: at(problem.path, problem.rule) }));
  return html`
    <textarea id=${id} ref=${area} rows=${Math.max(rows, text.split("\n").length + 1)} spellcheck=${false} value=${text}
      placeholder=${placeholder} aria-invalid=${problems.length > 0}
      onInput=${({ target }) => setText(target.value)}></textarea>
    ${problems.map(({ path, rule, line }) => html`
      <p class="refusal"><span>
        ${line >= 0 ? html`<button type="button" class="plain" onClick=${() => go(line)}>line ${line + 1}</button> ` : null}
        <code>${path}</code> ${rule}</span></p>`)}`;
}
