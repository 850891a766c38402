// Design: a config as a form, as overrides and as YAML, and the curves that it trains with.

import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { once } from "./api.js";
import { DesignForm } from "./design_form.js";
import { Outcome } from "./design_outcome.js";
import { usePreviews } from "./design_preview.js";
import { Overrides, Yaml } from "./design_texts.js";
import { withOption } from "./design_options.js";
import { keyOf, linesOf, textOf, withLine } from "./overrides.js";
import { keepInHash } from "./route.js";

const VIEWS = [["form", "Form"], ["overrides", "Overrides"], ["yaml", "YAML"]];
const MOST_CONFIGS = 8;

/** What forms are made of: kinds and options. */
function useDeclarations() {
  const [found, setFound] = useState(null);
  useEffect(() => {
    Promise.all([once("kinds"), once("options")])
      .then(([kinds, options]) => setFound({ kinds, options: options.groups }))
      .catch((error) => setFound({ problem: error.message }));
  }, []);
  return found;
}

function begun(parameters) {
  const texts = parameters.getAll("c");
  return (texts.length ? texts : [""]).slice(0, MOST_CONFIGS)
    .map((text, id) => ({ id, lines: linesOf(text), text }));
}

export function Design({ parameters }) {
  const [configs, setConfigs] = useState(() => begun(parameters));
  const [place, setPlace] = useState(() => Math.min(Number(parameters.get("at")) || 0, configs.length - 1));
  const [view, setView] = useState(parameters.get("view") || "form");
  const [range, setRange] = useState(null);
  const declarations = useDeclarations();
  const answers = usePreviews(configs, range);
  const next = useRef(configs.length);
  useEffect(() => {
    keepInHash("design", {
      c: configs.length > 1 || configs[0].text ? configs.map(({ text }) => text || " ") : [],
      at: place || "", view: view === "form" ? "" : view,
    });
  }, [configs, place, view]);

  const active = configs[place];
  const answer = answers[active.id];
  const setText = (text, lines = linesOf(text)) => setConfigs((before) =>
    before.map((config) => (config.id === active.id ? { ...config, text, lines } : config)));
  const setLines = (lines) => setText(lines.join("\n"), lines);
  const add = () => {
    setConfigs([...configs, { ...active, id: next.current }]);
    next.current += 1;
    setPlace(configs.length);
  };
  const drop = (at) => {
    setConfigs(configs.filter((_, other) => other !== at));
    setPlace(Math.max(0, place - (at <= place ? 1 : 0)));
  };
  /** Takes the overrides of a hint as if they had been typed. */
  const mend = (overrides) => setLines(overrides.reduce((lines, override) => {
    const key = keyOf(override);
    return declarations?.options[key] && !override.startsWith("~")
      ? withOption(lines, key, textOf(override)) : withLine(lines, key, textOf(override));
  }, active.lines));

  return html`
    <div class="design">
      <section class="typed" aria-label="Config">
        <div class="tools">
          <div role="tablist" aria-label="Views of the config" class="tabs" onKeyDown=${besides}>
            ${VIEWS.map(([name, label]) => html`
              <button type="button" role="tab" id="tab-${name}" aria-selected=${view === name}
                aria-controls="view" tabindex=${view === name ? 0 : -1}
                onClick=${() => setView(name)}>${label}</button>`)}
          </div>
          <div class="configs" role="group" aria-label="Configs that are compared">
            ${configs.length > 1 && configs.map(({ id }, at) => html`
              <span key=${id} class="config">
                <button type="button" aria-pressed=${at === place} onClick=${() => setPlace(at)}>
                  <i class="swatch ink-c${at}"></i> ${letter(at)}</button>
                <button type="button" class="plain" aria-label="Remove ${letter(at)}" onClick=${() => drop(at)}>×</button>
              </span>`)}
            ${configs.length < MOST_CONFIGS && html`
              <button type="button" onClick=${add}>Compare another</button>`}
          </div>
        </div>
        <div id="view" role="tabpanel" aria-labelledby="tab-${view}">
          ${declarations?.problem ? html`<p class="problem" role="alert">${declarations.problem}</p>`
            : !declarations ? html`<p class="note" role="status">Reading …</p>`
              : view === "form" ? html`<${DesignForm} key=${active.id}
                  ...${{ ...declarations, lines: active.lines, setLines, answer, mend }} />`
                : view === "overrides" ? html`<${Overrides} key=${active.id}
                    ...${{ text: active.text, setText, answer }} />`
                  : html`<${Yaml} key=${active.id} ...${{ ...declarations, setLines, answer }} />`}
        </div>
      </section>
      <${Outcome} ...${{ configs, answers, place, range, setRange, mend, setLines, letter }} />
    </div>`;
}

const letter = (place) => String.fromCharCode(65 + place);

/** The arrow keys go from tab to tab. */
function besides(event) {
  const step = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[event.key];
  const tab = step && event.target[step];
  if (!tab) return;
  tab.click();
  tab.focus();
}
