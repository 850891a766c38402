// Series as the API gives them: `{rows, width, steps, last, min?, max?, mean?, not_finite}`.

export const POINTS = 2000;
const MOST = 1.5 * POINTS;

/** The rows of an answer with those of a message of the stream behind them. */
export function extended(rows, news) {
  const series = { ...rows?.series };
  let isLong = false;
  for (const [name, more] of Object.entries(news)) {
    const before = series[name];
    series[name] = before ? joined(before, more) : more;
    isLong ||= series[name].steps.length > MOST;
  }
  const names = [...new Set([...(rows?.names || []), ...Object.keys(news)])];
  return { approximate: false, ...rows, names, series, isLong };
}

function joined(before, more) {
  const isBucketed = before.min || more.min;
  const column = (name, single) => [...(before[name] || before[single]), ...(more[name] || more[single])];
  return {
    rows: before.rows + more.rows,
    width: Math.max(before.width, more.width),
    steps: column("steps"),
    last: column("last"),
    not_finite: column("not_finite"),
    ...(isBucketed && {
      until: column("until", "steps"),
      min: column("min", "last"),
      max: column("max", "last"),
      mean: column("mean", "last"),
    }),
  };
}

/**
 * A running mean that forgets by half each `half` steps, without the pull of where it began.
 *
 * It counts in steps and not in points, so that it is the same however many points are drawn.
 */
export function smoothed(steps, values, half) {
  let [sum, weight, before] = [0, 0, steps[0]];
  return values.map((value, place) => {
    const forgotten = 0.5 ** ((steps[place] - before) / half);
    before = steps[place];
    sum *= forgotten;
    weight *= forgotten;
    if (value !== null) {
      const share = place ? 1 - forgotten : 1;
      sum += value * Math.max(share, 1e-12);
      weight += Math.max(share, 1e-12);
    }
    return weight ? sum / weight : null;
  });
}

/** A series as a line of a chart, with the envelope of what it stands for. */
export function lineOf(name, series, ink, half) {
  const centre = series.mean || series.last;
  const line = { key: name, label: name, colour: ink, steps: series.steps };
  if (!half) {
    return { ...line, values: centre, low: series.min, high: series.max };
  }
  return {
    ...line,
    values: smoothed(series.steps, centre, half),
    low: series.min || null,
    high: series.max || null,
    raw: series.min ? null : centre,
    width: 2,
  };
}
