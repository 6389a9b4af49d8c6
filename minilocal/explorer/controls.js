// ---------------------------------------------------------------- controls, and the address that holds their state

const FIRST = { net: "resnet32", rule: "backlink", K: "4", l: "1", alpha: "0.5", weighting: "literal", aux: "1c2f", batch: "512" };

function options(id, values, chosen = at(id).value) {
  at(id).replaceChildren(...values.map(([value, text]) => make("option", { value }, text)));
  if (values.some(([value]) => value === chosen)) at(id).value = chosen;
}

function labels(s, rule) {
  const say = (id, text) => { at(id + "-is").textContent = text; at(id).setAttribute("aria-valuetext", text); };
  say("K", String(s.K));
  say("l", s.l === "module" ? "whole module" : String(s.l));
  say("alpha", short(s.alpha));
  say("batch", String(s.batch));
  at("l-of").textContent = numberOf(s.rule).number;
  off("l", !rule.values);
  for (const id of ["alpha", "weighting"]) off(id, !rule.linked);
  off("aux", !rule.aux.length);
  if (rule.aux.length) lastAux = s.aux;
  if (rule.values) lastNumber = String(s.l);
}

function problem(text) {
  at("problem").hidden = !text;
  at("problem").textContent = text;
}

function off(id, isOff) {
  at(id).disabled = isOff;
  at(id).parentElement.classList.toggle("unused", isOff);
}

// The auxiliary network and the number that were chosen last, also while a rule without one is shown.
let lastAux = FIRST.aux, lastNumber = FIRST.l;

// Lists that depend on other choices: K on the network, the rest on the rule. Each keeps its value where it can.
function depend(K, wish = lastAux, number = lastNumber) {
  const counts = DATA.networks[at("net").value].counts, nearest = counts.filter(n => n <= K).length - 1;
  at("K").max = counts.length - 1;
  at("K").value = Math.max(0, nearest);
  const numbers = numberOf(at("rule").value).values.map(String);
  at("l").max = numbers.length - 1;
  at("l").value = numbers.indexOf(numbers.includes(number) ? number : FIRST.l);
  const aux = DATA.rules[at("rule").value].aux;
  options("aux", aux.length ? aux.map(name => [name, name]) : [["", "none to choose"]], wish);
}

// The choice of the address. What it asks for and is not there is said, with what is shown in its place.
function restore() {
  if (location.hash && !location.hash.includes("=")) return;
  const asked = Object.fromEntries(new URLSearchParams(location.hash.slice(1))), wanted = { ...FIRST, ...asked };
  const place = (list, name) => {
    const texts = list.map(String), n = texts.indexOf(wanted[name]);
    return n < 0 ? texts.indexOf(FIRST[name]) : n;
  };
  at("net").value = Object.hasOwn(DATA.networks, wanted.net) ? wanted.net : Object.keys(DATA.networks)[0];
  at("rule").value = Object.hasOwn(DATA.rules, wanted.rule) ? wanted.rule : FIRST.rule;
  depend(Number(wanted.K) || Number(FIRST.K), wanted.aux, wanted.l);
  at("batch").value = place(DATA.batches, "batch");
  at("alpha").value = wanted.alpha;
  at("weighting").value = wanted.weighting === "unfolded" ? "unfolded" : "literal";
  show();
  const s = state(), same = name => String(s[name]) === asked[name] || s[name] === Number(asked[name]);
  const other = Object.keys(FIRST).filter(name => name in asked && !at(name).disabled && !same(name));
  if (other.length) problem("The link asks for " + other.map(name => `${name} = ${asked[name]}, shown is ${s[name]}`).join("; ") + ".");
}

function remember(s) {
  const { net, rule, K, l, alpha, weighting, aux, batch } = s;
  try {
    history.replaceState(null, "", "#" + new URLSearchParams({ net, rule, K, l, alpha, weighting, aux, batch }));
  } catch { /* a frame without an address of its own */ }
}

options("net", Object.entries(DATA.networks).map(([name, { title }]) => [name, title]));
options("rule", Object.entries(DATA.rules).map(([name, { title }]) => [name, title]));
at("batch").max = DATA.batches.length - 1;
at("anchors").textContent = DATA.anchors.join(" and ");
at("controls").addEventListener("input", event => {
  if (["net", "rule"].includes(event.target.id)) depend(Number(at("K-is").textContent));
  show();
});
addEventListener("hashchange", restore);
addEventListener("resize", () => show());
restore();
