// Overrides as a command line has them: `schedule=cosine`, `run.length=5 epochs`, `~log.tensorboard`.

/** What a line sets: its path, without the signs before it. */
export const keyOf = (line) => line.split("=")[0].trim().replace(/^(\+\+|\+|~)/, "");

export const textOf = (line) => line.slice(line.indexOf("=") + 1);

/** The lines of a text, which may also be a whole command with a shell's quotes. */
export function linesOf(text) {
  const command = /^\s*(?:\S+=\S+\s+)*(?:python3? -m trainer|bash scripts\/train|trainer)(?:\s+|$)/;
  if (command.test(text)) return shellWords(text.replace(/\\\n/g, " ").replace(command, ""));
  return text.split("\n").map((line) => line.trim()).filter(Boolean);
}

function shellWords(text) {
  const words = [];
  const parts = /\s+|'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^\s'"\\]+)/gs;
  let word = null;
  for (const [whole, single, double, escaped, plain] of text.matchAll(parts)) {
    const inner = single ?? double?.replace(/\\(.)/gs, "$1") ?? escaped ?? plain;
    if (inner === undefined && !whole.trim()) {
      if (word !== null) words.push(word);
      word = null;
    } else {
      word = (word ?? "") + inner;
    }
  }
  return word === null ? words : [...words, word];
}

/** The lines with one path set to a text, or with nothing said of it where that is null. */
export function withLine(lines, key, text) {
  const place = lines.findIndex((line) => keyOf(line) === key);
  if (text === null) return lines.filter((line) => keyOf(line) !== key);
  const line = `${key}=${text}`;
  return place < 0 ? [...lines, line] : lines.map((one, at) => (at === place ? line : one));
}

export const withoutBelow = (lines, key) => lines.filter((line) => !keyOf(line).startsWith(`${key}.`));

const PLAIN = /^[A-Za-z_%/][\w.%/+:*-]*(?: [\w.%/+:*-]+)*$|^\d[\w.%/+-]* ?(?:%|steps?|epochs?|examples?)$/;
const WORDS = /^(?:null|true|false|nan|inf|yes|no|on|off)$/i;

/** A value of a config as an override writes it. */
export function written(value) {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return `[${value.map(written).join(", ")}]`;
  if (typeof value === "object") {
    const members = Object.entries(value).map(([name, inner]) => `${name}: ${written(inner)}`);
    return `{${members.join(", ")}}`;
  }
  if (typeof value !== "string") return String(value);
  if (PLAIN.test(value) && !WORDS.test(value)) return value;
  return `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

const isMapping = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const equal = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/**
 * The overrides that make `config` of `base`, which is what is trained when nothing is said.
 *
 * Where a group has another kind, its option of that name is chosen, and what differs from it said.
 */
export function overridesOf(config, base, options) {
  const lines = [];
  for (const name of new Set([...Object.keys(base), ...Object.keys(config)])) {
    if (["allow_code", "rerun"].includes(name) || equal(config[name], base[name])) continue;
    const here = config[name];
    const isOther = isMapping(here) && here.kind !== undefined && here.kind !== base[name]?.kind;
    if (name in options && isOther) {
      const option = options[name][here.kind]?.values;
      if (option?.kind === here.kind) {
        lines.push(`${name}=${here.kind}`, ...differences(here, option, name));
      } else {
        lines.push(`${name}=${written(here)}`);
      }
    } else if (name in options && here === null && "none" in options[name]) {
      lines.push(`${name}=none`);
    } else {
      lines.push(...differences(config, base, "", name));
    }
  }
  return lines;
}

function differences(here, base, path, only = null) {
  const names = only ? [only] : [...new Set([...Object.keys(base), ...Object.keys(here)])];
  return names.flatMap((name) => {
    const inner = path ? `${path}.${name}` : name;
    const [one, other] = [here[name], base[name]];
    if (equal(one, other)) return [];
    if (!(name in here)) return [`~${inner}`];
    if (isMapping(one) && isMapping(other) && one.kind === other.kind && Object.keys(other).length) {
      return differences(one, other, inner);
    }
    return [`${inner}=${written(one)}`];
  });
}
