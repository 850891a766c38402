// What is drawn over the lines of a chart: events, boundaries, numbers that are not finite.

const FEW = 40;
const ROWS = 4;
const LINE = 14;

/** Whether single points are drawn: where there are few, a line alone hides where they are. */
export const drawPoints = (line) => (u, place) => {
  if (line.dashed || line.noPoints) return false;
  let found = 0;
  for (const value of u.data[place]) {
    if (value !== null && value !== undefined) found += 1;
    if (found > FEW) return false;
  }
  return true;
};

/** Where texts of these widths stand beside marks at `x`: `{left, row}`, or null where none is free.
 *
 * Each is right of its mark, or left of it at the end, in the first row in which it meets no other.
 */
export function places(texts, start, end, gap) {
  const ends = Array(ROWS).fill(-Infinity);
  const found = texts.map(() => null);
  const order = [...texts.keys()].sort((one, other) => texts[one].x - texts[other].x);
  for (const at of order) {
    const { x, size } = texts[at];
    const left = x + gap + size < end ? x + gap : x - gap - size;
    const row = ends.findIndex((taken) => taken <= left);
    if (!size || left < start || row < 0) continue;
    ends[row] = left + size + gap;
    found[at] = { left, row };
  }
  return found;
}

/** `marks`: `{step, text, colour}`, as upright lines; `holes`: steps at which nothing was finite. */
export function drawMarks(u, { marks = [], holes = [] }, colour) {
  const { ctx } = u;
  const { left, top, width, height } = u.bbox;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  ctx.font = `${11 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
  ctx.textAlign = "left";
  ctx.textBaseline = "alphabetic";
  const drawn = marks.map((mark) => ({ ...mark, x: Math.round(u.valToPos(mark.step, "x", true)) + 0.5 }))
    .filter(({ x }) => x >= left - 1 && x <= left + width + 1);
  for (const { x, colour: name = "quiet" } of drawn) {
    ctx.strokeStyle = colour(name);
    ctx.globalAlpha = 0.7;
    ctx.lineWidth = ratio;
    ctx.setLineDash([2 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, top + height);
    ctx.stroke();
  }
  const texts = drawn.map(({ x, text }) => ({ x, size: text ? ctx.measureText(text).width : 0 }));
  const placed = places(texts, left, left + width, 4 * ratio);
  for (const [at, { text, colour: name = "quiet" }] of drawn.entries()) {
    if (!placed[at]) continue;
    const [begin, line] = [placed[at].left, top + placed[at].row * LINE * ratio];
    ctx.globalAlpha = 0.85; // other marks and the lines go behind it
    ctx.fillStyle = colour("paper");
    ctx.fillRect(begin - ratio, line + ratio, texts[at].size + 2 * ratio, (LINE - 1) * ratio);
    ctx.globalAlpha = 1;
    ctx.fillStyle = colour(name);
    ctx.fillText(text, begin, line + 11 * ratio);
  }
  ctx.setLineDash([]);
  ctx.fillStyle = colour("bad");
  for (const step of holes) {
    const x = u.valToPos(step, "x", true);
    ctx.beginPath();
    ctx.moveTo(x, top + height - 8 * ratio);
    ctx.lineTo(x - 4 * ratio, top + height);
    ctx.lineTo(x + 4 * ratio, top + height);
    ctx.fill();
  }
  ctx.restore();
}
