"use strict";
// DATA is made by the package. This script shows it; it computes a line between two batches and the weights of an error.
const at = id => document.getElementById(id);
const colour = k => DATA.colours.modules[k % DATA.colours.modules.length];
const ink = "#333", faint = "#5c5c5c";

// ---------------------------------------------------------------- the point that the controls name

// The number of a rule, and its values; of one without, BackLink's, which cannot be moved then.
const numberOf = rule => DATA.rules[rule].values ? DATA.rules[rule] : DATA.rules.backlink;

function state() {
  const net = at("net").value, rule = at("rule").value;
  return {
    net, rule, K: DATA.networks[net].counts[at("K").value], l: numberOf(rule).values[at("l").value],
    alpha: Number(at("alpha").value), weighting: at("weighting").value, aux: at("aux").value,
    batch: DATA.batches[at("batch").value],
  };
}

function keyOf(s) {
  const rule = DATA.rules[s.rule];
  return [s.net, s.K, s.rule, rule.values ? s.l : "", rule.aux.length ? s.aux : ""].join("/");
}

function pointOf(s) {
  let point = DATA.points[keyOf(s)];
  while (typeof point === "string") point = DATA.points[point];  // the same rule under another name
  return point;
}

const ofBatch = (bytes, s) => bytes[DATA.batches.indexOf(s.batch)];

// Bytes for a batch, from those for two numbers of images: [bytes, bytes].
function line([a, b], images) {
  const [first, second] = DATA.anchors;
  return a + (b - a) * (images - first) / (second - first);
}

// The weight of an error, (4) and (5): n is its exponent, of α for the module's own error, of 1-α (n < 0) for the other.
function weight(n, s) {
  return n === 0 ? 1 : (n > 0 ? s.alpha : 1 - s.alpha) ** (s.weighting === "literal" ? Math.abs(n) : 1);
}

const exponents = of => Array.isArray(of) ? of : Array(of || 0).fill(0);

// ---------------------------------------------------------------- words

function mb(bytes) {
  if (bytes < 1) return "0";
  if (bytes >= 1e9) return (bytes / 1e9).toFixed(2) + " GB";
  if (bytes >= 1e5) return (bytes / 1e6).toFixed(bytes < 1e7 ? 2 : bytes < 1e8 ? 1 : 0) + " MB";
  return (bytes / 1e3).toFixed(1) + " kB";
}
const percent = share => (100 * share).toFixed(share < 0.1 ? 1 : 0) + " %";
const seconds = t => t >= 1 ? t.toFixed(2) + " s" : (1e3 * t).toFixed(t < 0.1 ? 1 : 0) + " ms";
const short = x => String(Math.round(x * 1e4) / 1e4);
const units = n => n + (n === 1 ? " unit" : " units");

// ---------------------------------------------------------------- elements

function make(name, facts, ...inside) {
  const element = document.createElement(name);
  for (const [fact, value] of Object.entries(facts || {})) element.setAttribute(fact, value);
  element.append(...inside);
  return element;
}

// A table. A cell is a text or an element; a column whose head begins with # has numbers, one with - is not broken.
function table(id, caption, heads, rows) {
  const kinds = heads.map(head => ({ "#": "number", "-": "name" })[head[0]] || "");
  const cell = (c, n) => make("td", { class: c instanceof Element ? "track" : kinds[n] }, c);
  const head = (h, n) => make("th", { scope: "col", class: kinds[n] }, kinds[n] ? h.slice(1) : h);
  at(id).replaceChildren(make("caption", {}, caption), make("thead", {}, make("tr", {}, ...heads.map(head))),
    make("tbody", {}, ...rows.map(row => make("tr", {}, ...row.map(cell)))));
}

function bar(value, most, dark) {
  const box = make("span", { "aria-hidden": "true", style: `width:${(100 * value / most).toFixed(1)}%` });
  if (dark !== undefined) box.append(make("span", { class: "dark", style: `width:${(100 * dark / value).toFixed(1)}%` }));
  return box;
}

// An SVG of this size in place of what `id` holds; the function that it returns adds a shape, with a text or a title in it.
function canvas(id, wide, high, label) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const facts = { width: wide, height: high, viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": label };
  Object.entries(facts).forEach(([fact, value]) => svg.setAttribute(fact, value));
  at(id).replaceChildren(svg);
  return function add(name, shape, inside) {
    const element = document.createElementNS(svg.namespaceURI, name);
    Object.entries(shape).forEach(([fact, value]) => element.setAttribute(fact, value));
    if (inside && name !== "text") {
      const title = document.createElementNS(svg.namespaceURI, "title");
      title.textContent = inside;
      element.append(title);
    } else if (inside) element.textContent = inside;
    svg.append(element);
    return element;
  };
}
const widthOf = id => Math.max(280, at(id).clientWidth || 358);
