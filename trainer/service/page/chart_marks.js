// What is drawn over the lines of a chart: events, boundaries, numbers that are not finite.

const FEW = 40;

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
  let free = -Infinity;
  for (const { step, text, colour: name = "quiet" } of marks) {
    const x = Math.round(u.valToPos(step, "x", true)) + 0.5;
    if (x < left - 1 || x > left + width + 1) continue;
    ctx.strokeStyle = ctx.fillStyle = colour(name);
    ctx.globalAlpha = 0.7;
    ctx.lineWidth = ratio;
    ctx.setLineDash([2 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, top + height);
    ctx.stroke();
    ctx.globalAlpha = 1;
    const size = ctx.measureText(text).width;
    if (text && x > free && x + size + 4 * ratio < left + width) {
      ctx.fillText(text, x + 4 * ratio, top + 11 * ratio);
      free = x + size + 10 * ratio;
    }
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
