-- SPDX-License-Identifier: Apache-2.0
--- The style of pages: colours for light and dark, and the rules. Charts take their colours by the same names.
local style = {}

--- Colours by name, for a light and for a dark screen. Paper is light.
style.light = { ground = "#ffffff", panel = "#f4f6f8", text = "#1b1f24", muted = "#57606a", line = "#d5dae0",
  accent = "#0b57a4", bar = "#6f9fd0", bar2 = "#c3d3e4", published = "#7a4a00",
  value = "#cfe2f6", scratch = "#f6e2c2", result = "#cdebd2", weights = "#e5daf4",
  value_edge = "#3f78b5", scratch_edge = "#a9741f", result_edge = "#35864a", weights_edge = "#7d57ae" }
style.dark = { ground = "#14171a", panel = "#1e2226", text = "#e6e9ec", muted = "#a5aeb8", line = "#383e45",
  accent = "#82b9f0", bar = "#4f82b8", bar2 = "#35506c", published = "#e0b060",
  value = "#1d3f61", scratch = "#574019", result = "#1e4d2b", weights = "#43305f",
  value_edge = "#5b95d0", scratch_edge = "#b98a3f", result_edge = "#4f9f63", weights_edge = "#9777c4" }

--- Which colours texts have, and on what: { text, ground }.
style.texts = { { "text", "ground" }, { "text", "panel" }, { "muted", "ground" }, { "muted", "panel" },
  { "accent", "ground" }, { "accent", "panel" }, { "published", "ground" }, { "published", "panel" },
  { "text", "value" }, { "text", "scratch" }, { "text", "result" }, { "text", "weights" } }

