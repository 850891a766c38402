// Choosing an option of a group, or a kind within a value, without losing what was typed before.

import { keyOf, withLine, withoutBelow, written } from "./overrides.js";

const kept = new Map();

const below = (lines, path) => lines.filter((line) => keyOf(line).startsWith(`${path}.`));

/** The option of a group that the lines choose; null where they say nothing of it. */
export function optionOf(lines, group) {
  const line = lines.findLast((one) => keyOf(one) === group && one.includes("="));
  return line === undefined ? null : line.slice(line.indexOf("=") + 1).trim();
}

/**
 * The lines with another option of a group.
 *
 * What was said below the group belonged to the option before, `current` where the lines name none: it
 * is kept, and said again when that option comes back. A null option says nothing of the group.
 */
export function withOption(lines, group, option, current = null) {
  const before = optionOf(lines, group) ?? current;
  if (before === option) return lines;
  kept.set(`${group}=${before}`, below(lines, group));
  const chosen = withLine(withoutBelow(lines, group), group, option);
  return [...chosen, ...(kept.get(`${group}=${option}`) || [])];
}

/**
 * The lines with a value that has another kind: a mapping, or with a null kind a number again.
 *
 * `value` is what is there now; `example` the values of an option of that kind, to begin with.
 */
export function withKind(lines, path, kind, value, example) {
  const before = value?.kind ?? null;
  kept.set(`${path}:${before}`, lines.filter((line) => keyOf(line) === path || keyOf(line).startsWith(`${path}.`)));
  const rest = withoutBelow(lines, path).filter((line) => keyOf(line) !== path);
  const again = kept.get(`${path}:${kind}`);
  if (again?.length || kind === null) return [...rest, ...(again || [])];
  const begun = { kind, ...example };
  const first = ["initial_value", "value", "base_value"].find((name) => name in begun);
  if (typeof value === "number" && first) begun[first] = value;
  return [...rest, `${path}=${written(begun)}`];
}
