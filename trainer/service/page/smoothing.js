// How much a curve is smoothed: by the server, over all rows and not over those that are drawn.

import { html } from "./vendor/preact-htm.js";
import { count } from "./format.js";

/** The weight of what was before, of where the slider stands: up to 0.9999. */
export const weightOf = (slid) => (slid ? Number((1 - 10 ** (-4 * slid)).toPrecision(4)) : 0);

export function Smoothing({ value, set }) {
  const half = value && Math.max(1, Math.round(Math.log(0.5) / Math.log(weightOf(value))));
  const words = half ? `half forgotten after ${count(half)} row${half === 1 ? "" : "s"}` : "none";
  return html`
    <label class="check">Smoothing
      <input type="range" min="0" max="1" step="0.05" value=${value} aria-valuetext=${words}
        onInput=${({ target }) => set(Number(target.value))} /></label>
    <span class="note digits">${words}</span>`;
}
