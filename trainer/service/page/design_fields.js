// The fields of a kind, each with its value, its bounds, its help and why it is refused.

import { html, useState } from "./vendor/preact-htm.js";
import { Formula, pieces } from "./design_form.js";
import { withKind } from "./design_options.js";
import { keyOf, textOf, withLine, written } from "./overrides.js";

/** A text in which what stands in backticks is code. */
export const Prose = ({ text }) => text.split("`").map((part, place) =>
  place % 2 ? html`<code>${part}</code>` : part);

const isMapping = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isSchedule = (value) => isMapping(value) && "kind" in value;

/** The texts that a field may only be, of `Literal['a', 'b']`; null where it may be more. */
function choices(type) {
  const found = type.match(/^(?:Optional\[)?Literal\[([^\]]*)\]\]?$/);
  if (!found) return type === "bool" ? ["true", "false"] : null;
  const words = found[1].split(", ").map((word) => word.replace(/^'|'$/g, ""));
  return type.startsWith("Optional") ? ["null", ...words] : words;
}

/** The texts that are offered beside any other, of `Union[int, Literal['auto']]`. */
const offered = (type) => [...type.matchAll(/'([^']*)'/g)].map(([, word]) => word);

function bounds(field) {
  const signs = { ge: "≥", gt: ">", le: "≤", lt: "<" };
  return Object.entries(signs).filter(([name]) => name in field)
    .map(([name, sign]) => `${sign} ${field[name]}`).join(", ");
}

export function Problems({ problems, mend, lines, setLines }) {
  return problems.map((problem) => html`
    <p class="refusal" key=${problem.path + problem.rule}>
      <span>${problem.rule}</span>
      <${Hint} ...${{ problem, mend, lines, setLines }} />
    </p>`);
}

/** A hint that is an override, or names the word that was meant, as a button; else as prose. */
export function Hint({ problem, mend, lines, setLines }) {
  const { hint, path, rule } = problem;
  if (problem.mend?.length) {
    return html`<button type="button" class="mend" onClick=${() => mend(problem.mend)}>${problem.mend.join(" ")}</button>`;
  }
  const [, word] = hint?.match(/^did you mean ([^\s?,]+)\?$/) || [];
  if (!word || !lines) return hint ? html`<span class="note">${hint}</span>` : null;
  const isKey = /no known key|is no key/.test(rule);
  const other = isKey ? path.replace(/[^.]+$/, word.split(".").pop()) : path;
  const take = () => setLines(isKey
    ? lines.map((line) => (keyOf(line) === path ? `${other}=${textOf(line)}` : line))
    : withLine(lines, path, word));
  return html`<button type="button" class="mend" onClick=${take}>${isKey ? other : `${path}=${word}`}</button>`;
}

/** The fields that matter first; those that nobody has touched are behind a button. */
export function Fields(props) {
  const { fields, value, example, path, lines, answer } = props;
  const [isAll, setAll] = useState(false);
  const isFirst = (field) => field.required || field.name in example ||
    lines.some((line) => `${keyOf(line)}.`.startsWith(`${path}.${field.name}.`)) ||
    answer?.problems.some((problem) => `${problem.path}.`.startsWith(`${path}.${field.name}.`)) ||
    isMapping(value[field.name]) && "kind" in value[field.name];
  const shown = isAll ? fields : fields.filter(isFirst);
  const rest = fields.length - shown.length;
  return html`
    <div class="fields">
      ${shown.map((field) => html`
        <${Field} key=${field.name} ...${props} field=${field} path=${`${path}.${field.name}`}
          value=${value[field.name]} />`)}
    </div>
    ${rest > 0 ? html`<button type="button" class="plain more" onClick=${() => setAll(true)}>${rest} more</button>` : null}`;
}

