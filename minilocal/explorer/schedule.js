// ---------------------------------------------------------------- a schedule of some steps

const STEPS = 2.5;

function gantt(s, point) {
  const wide = widthOf("gantt") - 2, left = 22, K = point.bars.length, high = K > 30 ? 6 : K > 10 ? 12 : 20;
  const kinds = DATA.schedule.kinds, ticks = DATA.schedule.ticks, scale = (wide - left) / (STEPS * ticks);
  const work = point.idle.map((share, k) => `device ${k + 1} ${percent(share)}`).join(", ");
  const add = canvas("gantt", wide, K * high + 72, `Gantt chart of ${STEPS} steps on ${K} devices. Waiting: ${work}.`);
  patterns(add);
  point.bars.forEach((bars, device) => {
    const y = device * high;
    if (high > 10 || device % 5 === 0) word(add, 0, y + Math.min(high, 14) - 2, String(device + 1), faint, "start", 10);
    for (let step = -1; step < STEPS; step++) {
      for (let i = 0; i < bars.length; i += 4) {
        const [start, width, kind, batch] = bars.slice(i, i + 4), from = Math.max(0, start + step * ticks);
        const to = Math.min(STEPS * ticks, start + step * ticks + width);
        const number = batch < 0 ? batch : batch + step + 1;
        if (to > from) piece(add, left + from * scale, y, (to - from) * scale, high, kinds[kind], number);
      }
    }
  });
  axis(add, wide, left, K * high, point.step);
}

function piece(add, x, y, width, high, kind, batch) {
  const message = kind === "message", tall = high > 10 ? high - 3 : high - 1;
  const box = { x, y: message ? y + tall * 0.4 : y, width, height: message ? tall * 0.2 : tall };
  const fill = message ? "#000" : DATA.colours.batches[batch % DATA.colours.batches.length];
  add("rect", { ...box, fill }, message ? "message" : `${kind}, batch ${batch}`);
  if (["backward", "objective", "update"].includes(kind) && width > 2) add("rect", { ...box, fill: `url(#${kind})` });
  if (kind === "forward" && width > 18 && high > 15) {
    add("rect", { x: x + width / 2 - 6, y: y + 3, width: 12, height: 11, fill: "#fff" });
    word(add, x + width / 2, y + 12, String(batch), "#000", "middle", 10);
  }
}

// White lines over a batch's colour: the kind of work can be told without colours.
function patterns(add) {
  const lines = { backward: "M0 6L6 0", objective: "M3 0V6", update: "M0 0L6 6M0 6L6 0" }, defs = add("defs", {});
  for (const [id, d] of Object.entries(lines)) {
    const pattern = add("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse" });
    pattern.append(add("path", { d, stroke: "#fff", "stroke-width": 1.6, fill: "none" }));
    defs.append(pattern);
  }
}

function axis(add, wide, left, y, step) {
  add("path", { d: `M${left} ${y + 2}H${wide}`, stroke: ink, fill: "none" });
  for (let n = 0; n < STEPS; n++) {
    const x = left + (wide - left) * n / STEPS;
    add("path", { d: `M${x} ${y + 2}v5`, stroke: ink });
    word(add, x, y + 18, n ? seconds(n * step) : "0", faint, n ? "middle" : "start", 10);
  }
  let x = left, row = y + 30;
  for (const kind of DATA.schedule.kinds) {
    const name = kind === "objective" ? "loss" : kind, long = 30 + 6 * name.length;
    if (x + long > wide) [x, row] = [left, row + 20];
    piece(add, x, row, 14, 14, kind, kind === "message" ? -1 : 0);
    word(add, x + 18, row + 10, name, ink, "start", 11);
    x += long;
  }
}
