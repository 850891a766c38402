// The end of a run's logs, growing while it runs.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/preact-htm.js";
import { get } from "./api.js";

const AGAIN_MS = 2000;
const MOST_LETTERS = 200_000;

export function Log({ id, isRunning }) {
  const [stream, setStream] = useState("output");
  const [log, setLog] = useState({ text: "", streams: [] });
  const frame = useRef(null);
  const isAtEnd = useRef(true);
  useEffect(() => {
    let timer = 0;
    let isCurrent = true;
    let from = null;
    async function load() {
      try {
        const part = await get(`runs/${id}/log`, { stream, from });
        if (!isCurrent) return;
        const isCut = from !== null && part.from < from;
        const isFirst = from === null || isCut;
        from = part.to;
        setLog((before) => ({
          streams: part.streams,
          text: (isFirst ? part.text : before.text + part.text).slice(-MOST_LETTERS),
        }));
        if (isFirst && !part.streams.includes(stream) && part.streams.length) setStream(part.streams[0]);
      } catch {
        // The next look tells more.
      }
      if (isCurrent && isRunning) timer = setTimeout(load, AGAIN_MS);
    }
    load();
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [id, stream, isRunning]);
  useLayoutEffect(() => {
    if (frame.current && isAtEnd.current) frame.current.scrollTop = frame.current.scrollHeight;
  }, [log]);
  const look = ({ target }) => {
    isAtEnd.current = target.scrollTop + target.clientHeight > target.scrollHeight - 24;
  };
  return html`
    <section class="panel" aria-label="Log">
      <header><h2>Log</h2>
        ${log.streams.map((name) => html`
          <button type="button" aria-pressed=${name === stream} onClick=${() => setStream(name)}>${name}</button>`)}
      </header>
      ${log.streams.length === 0
        ? html`<p class="note">It has written none: a run in a terminal writes there.</p>`
        : html`<div class="scroll" tabindex="0" ref=${frame} onScroll=${look}>
            <pre class="log">${log.text || "empty"}</pre></div>`}
    </section>`;
}
