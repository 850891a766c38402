// Series as the API gives them: `{rows, width, steps, last, min?, max?, mean?, smooth?, not_finite}`.

export const POINTS = 2000;
const MOST = 1.5 * POINTS;

/** The rows of an answer with those of a message of the stream behind them; `weight` smooths on. */
export function extended(rows, news, weight) {
  const series = { ...rows?.series };
  let isLong = false;
  for (const [name, more] of Object.entries(news)) {
    const before = series[name];
    series[name] = before ? joined(before, fresh(more, before), weight) : more;
    isLong ||= series[name].steps.length > MOST;
  }
  const names = [...new Set([...(rows?.names || []), ...Object.keys(news)])];
  return { approximate: false, ...rows, names, series, isLong };
}

/** What of a message is behind the rows that are there: another tab may have been further back. */
function fresh(more, before) {
  const end = (before.until || before.steps).at(-1);
  const old = more.steps.findLastIndex((step) => step <= end) + 1;
  if (!old) return more;
  const rest = Object.entries(more).map(([name, value]) => [name, Array.isArray(value) ? value.slice(old) : value]);
  return { ...Object.fromEntries(rest), rows: Math.max(0, more.rows - old * more.width),
    not_finite: more.not_finite.filter(([step]) => step > end) };
}

function joined(before, more, weight) {
  const isBucketed = before.min || more.min;
  const column = (name, single) => [...(before[name] || before[single]), ...(more[name] || more[single])];
  return {
    rows: before.rows + more.rows,
    width: Math.max(before.width, more.width),
    steps: column("steps"),
    last: column("last"),
    not_finite: [...before.not_finite, ...more.not_finite],
    ...(isBucketed && {
      until: column("until", "steps"),
      min: column("min", "last"),
      max: column("max", "last"),
      mean: column("mean", "last"),
    }),
    ...(before.smooth && { smooth: [...before.smooth, ...goneOn(before, more, weight)] }),
  };
}

/** The running mean of the server, gone on with; exactly where rows come one by one. */
function goneOn(before, more, weight) {
  let mean = before.smooth.findLast((value) => value !== null) ?? 0;
  let { rows } = before;
  return (more.mean || more.last).map((value, place, { length }) => {
    if (value === null) return mean;
    const count = place && place < length - 1 ? more.width : 1;
    const [kept, share] = [weight ** count * (1 - weight ** rows), 1 - weight ** count];
    rows += count;
    mean = (mean * kept + value * share) / (kept + share);
    return mean;
  });
}

/** A series as a line of a chart, with the envelope of what it stands for. */
export function lineOf(name, series, ink) {
  const { steps, min: low, max: high, smooth } = series;
  const centre = series.mean || series.last;
  const line = { key: name, label: name, colour: ink, steps, low, high };
  return smooth ? { ...line, values: smooth, raw: low ? null : centre, width: 2 } : { ...line, values: centre };
}
