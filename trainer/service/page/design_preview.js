// What the server says of a config while it is typed.

import { useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { post } from "./api.js";

const POINTS = 900;

/** The answer to a config, refused or not, and what of it could be told. */
export async function previewed(request) {
  try {
    const answer = await post("preview", { points: POINTS, ...request });
    return { ...answer, problems: [], failure: "" };
  } catch (error) {
    const known = error.body?.preview;
    const blank = { curves: [], findings: [], config: null, total_steps: null, summary: [], command: "", yaml: "" };
    return { ...blank, ...known, problems: error.problems || [],
      failure: error.problems?.length ? "" : error.message };
  }
}

/** Asks one thing after the other; of what is asked meanwhile, only the latest. */
export class Asker {
  constructor(tell) {
    this.tell = tell;
    this.wanted = null;
    this.isAsking = false;
  }

  async ask(request) {
    this.wanted = request;
    if (this.isAsking) return;
    this.isAsking = true;
    while (this.wanted) {
      const asked = this.wanted;
      this.wanted = null;
      const answer = await previewed(asked);
      await this.tell?.(answer);
    }
    this.isAsking = false;
  }
}

/** The answers to several configs, each with the last curves and config that it had. */
export function usePreviews(configs, range) {
  const [answers, setAnswers] = useState({});
  const askers = useRef(new Map());
  const asked = useRef(new Map());
  useEffect(() => {
    for (const { id, lines } of configs) {
      const request = { overrides: lines, from: range?.[0] ?? null, to: range?.[1] ?? null };
      const text = JSON.stringify(request);
      if (asked.current.get(id) === text) continue;
      asked.current.set(id, text);
      if (!askers.current.has(id)) {
        askers.current.set(id, new Asker((answer) =>
          setAnswers((before) => ({ ...before, [id]: kept(before[id], answer) }))));
      }
      askers.current.get(id).ask(request);
    }
  }, [configs, range?.[0], range?.[1]]);
  useEffect(() => () => askers.current.forEach((asker) => {
    asker.tell = null;
  }), []);
  return answers;
}

/** A refused config has no curves: those before it stay, and are marked as old. */
function kept(before, answer) {
  if (!answer.curves.length && before?.curves.length && (answer.problems.length || answer.failure)) {
    return { ...answer, curves: before.curves, total_steps: before.total_steps, isOld: true,
      config: answer.config || before.config, yaml: answer.yaml || before.yaml };
  }
  return answer;
}
