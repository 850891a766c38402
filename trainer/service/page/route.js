// Where one is, in the hash: `#/run/ID?smooth=0.6`. Reload and back find all of it there.

export function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [page, id] = path.split("/");
  return { page: page || "runs", id, parameters: new URLSearchParams(query) };
}

/** The hash of a place. */
export function hashOf(page, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== false && one !== "") query.append(name, one);
    }
  }
  const text = query.toString();
  return `#/${page}${text ? `?${text}` : ""}`;
}

/** Writes what was typed to the place where one is, if one is there yet; no step for "back". */
export function keepInHash(place, parameters) {
  const { page, id } = route();
  if ((id ? `${page}/${id}` : page) !== place) return;
  history.replaceState(null, "", hashOf(place, parameters));
}
