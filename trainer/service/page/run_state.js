// How far a run is, in words and as a bar.

import { html } from "./vendor/preact-htm.js";
import { count, duration } from "./format.js";

/** The state in a word: what a cluster has in its own queue waits, and its reason says why. */
const wordOf = ({ status, reason }) => (status === "starting" && reason ? "waiting" : status);

export const State = ({ run }) => html`
  <span class="state state-${wordOf(run)}" title=${run.reason || null}>${wordOf(run)}</span>`;

export function Progress({ run, words = false }) {
  const total = run.total_steps;
  const share = total ? Math.min(1, run.steps / total) : null;
  const text = total ? `${count(run.steps)} of ${count(total)}` : count(run.steps);
  return html`
    <span class="progress" title="${text} updates">
      ${share === null ? null : html`
        <span class="bar" role="progressbar" aria-label="progress"
          aria-valuenow=${Math.floor(share * 100)} aria-valuemin="0" aria-valuemax="100">
          <span style=${{ width: `${share * 100}%` }}></span>
        </span>`}
      <span class="digits">${words || share === null
        ? `${text} updates` : `${Math.floor(share * 100)} %`}</span>
    </span>`;
}

export const timeLeft = (run) =>
  run.seconds_left === null || run.seconds_left === undefined ? ""
    : `${duration(run.seconds_left)} left`;

const WIDTH = 96;
const HEIGHT = 24;

/** A few losses as a line, without axes: what shows at once whether a run learns. */
export function Sparkline({ values }) {
  const finite = values.filter((value) => value !== null);
  if (finite.length < 2) return html`<span class="spark"></span>`;
  const low = Math.min(...finite);
  const span = Math.max(...finite) - low || 1;
  const points = values.map((value, place) => value === null ? null : [
    (place / (values.length - 1)) * (WIDTH - 2) + 1,
    HEIGHT - 2 - ((value - low) / span) * (HEIGHT - 4),
  ]).filter(Boolean);
  const line = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
  return html`
    <svg class="spark" width=${WIDTH} height=${HEIGHT} viewBox="0 0 ${WIDTH} ${HEIGHT}"
      role="img" aria-label="loss from ${values[0]} to ${values[values.length - 1]}">
      <polyline points=${line} />
    </svg>`;
}
