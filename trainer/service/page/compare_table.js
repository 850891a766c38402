// The values that differ, with what came of them; runs that differ in their seed are one setting.

import { html, useState } from "./vendor/preact-htm.js";
import { count, number, shown } from "./format.js";

const spread = (found) => !found?.runs ? "–" : html`${number(found.mean)}
  ${found.deviation === null || found.deviation === undefined ? null
    : html` <span class="note">± ${number(found.deviation, 2)}</span>`}`;

/** What a setting is sorted by: a number, a word, or nothing. */
function keyOf(setting, columns, sort) {
  const place = columns.indexOf(sort);
  return place < 0 ? setting.measured[sort]?.mean : setting.values[place];
}

function compare(one, other) {
  if ((one ?? null) === null || (other ?? null) === null) return ((one ?? null) === null) - ((other ?? null) === null);
  return typeof one === "number" && typeof other === "number" ? one - other
    : shown(one).localeCompare(shown(other));
}

export function Settings({ columns, metrics, settings, runs, metric, marked, setMarked, isMean }) {
  const [sort, setSort] = useState({});
  const own = (place) => runs.filter(({ setting }) => setting === place);
  const entries = settings.map((setting, place) => ({ ...setting, place, members: own(place) }))
    .filter(({ members }) => members.length);
  const ordered = sort.by ? [...entries].sort((one, other) =>
    compare(keyOf(one, columns, sort.by), keyOf(other, columns, sort.by)) * (sort.down ? -1 : 1)) : entries;
  const head = (name, isMetric) => html`
    <th scope="col" title=${name} aria-sort=${sort.by === name ? (sort.down ? "descending" : "ascending") : null}
      class="${isMetric ? "digits" : ""} ${name === metric ? "chosen" : ""}">
      <button type="button" onClick=${() => setSort({ by: name, down: sort.by === name && !sort.down })}>${name.replace(/\.kind$/, "")}</button></th>`;
  return html`
    <section class="panel" aria-label="Settings">
      <header><h2>What differs</h2><span class="note">${count(entries.length)} settings</span></header>
      <div class="scroll" tabindex="0"><table class="pairs settings">
        <thead><tr><th scope="col">runs</th>${columns.map((name) => head(name, false))}${metrics.map((name) => head(name, true))}</tr></thead>
        ${ordered.map(({ place, values, members, measured }) => html`
          <tbody key=${place} class=${marked === place ? "marked" : ""}
            onMouseEnter=${() => setMarked(place)} onMouseLeave=${() => setMarked(null)}
            onFocusIn=${() => setMarked(place)} onFocusOut=${() => setMarked(null)}>
            <tr><th scope="row"><i class="swatch ink-c${place % 8}"></i>
              ${members.length === 1 ? link(members[0]) : ` ${count(members.length)} seeds`}</th>
              ${values.map((value) => html`<td>${value === null ? "–" : shown(value)}</td>`)}
              ${metrics.map((name) => html`<td class="digits">${spread(measured[name])}</td>`)}</tr>
            ${members.length > 1 && !isMean ? members.map((run) => html`
              <tr key=${run.id} class="member-run"><th scope="row">${link(run)}</th>
                <td colspan=${columns.length} class="note">seed ${run.seed ?? "–"}, ${run.status}</td>
                ${metrics.map((name) => html`<td class="digits">${number(run.metrics[name])}</td>`)}</tr>`) : null}
          </tbody>`)}
      </table></div>
    </section>`;
}

const link = (run) => html` <a href="#/run/${run.id}">${run.name}</a>`;
