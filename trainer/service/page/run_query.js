// What the list asks for at a place.

/** How many runs are asked for at first: more than are seen, and drawn before the others come. */
export const FIRST = 100;
/** How many are asked for at once after these. */
export const PART = 1000;
export const SORT = "-started";

export const asked = (parameters) => ({
  q: (parameters.get("q") || "").trim(),
  state: parameters.get("state") || "",
  sort: parameters.get("sort") || SORT,
  sweep: parameters.get("sweep") || "",
});
