// What the page shows first is asked for while its modules still come.

import { begin, once } from "./api.js";
import { asked, FIRST } from "./run_query.js";
import { route } from "./route.js";

const { page, id, parameters } = route();
if (page === "runs") begin("runs", { ...asked(parameters), limit: FIRST });
if (page === "run") begin(`runs/${id}`);
once("health").catch(() => {}); // whoever shows it tells
