// What changes, as it changes: one stream of server-sent events for a tab that is looked at.

const AGAIN_MS = 1500;
const NAMES = ["open", "runs", "rows", "resync", "complete", "gone"];

/**
 * Listens to `topics()`, asked for at each connection, until the returned function is called.
 *
 * A browser opens six connections to a server, for all its tabs: so a hidden tab closes its stream,
 * and begins again when it is looked at. `handlers.open(again)` tells of each beginning, behind
 * which everything may have changed; `handlers.connected(is)` whether the server is there.
 */
export function listen(topics, handlers) {
  let source = null;
  let timer = 0;
  let count = 0;

  function open() {
    clearTimeout(timer);
    source = new EventSource(`api/v1/events?topics=${encodeURIComponent(topics())}`);
    for (const name of NAMES) {
      source.addEventListener(name, (event) => {
        if (event.data === undefined) return; // the browser's own "open", with the server's name
        const data = JSON.parse(event.data);
        if (name === "open") {
          handlers.connected?.(true);
          handlers.open?.(count > 0);
          count += 1;
        } else {
          handlers[name]?.(data);
        }
      });
    }
    source.onerror = () => {
      handlers.connected?.(false);
      close();
      if (!document.hidden) timer = setTimeout(open, AGAIN_MS);
    };
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  function looked() {
    if (document.hidden) close();
    else if (!source) open();
  }

  document.addEventListener("visibilitychange", looked);
  looked();
  return () => {
    document.removeEventListener("visibilitychange", looked);
    close();
  };
}
