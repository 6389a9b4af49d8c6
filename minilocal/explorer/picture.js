// ---------------------------------------------------------------- the modules, and the errors that enter their units

function picture(s, point, cut) {
  const wide = widthOf("picture") - 2, left = 76, right = 50, side = 18, tall = 34, gap = 30;
  const room = wide - left - right, pitch = Math.min(44, Math.max(22, Math.floor(room / Math.max(...cut.sizes))));
  const columns = Math.max(1, Math.floor(room / pitch));
  const heights = cut.sizes.map(n => Math.ceil(n / columns) * tall + 4);
  const add = canvas("picture", wide, heights.reduce((a, b) => a + b, 0) + gap * cut.sizes.length, inWords(point, cut));
  let y = heights.reduce((a, b) => a + b, 0) + gap * (cut.sizes.length - 1), first = 0;  // of the lowest module, its top edge
  y -= heights[0];
  arrow(add, left + 9, y + heights[0] + gap - 8, y + heights[0], ink, false);
  word(add, left + 20, y + heights[0] + 20, "images", faint);
  point.errors.forEach((row, k) => {
    const n = cut.sizes[k], own = exponents(row.own), above = exponents(row.above);
    add("rect", { x: 0, y, width: wide, height: heights[k], rx: 4, fill: colour(k), "fill-opacity": 0.13 });
    add("rect", { x: 0, y, width: 4, height: heights[k], fill: colour(k) });
    word(add, 10, y + 18, "module " + (k + 1), ink);
    for (let u = 0; u < n; u++) {
      const j = n - 1 - u, x = left + (u % columns) * pitch, up = y + 4 + Math.floor(u / columns) * tall;
      const errors = [[own, k, 4], [above, row.source || 0, 9]].filter(([of]) => j < of.length);
      const says = errors.map(([of, loss]) => `loss ${loss + 1} × ${short(weight(of[j], s))}`).join(", ") || "no error";
      add("rect", { x, y: up, width: side, height: side, rx: 3, fill: "#fff", stroke: ink }, `unit ${first + u + 1}: ${says}`);
      word(add, x + side / 2, up + 12.5, String(first + u + 1), ink, "middle", 9);
      for (const [of, loss, below] of errors) {
        const w = weight(of[j], s), level = up + side + below, end = j === of.length - 1;
        const shape = end ? `M${x + side} ${level}H${x + 4}m4 -2.5L${x} ${level}l8 2.5` : `M${x + side} ${level}h${-pitch}`;
        add("path", { d: shape, fill: "none", stroke: colour(loss), "stroke-width": 3, "stroke-opacity": w && 0.2 + 0.8 * w });
      }
    }
    const middle = y + 4 + (Math.ceil(n / columns) - 1) * tall + side / 2, top = left + ((n - 1) % columns) * pitch + side;
    if (row.loss) {
      add("path", { d: `M${top} ${middle}H${wide - 40}`, stroke: ink, fill: "none" });
      add("circle", { cx: wide - 26, cy: middle, r: 13, fill: colour(k) });
      word(add, wide - 26, middle + 4, row.loss + (k + 1), "#fff", "middle");
    }
    if (k + 1 < cut.sizes.length) {
      arrow(add, left + 9, y, y - gap, ink, row.upward);
      const x = row.target ? wide - 26 : left + 38, words = row.arrives || "no error crosses";
      if (row.arrives) arrow(add, x, y - gap, row.target ? middle - 13 : y, colour(row.source), row.delayed);
      word(add, left + 50, y - gap / 2 + 4, words, row.arrives ? ink : faint);
    }
    first += n;
    y -= gap + (heights[k + 1] || 0);
  });
}

function arrow(add, x, from, to, stroke, late) {
  const back = to < from ? 5 : -5;
  add("path", { d: `M${x} ${from}V${to}m-4 ${back}L${x} ${to}l4 ${back}`, stroke, fill: "none", "stroke-width": 2,
    "stroke-dasharray": late ? "4 3" : "none" });
}

function word(add, x, y, text, fill, anchor = "start", size = 11) {
  add("text", { x, y, fill, "font-size": size, "text-anchor": anchor }, text);
}

function inWords(point, cut) {
  return point.errors.map((row, k) => {
    const into = exponents(row.above).length, last = k + 1 === cut.sizes.length;
    const error = last ? "" : `; ${row.arrives || "no error"} comes from above` + (into ? `, into ${units(into)}` : "");
    return `Module ${k + 1}: ${units(cut.sizes[k])}${error}.`;
  }).join(" ");
}

// The weights of the linked units, j steps below a module's top.
function weights(s, point) {
  const linked = Math.max(...point.errors.map(row => exponents(row.above).filter(n => n).length));
  at("weights").replaceChildren();
  if (!linked) return;
  const power = (base, j) => `${base} = ` + short(weight(base[0] === "a" ? j + 1 : -(j + 1), s));
  const rows = Array.from({ length: linked }, (_, j) => `j = ${j}: ${power("a", j)}, ${power("b", j)}`);
  const formula = s.weighting === "literal" ? "a = α^(j+1), b = (1-α)^(j+1)" : "a = α, b = 1-α";
  at("weights").append(
    make("p", {}, `A linked unit, j steps below its module's top, takes g = a g_loc + b g_glb, with ${formula}:`),
    make("p", { id: "ab" }, rows.join("; ") + "."),
  );
  if (s.alpha === 1) at("weights").append(make("p", {}, "With α = 1 the gradients are GLL's. The bytes are still those of a link."));
}
