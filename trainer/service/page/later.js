// Parts of the page that are loaded when they are first opened.

import { html, useEffect, useState } from "./vendor/preact-htm.js";

/** A part that is asked for when it is first opened: whoever looks at a run needs no other. */
export function later(load) {
  let Part = null;
  return (properties) => {
    const [problem, setProblem] = useState("");
    const [, setLoaded] = useState(false);
    useEffect(() => {
      if (!Part) load().then((found) => setLoaded(!!(Part = found)), (error) => setProblem(error.message));
    }, []);
    return Part ? html`<${Part} ...${properties} />`
      : html`<p class="empty" role=${problem ? "alert" : "status"}>${problem || "Reading …"}</p>`;
  };
}
