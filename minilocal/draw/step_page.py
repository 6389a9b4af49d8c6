"""The look, the controls and the script of the page that shows a training step frame by frame."""

from __future__ import annotations

LOOK = """
body { max-width: 34rem }
h1 { font-size: 1.25rem }
#player { position: sticky; top: 0; background: var(--paper); padding: .3rem 0 .5rem; z-index: 1;
          border-bottom: 1px solid var(--line) }
#player[hidden] { display: none }
#buttons { display: flex; gap: .4rem; align-items: center; flex-wrap: wrap }
#buttons button { min-width: 2.75rem; min-height: 2.75rem; font: inherit; color: var(--ink); background: var(--code);
                  border: 1px solid var(--faint); border-radius: 4px }
#buttons button:focus-visible, #slider:focus-visible, #network:focus-visible { outline: 3px solid #3f90da }
#slider { flex: 1 1 8rem; min-height: 2.75rem; min-width: 0 } #count { font-variant-numeric: tabular-nums }
#what { min-height: 6.2rem; font-size: .95rem; line-height: 1.4 } #what b { margin-right: .4rem }
#what p { margin: .2rem 0 }
#shapes { color: var(--faint); overflow-wrap: anywhere }
#bar { display: flex; height: 1.1rem; border: 1px solid var(--faint); border-radius: 3px; overflow: hidden }
#bar span { border-right: 1px solid #fff } #curve { display: block; width: 100%; height: 2.6rem; background: #fff }
#live { font-size: .9rem; margin: .2rem 0 }
#network svg { width: 100%; height: auto; background: #fff; border-radius: 4px }
.player #network { max-height: 60vh; overflow: auto }
#network .on path { stroke-width: 3.2px !important }
#network .unit.on path { fill: #fff0a8 !important; stroke: #7a5200 !important }
#network .loss.on path { stroke: #222 !important }
#network .up.on path, #network .down.on path { stroke-width: 4.5px !important }
details { margin: 1rem 0; font-size: .9rem } summary { min-height: 2.2rem } details td { white-space: nowrap }
details td:last-child { white-space: normal; min-width: 14rem }
"""

CONTROLS = """
<div id='player' hidden>
<div id='buttons'><button id='back' aria-label='Previous frame'>&#9664;&#xFE0E;</button>
<button id='play' aria-label='Play' aria-pressed='false'>&#9654;&#xFE0E; play</button>
<button id='next' aria-label='Next frame'>&#9654;&#xFE0E;</button>
<input id='slider' type='range' min='1' value='1' aria-label='Frame'><span id='count'></span></div>
<div id='what' role='status' aria-live='polite'></div>
<p id='live'></p><div id='bar' aria-hidden='true'></div>
<svg id='curve' viewBox='0 0 1000 100' preserveAspectRatio='none' role='img'
 aria-label='Live bytes over the frames'></svg>
</div>
"""

SCRIPT = """
const at = id => document.getElementById(id), most = Math.max(1, ...frames.map(f => sum(f.bytes)));
let now = 0, timer = 0;
function sum(a) { return a.reduce((x, y) => x + y, 0); }
function show(n) {
  now = Math.max(0, Math.min(frames.length - 1, n));
  const f = frames[now];
  document.querySelectorAll('#network .on').forEach(e => e.classList.remove('on'));
  const parts = f.marks.map(at).filter(e => e);
  parts.forEach(e => { e.classList.add('on', e.id.split('-')[0]); });
  if (parts.length) {
    const box = at('network'), a = parts[0].getBoundingClientRect(), b = box.getBoundingClientRect();
    if (a.top < b.top + 20 || a.bottom > b.bottom - 20) box.scrollTop += a.top - b.top - b.height / 2;
  }
  at('what').replaceChildren(line('p', [['b', f.kind], ['span', f.where]]), line('p', [['span', f.note]]),
    line('p', [['span', f.shapes]]));
  at('what').lastChild.id = 'shapes';
  at('slider').value = now + 1;
  at('slider').setAttribute('aria-valuetext', 'frame ' + (now + 1) + ', ' + f.kind + ', ' + f.where);
  at('count').textContent = (now + 1) + ' of ' + frames.length;
  at('live').textContent = f.live + ' live, by module';
  f.bytes.forEach((b, k) => { at('bar').children[k].style.width = 100 * b / most + '%'; });
  at('cursor').setAttribute('x', 1000 * now / frames.length);
}
function line(name, parts) {
  const e = document.createElement(name);
  parts.forEach(([tag, text]) => { e.append(Object.assign(document.createElement(tag), { textContent: text })); });
  return e;
}
function play(on) {
  clearInterval(timer);
  timer = on ? setInterval(() => now + 1 < frames.length ? show(now + 1) : play(false), 700) : 0;
  at('play').textContent = on ? 'pause' : '\\u25b6\\ufe0e play';
  at('play').setAttribute('aria-label', on ? 'Pause' : 'Play');
  at('play').setAttribute('aria-pressed', on);
}
colours.forEach(c => { at('bar').append(Object.assign(document.createElement('span'), {})); });
[...at('bar').children].forEach((e, k) => { e.style.background = colours[k]; e.style.width = 0; });
const wide = 1000 / frames.length, curve = at('curve');
function drawn(name, facts) {
  const e = document.createElementNS('http://www.w3.org/2000/svg', name);
  Object.entries(facts).forEach(([key, value]) => e.setAttribute(key, value));
  curve.append(e);
}
colours.forEach((colour, k) => {
  const low = f => 100 - 96 * sum(f.bytes.slice(0, k)) / most, high = f => low(f) - 96 * f.bytes[k] / most;
  const top = frames.map((f, n) => n * wide + ',' + high(f) + ' ' + (n + 1) * wide + ',' + high(f));
  const bottom = frames.map((f, n) => (n + 1) * wide + ',' + low(f) + ' ' + n * wide + ',' + low(f)).reverse();
  drawn('polygon', { points: top.join(' ') + ' ' + bottom.join(' '), fill: colour });
});
drawn('rect', { id: 'cursor', y: 0, width: Math.max(4, wide), height: 100, fill: '#222', 'fill-opacity': 0.45 });
at('player').hidden = false;
document.body.classList.add('player');
document.querySelector('details').open = false;
at('slider').max = frames.length;
at('back').onclick = () => { play(false); show(now - 1); };
at('next').onclick = () => { play(false); show(now + 1); };
at('play').onclick = () => { if (!timer && now + 1 === frames.length) show(0); play(!timer); };
at('slider').oninput = e => { play(false); show(e.target.value - 1); };
document.addEventListener('keydown', e => {
  if (e.target === at('slider') || e.altKey || e.ctrlKey || e.metaKey) return;
  const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: frames.length - 1 }[e.key];
  if (to !== undefined) { e.preventDefault(); play(false); show(to); }
});
let touch = null;
document.addEventListener('touchstart', e => {
  touch = e.touches.length === 1 && !e.target.closest('input, .wide') ? e.touches[0] : null;
}, { passive: true });
document.addEventListener('touchend', e => {
  if (!touch) return;
  const dx = e.changedTouches[0].clientX - touch.clientX, dy = e.changedTouches[0].clientY - touch.clientY;
  if (Math.abs(dx) > 40 && Math.abs(dx) > 1.5 * Math.abs(dy)) { play(false); show(now + (dx < 0 ? 1 : -1)); }
}, { passive: true });
show(Math.max(0, (parseInt(location.hash.slice(1)) || 1) - 1));
"""
