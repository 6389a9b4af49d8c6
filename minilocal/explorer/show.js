// ---------------------------------------------------------------- all parts of the page

function crosses(s, point, cut) {
  const name = k => `${k + 1} | ${k + 2}`, below = point.errors.slice(0, -1);
  table("crosses", "At each boundary", ["-boundary", "#up", "#down", "error"], below.map((row, k) => {
    const bytes = mb(s.batch * cut.outputs[k]);
    return [name(k), bytes, row.arrives ? mb(s.batch * cut.outputs[k] * (row.errors || 1)) : "0", (row.arrives || "none").replace(/^the | \(.*/g, "")];
  }));
  const sent = (k, way) => line(point.messages.map(anchor => anchor[k][way]), s.batch);
  table("devices", `Messages between ${s.K} devices`, ["-boundary", "#up", "#down"],
    below.map((_, k) => [name(k), mb(sent(k, 0)), mb(sent(k, 1))]));
  const [forward, update, backward] = point.locks, [activations, late] = point.lags;
  at("locks").textContent = `Locks: forward ${forward}, update ${update}, backward ${backward}.` +
    (late ? ` Iterations late at each boundary: activations ${activations}, errors ${late}.` : "");
}

function bytes(s, point, cut) {
  const peaks = { [DATA.rules[s.rule].title]: point.total, ...cut.baselines };
  const all = Object.entries(peaks).map(([name, of]) => [name, ofBatch(of, s)]);
  const most = Math.max(...all.map(([, n]) => n)), bp = ofBatch(cut.baselines.BP, s);
  table("peaks", `Peak of a step of ${s.batch} images`, ["rule", "#peak", "#of BP", ""],
    all.map(([name, n]) => [name, mb(n), percent(n / bp), bar(n, most)]));
  const of = (name, k) => line(point[name].map(anchor => anchor[k]), s.batch);
  const largest = Math.max(...cut.sizes.map((_, k) => of("keeps", k)), ...cut.sizes.map((_, k) => of("waits", k)));
  table("modules", `Each module, ${s.batch} images`, ["-module", "#keeps", "#waits", ""], cut.sizes.map((n, k) => {
    const keeps = of("keeps", k), waits = of("waits", k);
    return [`${k + 1}: ${units(n)}`, mb(keeps), mb(waits), bar(Math.max(keeps, waits), largest, waits)];
  }));
}

function schedule(s, point) {
  const idle = point.idle.reduce((a, b) => a + b, 0) / point.idle.length, of = DATA.schedule;
  at("schedule-says").textContent = `A step takes ${seconds(point.step)} on ${s.K} devices, ${percent(point.of_bp)} of BP's on one. ` +
    `A device waits ${percent(idle)} of it on average, ${percent(Math.max(...point.idle))} at most.`;
  at("schedule-small").textContent = `${STEPS} steps of ${of.images} images, whatever the batch above. A row is a device, with one ` +
    `module; a colour and a number, a batch; white is waiting. ${of.rate / 1e9}·10⁹ multiply-adds a second, links of ` +
    `${of.bandwidth / 1e9} GB/s and ${1e6 * of.latency} µs.`;
  gantt(s, point);
}

function errors(s) {
  const known = DATA.errors[keyOf(s)] || { published: [], ours: [] }, where = `${DATA.networks[s.net].title}, K = ${s.K}`;
  const item = ([error, ...texts]) => make("li", {}, make("b", {}, error), " " + texts.join(" "));
  const list = (id, title, rows, none) => at("errors").append(make("h3", {}, title),
    rows.length ? make("ul", { id }, ...rows.map(item)) : make("p", { id }, none));
  at("errors").replaceChildren();
  list("published", "Published", known.published.map(row => [row.error.toFixed(2) + " %",
    `on ${row.data}` + (row.gll === null ? "." : `; GLL there ${row.gll.toFixed(2)} %.`), [row.title, ...row.notes].join("; ") + "."]),
    `None for this rule on ${where}, with this l and auxiliary network.`);
  list("ours", "Ours", known.ours.map(({ error, std, trials, experiment, scale }) => [
    error.toFixed(2) + (std === null ? "" : " ± " + std.toFixed(2)) + " %",
    `in ${trials} trial${trials > 1 ? "s" : ""} of ${experiment}: ${scale || "the paper's size"}.`,
  ]), "No run at this point.");
  return known;
}

function show() {
  const s = state(), point = pointOf(s), cut = DATA.cuts[`${s.net}/${s.K}`], rule = DATA.rules[s.rule];
  labels(s, rule);
  remember(s);
  const [, , ...variant] = keyOf(s).split("/"), missing = point ? point.why : "The page was made without this point.";
  problem(missing || "");
  at("says").textContent = missing ? "" : [DATA.variants[variant.join("/")] + ".", ...point.notes].join(" ");
  document.querySelectorAll(".point").forEach(section => { section.hidden = Boolean(missing); });
  const known = errors(s);
  if (missing) { at("short").textContent = `${rule.title}, K = ${s.K}: no numbers`; return; }
  picture(s, point, cut);
  weights(s, point);
  crosses(s, point, cut);
  bytes(s, point, cut);
  schedule(s, point);
  const peak = ofBatch(point.total, s), printed = known.published.find(row => row.data === "CIFAR-10");
  at("short").textContent = `${rule.title}, K = ${s.K}: peak ${mb(peak)}, ${percent(peak / ofBatch(cut.baselines.BP, s))} of BP; ` +
    `step ${percent(point.of_bp)} of BP; ` + (printed ? `published ${printed.error.toFixed(2)} %` : "none published");
}
