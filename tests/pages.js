// SPDX-License-Identifier: Apache-2.0
// Measures pages in frames of several widths, and writes a line for each thing that is wrong. Part of a page that the
// test makes (tests/run_pages.lua); pages themselves have no script.
"use strict";

const WIDTHS = [320, 360, 390, 640, 768, 1088, 1280];
const WORDS = 150;  // pixels that a sentence takes at least
const SLACK = 1;    // pixels that rounding may take

// What lies in a box that scrolls, or is a picture's own, may be wider than the page.
const boxed = e => e.closest(".scroll, svg") !== null;

function overflows(doc, width, say) {
  const root = doc.scrollingElement;
  if (root.scrollWidth > root.clientWidth) say(`the page is ${root.scrollWidth} wide`);
  for (const e of doc.body.querySelectorAll("*")) {
    if (boxed(e) && !e.classList.contains("scroll")) continue;
    const r = e.getBoundingClientRect();
    if (r.width > 0 && (r.right > width + SLACK || r.left < -SLACK))
      say(`${e.tagName} reaches from ${r.left} to ${r.right}`);
    const style = doc.defaultView.getComputedStyle(e);
    if (style.overflowX === "visible" && e.clientWidth > 0 && e.scrollWidth > e.clientWidth + SLACK)
      say(`${e.tagName} holds ${e.scrollWidth} in ${e.clientWidth}`);
  }
  for (const e of doc.querySelectorAll("td.word"))
    if (e.textContent.length > 60 && e.clientWidth > 0 && e.clientWidth < WORDS)
      say(`${e.textContent.slice(0, 20)}...: a sentence stands in ${e.clientWidth}`);
}

function luminance(colour) {
  const [r, g, b] = colour.match(/[\d.]+/g).slice(0, 3).map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function background(e, view) {
  for (; e; e = e.parentElement) {
    const colour = view.getComputedStyle(e).backgroundColor;
    if (!/, 0\)$/.test(colour)) return colour;
  }
  return "rgb(255, 255, 255)";
}

function contrasts(doc, say) {
  const seen = new Set(), walk = doc.createTreeWalker(doc.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || e.closest("svg")) continue;
    const a = doc.defaultView.getComputedStyle(e).color, b = background(e, doc.defaultView);
    if (seen.has(a + b)) continue;
    seen.add(a + b);
    const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) say(`${a} on ${b}: a contrast of ${ratio.toFixed(2)}`);
  }
  if (seen.size < 2) say(`expected texts of several colours, found ${seen.size}`);
}

// Labels of the map of memory lie in their rectangles, and none on another.
function labels(doc, say) {
  let shown = 0;
  for (const map of doc.querySelectorAll("svg.arena")) {
    const all = map.getBoundingClientRect(), before = [];
    for (const text of map.querySelectorAll("text")) {
      const r = text.getBoundingClientRect();
      if (r.width === 0) continue;
      shown++;
      const at = key => parseFloat(text.parentElement.getAttribute(key)) / 100;
      const left = all.left + at("x") * all.width, top = all.top + at("y") * all.height;
      const inside = r.left >= left - SLACK && r.right <= left + at("width") * all.width + SLACK &&
        r.top >= top - SLACK && r.bottom <= top + at("height") * all.height + SLACK;
      if (!inside) say(`the label ${text.textContent} leaves its rectangle`);
      for (const b of before)
        if (r.left < b.right && b.left < r.right && r.top < b.bottom && b.top < r.bottom)
          say(`the label ${text.textContent} lies on another`);
      before.push(r);
    }
  }
  return shown;
}

function pictures(doc, say) {
  for (const i of doc.images)
    if (!i.complete || i.naturalWidth === 0 || !i.alt || i.getAttribute("width") != i.naturalWidth)
      say("a picture is broken");
}

onload = () => {
  const lines = [];
  for (const frame of document.querySelectorAll("iframe")) {
    const doc = frame.contentDocument;
    const counts = [];
    for (const e of doc.querySelectorAll("details")) e.open = true;
    for (const width of WIDTHS) {
      const say = words => lines.push(`wrong ${frame.name} at ${width}: ${words}`);
      frame.style.width = width + "px";
      overflows(doc, width, say);
      counts.push(labels(doc, say));
      if (width === WIDTHS[0]) { contrasts(doc, say); pictures(doc, say); }
    }
    const dark = frame.contentWindow.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    lines.push(`measured ${frame.name} ${dark} ${doc.body.querySelectorAll("*").length} ${counts.join(" ")}`);
  }
  for (const frame of document.querySelectorAll("iframe")) frame.remove();
  document.querySelector("pre").textContent = lines.join("\n");
};
