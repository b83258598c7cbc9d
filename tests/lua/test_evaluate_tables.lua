-- SPDX-License-Identifier: Apache-2.0
-- Tables in the form of the paper's: published rows first and marked, nothing bold.

local spec = require "spec"
local describe, it, equal, holds = spec.describe, spec.it, spec.equal, spec.holds
if not spec.host "msagen.sys" then return end

local published, summary, tables = require "evaluate.published", require "evaluate.summary", require "evaluate.tables"

-- Ten patients; class c of click k has Dice 0.5 + 0.01 patient.
local function results_of(classes)
  local results = {}
  for p = 1, 10 do
    local rows = {}
    for _, class in ipairs(classes) do
      for _, clicks in ipairs { 1, 3 } do
        rows[#rows + 1] = { class = class, clicks = clicks, dice = 0.5 + 0.01 * p, iou = 0.4, hd95_pooled = p,
          truth_pixels = 9, pred_pixels = 9 }
      end
    end
    results[p] = { case = "c" .. p, patient = "p" .. p, rows = rows }
  end
  return results
end

local about = { model = "msa-paper", data = "a set", unit = "mm", definitions = { "HD95: pooled" } }
local function made(...) return summary.of(results_of { ... }, { hd95 = "pooled", seed = 1 }) end

describe("published tables", function()
  it("are as printed, with the class of each column", function()
    local amos, modalities = published.read "amos", published.read "modalities"
    equal({ #amos.rows, amos.rows[1][1], amos.rows[1][2] }, { 12, "TransUNet", "0.881" })
    local known = {}
    for i, column in ipairs(amos.columns) do
      for _, name in ipairs { "spleen", "Right Kidney", "arota", "postcava" } do
        if column.is(name) then known[name] = i end
      end
    end
    equal(known, { spleen = 1, ["Right Kidney"] = 2, arota = 8, postcava = 9 })
    equal({ amos.columns[16].average, modalities.columns[5].metric, modalities.scale }, { true, "hd95", 100 })
    assert(#published.read("btcv").rows == 12 and #modalities.rows == 15, "other rows than printed")
  end)
end)

describe("table.md", function()
  it("has published rows first, marked, ours in their columns, and no bold", function()
    local text = tables.markdown(made("spleen", "wart"), about, published.read "btcv")
    holds(text, "| method | Spleen | R.Kid |", "| AG | wart | Ave |", "| MSA 1 point † | 0.978 |",
      "† published by the authors on other data; not measured here", "| msa-paper, 1 click | 0.555 |  |",
      "## HD95 in mm", "10 cases of 10 patients", "- HD95: pooled")
    assert(text:find "MSA 1 point †" < text:find "msa%-paper, 1 click", "ours is before the published")
    assert(not text:find("**", 1, true) and not text:find "__", "something is bold")
    local low, high = text:match "| spleen | 1 click | Dice | 10 | 10 | 0.555 | (0.%d+) to (0.%d+) | 0.555 | 0.510 |"
    assert(low and tonumber(low) > 0.52 and tonumber(high) < 0.59, "another interval: " .. text)
  end)
  it("has percent where the paper has, and goes without published rows", function()
    holds(tables.markdown(made "nodule", about, published.read "modalities"), "## Dice in %", "thyroid_nodule",
      "| msa-paper, 3 clicks |  |  | 55.5 |")
    local text = tables.markdown(made "x|<y>", about)
    holds(text, "| method | x\\|&lt;y&gt; |\n", "| msa-paper, 1 click | 0.555 |\n")
    assert(not text:find "†", "a mark without published rows")
  end)
  it("says the range of few patients, and differences", function()
    local few = { table.unpack(results_of { "x" }, 1, 4) }
    local other = summary.of(summary.differences(few, results_of { "x" }), { hd95 = "pooled", seed = 1 })
    local text = tables.markdown(summary.of(few, { hd95 = "pooled", seed = 1 }),
      { model = "m", data = "d", unit = "px", definitions = {}, against = { left = 0, name = "n", made = other } })
    holds(text, "| 0.525 | range 0.510 to 0.540 | 0.525 | 0.510 |", "## Differences: m minus n",
      "| x | 1 click | Dice | 4 | 4 | 0.000 | range 0.000 to 0.000 |")
  end)
end)

describe("table.csv", function()
  it("has a column a class and a row a statistic", function()
    local text = tables.csv(made("spleen", "liver"), about, published.read "amos")
    holds(text, "method,source,metric,statistic,spleen,R.Kid", ",Avg\n",
      "MSA 1 point †,published,dice,as printed,0.968,",
      '"msa-paper, 1 click",measured,dice,mean,0.555000,,', ",hd95,no_hd95,0,")
    local lines = select(2, text:gsub("\n", ""))
    equal(lines, 1 + 12 + 3 * 2 * 9)
  end)
end)
