// The config as a form: a part for each group and for the settings that have no kind.

import { html } from "./vendor/preact-htm.js";
import { withOption, optionOf } from "./design_options.js";
import { Fields, Prose, Problems } from "./design_fields.js";

/** The parts in the order in which one thinks of them, and which are open at first. */
const PARTS = ["schedule", "warmup", "cooldown", "optimizer", "run", "data", "model", "loss", "evaluate",
  "checkpoint", "log", "device", "export", "experiment"];
const OPEN = ["schedule", "warmup", "cooldown", "optimizer", "run"];
/** Groups whose members are schedules with a length. */
const PIECES = ["warmup", "cooldown"];
const FIRST_SETTINGS = { run: ["length", "seed", "precision"], evaluate: ["every"], checkpoint: ["every"], log: ["every"] };

export function DesignForm(props) {
  const { kinds, options } = props;
  const parts = PARTS.filter((name) => name in options || name in kinds.settings);
  return html`
    <form class="form" onSubmit=${(event) => event.preventDefault()}>
      ${parts.map((name) => name in options
        ? html`<${Group} key=${name} ...${props} group=${name} />`
        : html`<${Settings} key=${name} ...${props} name=${name} />`)}
    </form>`;
}

const title = (name) => name[0].toUpperCase() + name.slice(1);

function Group(props) {
  const { group, kinds, options, lines, setLines, answer } = props;
  const value = answer?.config?.[group];
  const chosen = optionOf(lines, group);
  const isWritten = chosen !== null && !(chosen in options[group]);
  const current = isWritten ? "" : chosen ?? value?.kind ?? (group === "experiment" ? "" : "none");
  const family = PIECES.includes(group) ? kinds.groups.schedule : kinds.groups[group];
  const declared = value && family?.[value.kind];
  const help = options[group][current]?.help;
  const problems = answer?.problems.filter(({ path }) => path === group) || [];
  return html`
    <details class="part" open=${OPEN.includes(group)}>
      <summary><h2>${title(group)}</h2>
        <select id="field-${group}" aria-label=${title(group)} value=${current} onClick=${(event) => event.stopPropagation()}
          onChange=${(event) => setLines(withOption(lines, group, event.target.value || null, current))}>
          ${isWritten ? html`<option value="" selected>as typed: ${chosen}</option>`
            : group === "experiment" ? html`<option value="">none</option>` : null}
          ${Object.keys(options[group]).map((name) => html`
            <option value=${name} selected=${name === current}>${name}</option>`)}
        </select>
      </summary>
      <${Problems} ...${props} problems=${problems} />
      ${help ? html`<p class="note">${help.replace(/^yaml-language-server: \S+ /, "")}</p>` : null}
      ${declared ? html`
        <${Formula} text=${declared.text} />
        <${Fields} ...${props} path=${group} value=${value} fields=${pieces(declared.fields, PIECES.includes(group))}
          example=${options[group][current]?.values || {}} />` : null}
    </details>`;
}

const LENGTH = { name: "length", type: "Duration", required: false, default: null,
  help: "How long it takes: a share of the run, steps, epochs or examples." };

/** The fields of a schedule that is a part of another, which has a length besides. */
export const pieces = (fields, isPart) => (isPart ? [LENGTH, ...fields] : fields);

export const Formula = ({ text }) => html`
  <details class="formula"><summary><${Prose} text=${text[0]} /></summary>
    ${text.slice(1).map((paragraph) => html`<p><${Prose} text=${paragraph} /></p>`)}</details>`;

function Settings(props) {
  const { name, kinds, answer } = props;
  const first = FIRST_SETTINGS[name] || [];
  const example = Object.fromEntries(first.map((field) => [field, true]));
  return html`
    <details class="part" open=${OPEN.includes(name)}>
      <summary><h2>${title(name)}</h2></summary>
      <${Fields} ...${props} path=${name} value=${answer?.config?.[name] || {}}
        fields=${kinds.settings[name]} example=${example} />
    </details>`;
}