local RULES = [[
*,*::before,*::after{box-sizing:border-box}
body{margin:0 auto;padding:1rem clamp(.75rem,3vw,2rem) 3rem;max-width:76rem;background:var(--ground);color:var(--text);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0}
h2{font-size:1.25rem;line-height:1.3;margin:2.5rem 0 .5rem;padding-top:.75rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.25rem 0 .25rem}
p{margin:.5rem 0;max-width:70ch}
section ul{margin:.25rem 0;padding-left:1.2rem;max-width:80ch}
a{color:var(--accent)}
header p,.note,footer{color:var(--muted)}
header p{max-width:none}
.note{font-size:.9rem}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:.75rem 0 0;padding:0;list-style:none}
figure{margin:1rem 0}
figcaption{margin-bottom:.35rem;color:var(--muted);font-size:.9rem;max-width:70ch}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:.4rem;max-width:100%}
figure.table{width:fit-content;max-width:100%}
figure.wide{width:100%}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;overflow-wrap:normal;width:100%}
th,td{padding:.3rem .7rem;text-align:left;vertical-align:baseline;border-bottom:1px solid var(--line)}
tbody tr:last-child>*{border-bottom:0}
thead th{background:var(--panel);white-space:nowrap}
thead th.number{white-space:normal;vertical-align:bottom}
tbody th{font-weight:500}
td,tbody th{white-space:nowrap}
th.number,td.number{text-align:right}
td.name,th.name,td.word,th.word{white-space:normal;overflow-wrap:anywhere}
.name{min-width:11rem;max-width:34rem}
.word{min-width:10rem;max-width:18rem}
.chart{width:45%;min-width:6rem}
@media(max-width:40rem){
table.texts,.texts tbody,.texts tr,.texts th,.texts td{display:block}
.texts thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.texts tr{padding:.5rem .7rem;border-bottom:1px solid var(--line)}
.texts tr:last-child{border-bottom:0}
.texts tbody th,.texts td{padding:.1rem 0;border:0;max-width:none;min-width:0;white-space:normal}
.texts tbody th{font-weight:600}
.texts td:empty{display:none}
.texts td::before{content:attr(data-column);display:block;color:var(--muted);font-size:.8rem}
}
tr.published>*{color:var(--published)}
dl.facts{margin:.75rem 0;display:grid;grid-template-columns:minmax(8rem,max-content) minmax(0,1fr);gap:0 1.25rem}
dl.facts>div{display:grid;grid-column:1/-1;grid-template-columns:subgrid;border-bottom:1px solid var(--line);
padding:.25rem 0}
dt{color:var(--muted)}
dd{margin:0;min-width:0}
details{margin:.75rem 0}
summary{cursor:pointer;color:var(--accent);padding:.25rem 0}
svg{display:block;width:100%}
.cells{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,17rem),1fr));gap:1rem 1.5rem}
.cells p,.cells .axis{margin:0;font-size:.85rem}
.cells .label{font-weight:600;font-size:.9rem}
.axis{display:flex;justify-content:space-between;color:var(--muted);font-size:.8rem;font-variant-numeric:tabular-nums}
.histogram{height:4.5rem;border-bottom:1px solid var(--muted)}
.rug{height:.6rem;margin-top:2px}
.spread{height:.7rem}
.bars{height:.9rem;min-width:5rem}
.bar{fill:var(--bar)}.bar2{fill:var(--bar2)}
.tick{stroke:var(--muted);stroke-width:1px;stroke-opacity:.65;fill:none}
.median{stroke:var(--accent);stroke-width:2px;fill:none}
.interval{stroke:var(--text);stroke-width:2px;fill:none}
.mean{stroke:var(--text);stroke-width:8px;stroke-linecap:round;fill:none}
.map{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:0 .5rem}
.map .addresses{display:flex;flex-direction:column;justify-content:space-between;text-align:right;color:var(--muted);
font-size:.8rem;height:22.5rem;line-height:1}
.map svg.arena{height:22.5rem;background:var(--panel);border:1px solid var(--line)}
.map .phases{grid-column:2;display:flex;font-size:.8rem;color:var(--muted)}
.map .phases span{border-left:1px solid var(--muted);padding-left:.3rem;overflow:hidden;white-space:nowrap;
text-overflow:ellipsis;min-width:0}
.map text{font-size:11px;fill:var(--text)}
.value{fill:var(--value);stroke:var(--value-edge)}.scratch{fill:var(--scratch);stroke:var(--scratch-edge)}
.result{fill:var(--result);stroke:var(--result-edge)}.weights{fill:var(--weights);stroke:var(--weights-edge)}
.phase{stroke:var(--muted);stroke-dasharray:3 3}
.wide1,.wide2{display:none}
@media(min-width:40rem){.wide1{display:inline}}
@media(min-width:68rem){.wide2{display:inline}}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:.5rem 0;padding:0;list-style:none;font-size:.85rem}
.legend li{display:flex;align-items:center;gap:.4rem}
.legend svg{width:1rem;height:1rem}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,17rem),1fr));gap:1.25rem}
.picture{margin:0}
.picture img{display:block;width:100%;height:auto;background:var(--panel);border:1px solid var(--line)}
.picture figcaption{margin-top:.35rem}
.picture b{color:var(--text)}
@media(max-width:34rem){dl.facts,dl.facts>div{display:block}th,td{padding:.3rem .5rem}}
@media print{@page{margin:14mm}body{max-width:none;padding:0;font-size:10pt}nav{display:none}
.scroll{overflow:visible;border-radius:0}thead{display:table-header-group}table{font-size:8pt}
th,td,thead th{white-space:normal;overflow-wrap:break-word;padding:.2rem .35rem}
.name,.word,.chart{min-width:0;max-width:none}.name{min-width:7.5rem}
a[href^="http"]::after{content:" (" attr(href) ")"}
tr,.picture,.cells>div,.map,dl.facts>div,figcaption{break-inside:avoid}
.gallery{grid-template-columns:repeat(2,1fr)}
details::details-content{content-visibility:visible}
h2,h3,figcaption{break-after:avoid}p{orphans:3;widows:3}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
]]

local function variables(colours)
  local out = {}
  for _, name in ipairs(require "support.closed".sorted(colours)) do
    out[#out + 1] = ("--%s:%s"):format((name:gsub("_", "-")), colours[name])
  end
  return table.concat(out, ";")
end

--- The style sheet.
style.text = (":root{color-scheme:light dark;%s}\n@media screen and (prefers-color-scheme:dark){:root{%s}}\n%s")
  :format(variables(style.light), variables(style.dark), RULES)

return style