function Field(props) {
  const { field, path, value, lines, setLines, answer, kinds, options } = props;
  const isScheduled = /^Schedule\b/.test(field.type);
  const line = lines.findLast((one) => keyOf(one) === path && one.includes("="));
  const problems = (answer?.problems || []).filter((problem) => problem.path === path);
  const set = (text) => setLines(withLine(lines, path, text === "" ? null : text));
  const hasMembers = membersOf(value, kinds).length > 0;
  const nested = isSchedule(value) && (isScheduled || value.kind in kinds.groups.schedule);
  return html`
    <div class="field ${problems.length ? "refused" : ""}">
      <label for="field-${path}" title=${path}>${field.name.replaceAll("_", " ")}</label>
      <span class="entry">
        ${nested || hasMembers ? null : html`
          <${Entry} ...${{ field, path, value, line, set }} isRefused=${problems.length > 0} />`}
        ${isScheduled ? html`
          <select id=${nested ? `field-${path}` : null} aria-label="How ${field.name} goes" value=${nested ? value.kind : ""}
            onChange=${({ target }) => setLines(withKind(lines, path, target.value || null, typed(line, value),
              options.schedule[target.value]?.values))}>
            <option value="">${field.required || typeof value === "number" ? "constant" : "a number"}</option>
            ${Object.keys(kinds.groups.schedule).map((kind) => html`
              <option value=${kind} selected=${nested && kind === value.kind}>${kind}</option>`)}
          </select>` : null}
        ${line === undefined ? null : html`
          <button type="button" class="plain" aria-label="Take ${path} back" title="Take back" onClick=${() => set("")}>×</button>`}
      </span>
      <${Problems} ...${props} problems=${problems} />
      <p class="note help"><${Prose} text=${field.help} /> ${bounds(field)}</p>
      ${nested ? html`<${Nested} ...${props} />`
        : hasMembers ? html`<${Members} ...${props} />` : null}
    </div>`;
}

/** The number that is typed, which the server may not have seen yet. */
function typed(line, value) {
  const number = line === undefined ? NaN : Number(textOf(line));
  return Number.isNaN(number) ? value : number;
}

function Entry({ field, path, value, line, set, isRefused }) {
  const words = choices(field.type);
  const text = line === undefined ? (value === undefined ? "" : written(value)) : textOf(line);
  const common = { id: `field-${path}`, "aria-invalid": isRefused };
  if (words && (text === "" || words.includes(text))) {
    const current = text === "" ? written(field.default) : text;
    return html`<select ...${common} value=${current} onChange=${({ target }) => set(target.value)}>
      ${words.map((word) => html`<option value=${word} selected=${word === current}>${word}</option>`)}</select>`;
  }
  const list = offered(field.type);
  return html`
    <input ...${common} type="text" autocomplete="off" spellcheck=${false} value=${text}
      list=${list.length ? `offered-${path}` : null} inputmode=${/^(float|int|Schedule)/.test(field.type) ? "decimal" : null}
      placeholder=${field.default === null ? (field.required ? "" : "null") : written(field.default)}
      onInput=${({ target }) => set(target.value)} />
    ${list.length ? html`<datalist id="offered-${path}">${list.map((word) => html`<option value=${word} />`)}</datalist>` : null}`;
}

/** The fields of a schedule within a value. */
function Nested(props) {
  const { value, path, kinds, options, isPart } = props;
  const declared = kinds.groups.schedule[value.kind];
  return html`
    <fieldset class="nested"><legend class="hidden">${path}</legend>
      ${declared ? html`<${Formula} text=${declared.text} />
        <${Fields} ...${props} isPart=${false} fields=${pieces(declared.fields, isPart)}
          example=${isPart ? { length: true, ...value } : value} />` : null}
    </fieldset>`;
}

const membersOf = (value, kinds) => Object.entries(value ?? {})
  .filter(([, member]) => isSchedule(member) && member.kind in kinds.groups.schedule);

/** The schedules in a list, or by their names in a mapping, each with its kind and its fields. */
function Members(props) {
  const { value, path, lines, setLines, kinds, options, field } = props;
  const isPart = /\bPart\b/.test(field.type);
  return membersOf(value, kinds).map(([name, member]) => {
    const inner = `${path}.${name}`;
    const choose = ({ target }) => setLines(withKind(lines, inner, target.value, member, {
      ...options.schedule[target.value]?.values, ...(isPart && member.length ? { length: member.length } : {}),
    }));
    return html`
      <fieldset class="member" key=${name}>
        <legend>${name}
          <select aria-label="Kind of ${inner}" value=${member.kind} onChange=${choose}>
            ${Object.keys(kinds.groups.schedule).map((kind) => html`
              <option value=${kind} selected=${kind === member.kind}>${kind}</option>`)}
          </select></legend>
        <${Nested} ...${props} path=${inner} value=${member} isPart=${isPart} />
      </fieldset>`;
  });
}
