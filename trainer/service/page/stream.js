// What changes, as it changes: one stream of server-sent events for all tabs of a browser.

// A browser opens six connections to a server, for all its tabs. So one tab that is looked at has
// the stream, by a Web Lock, and tells the others what comes; each says which topics it wants.
// Where there are no locks or channels, each tab that is looked at has a stream of its own.

const AGAIN_MS = 1500;
const GATHER_MS = 40;
const NAMES = ["runs", "rows", "resync", "complete", "gone", "queue"];
const NAME = `events of ${new URL(".", location)}`;
const TAB = `${Math.random()}`;

const shared = "BroadcastChannel" in window && "locks" in navigator;
const channel = shared ? new BroadcastChannel(NAME) : null;
const listeners = new Set();
/** What each tab wants, where this one leads. */
const wanted = new Map();
/** How far the rows of each run were told. */
const cursors = new Map();
const sources = new Set();
let [isLeader, hasGap, source, topics, opening, timer, release] = [false, true, null, "", null, 0, null];

const offset = (cursor) => Number.parseInt(cursor || 0, 10);

function say(message) {
  channel?.postMessage(message);
  hear(message);
}

function hear(message) {
  const { connected, who, tab, wants: places } = message;
  if (message.event) tell(message);
  else if (connected !== undefined) listeners.forEach(({ handlers }) => handlers.connected?.(connected));
  else if (who) want();
  else if (isLeader) {
    if (places) wanted.set(tab, places);
    else wanted.delete(tab);
    clearTimeout(timer);
    timer = setTimeout(open, GATHER_MS);
  }
}

if (channel) channel.onmessage = ({ data }) => hear(data);

/** Hands on an event to whoever has asked for it: each row once, however far another tab is. */
function tell({ event, data, isGap }) {
  for (const listener of listeners) {
    const { handlers } = listener;
    const places = placesOf(listener.topics());
    const place = `rows:${data.run}`;
    if (event === "open") {
      if (isGap || !listener.isOpen || listener.hasMissed) handlers.open?.(listener.isOpen, data);
      listener.isOpen = true;
      listener.hasMissed = false;
    } else if (places.has(place)) {
      const own = places.get(place);
      if (event !== "rows" || !own || data.from === offset(own)) handlers[event]?.(data);
      else if (data.from > offset(own)) handlers.resync?.(data);
      else if (data.to > offset(own)) handlers.rows?.(data);
    } else if (places.has(event) || (event === "runs" && data.changed.some(({ id }) => places.has(`run:${id}`)))) {
      handlers[event]?.(data);
    }
  }
}

/** Opens a stream of all that is wanted; those before it go on until it is there. */
function open() {
  if (!isLeader) return;
  if (wanted.has(TAB)) wanted.set(TAB, wants());
  const places = placesOf([...wanted.values()].join());
  const next = [...places.keys()].sort().join();
  if (source && next === topics) {
    if (opening) say(opening);
    return;
  }
  [topics, opening] = [next, null];
  if (!next) {
    close();
    return;
  }
  const words = [...places].map(([topic, place]) => [topic, cursors.get(topic) || place].filter(Boolean).join("@"));
  const opened = source = new EventSource(`api/v1/events?topics=${encodeURIComponent(words.join())}`);
  sources.add(opened);
  opened.addEventListener("open", ({ data }) => {
    if (data === undefined) return; // the browser's own "open", with the server's name
    for (const earlier of sources) {
      if (earlier === opened) break;
      earlier.close();
      sources.delete(earlier);
    }
    say({ connected: true });
    opening = { event: "open", data: JSON.parse(data) };
    say({ ...opening, isGap: hasGap });
    hasGap = false;
  });
  for (const name of NAMES) {
    opened.addEventListener(name, (event) => {
      const data = JSON.parse(event.data);
      if (data.cursor) cursors.set(`rows:${data.run}`, data.cursor);
      say({ event: name, data });
    });
  }
  opened.onerror = () => {
    close();
    say({ connected: false });
    timer = setTimeout(() => say({ who: true }), AGAIN_MS); // tabs know by now how far they are
  };
}

/** The topics of a text, each with the cursor that is the furthest behind. */
function placesOf(text) {
  const places = new Map();
  for (const word of text.split(",").filter(Boolean)) {
    const [topic, cursor] = word.split("@");
    if (!places.has(topic) || offset(cursor) < offset(places.get(topic))) places.set(topic, cursor);
  }
  return places;
}

function close() {
  clearTimeout(timer);
  sources.forEach((one) => one.close());
  sources.clear();
  source = null;
  hasGap = true;
}

const wants = () => [...listeners].map((one) => one.topics()).join();
const want = () => say({ tab: TAB, wants: wants() });

function lead() {
  isLeader = true;
  wanted.clear();
  cursors.clear();
  close();
  say({ who: true });
  return new Promise((resolve) => {
    release = resolve;
  });
}

function looked() {
  if (document.hidden || !listeners.size) {
    say({ tab: TAB, wants: "" });
    listeners.forEach((one) => {
      one.hasMissed = true;
    });
    close();
    isLeader = false;
    release?.();
    release = null;
  } else if (!release) {
    release = () => {};
    if (shared) navigator.locks.request(NAME, () => document.hidden || !listeners.size ? null : lead());
    else lead();
    want();
  } else {
    want();
  }
}

document.addEventListener("visibilitychange", looked);
addEventListener("pagehide", () => say({ tab: TAB, wants: "" }));

/**
 * Listens to `topics()`, asked for at each connection, until the returned function is called.
 *
 * `handlers.open(again)` tells of each beginning, behind which everything may have changed;
 * `handlers.connected(is)` whether the server is there.
 */
export function listen(topics, handlers) {
  const listener = { topics, handlers };
  listeners.add(listener);
  looked();
  return () => {
    listeners.delete(listener);
    looked();
  };
}
