// What a run's config plans: the curves that its values are applied from.

import { post } from "./api.js";

const POINTS = 900;

/** The planned curves of a run; without any where its config can't be declared now. */
export async function planned(id, range) {
  const [from = null, to = null] = range || [];
  try {
    const answer = await post("preview", { overrides: [`rerun=${id}`], from, to, points: POINTS });
    return { curves: answer.curves, total: answer.total_steps, problem: "" };
  } catch (error) {
    return { curves: [], total: null, problem: error.message };
  }
}
