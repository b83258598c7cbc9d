-- SPDX-License-Identifier: Apache-2.0
--- What an evaluation leaves in its folder: tables, cases, pictures, a page, and how it was made. All but times.csv are
-- the same bytes for the same model, data and options, whatever the number of processes.
local agreement = require "evaluate.agreement"
local csv = require "evaluate.csv"
local fail = require "support.fail"
local json = require "msagen.json"
local published = require "evaluate.published"
local statistics = require "evaluate.statistics"
local summary = require "evaluate.summary"
local sys = require "msagen.sys"
local tables = require "evaluate.tables"

local outputs = {}

local NAMES = { ["table.md"] = true, ["table.csv"] = true, ["cases.csv"] = true, ["times.csv"] = true,
  ["run.json"] = true, ["index.html"] = true, worst = true, journal = true,
  against = true }

--- Refuse a folder that holds anything else.
function outputs.check(out)
  local id, kind = sys.identity(out)
  if not id and not kind then return end
  if not id then fail("-o %s: cannot be written: expected a folder, found a link that leads nowhere", out) end
  if kind ~= "folder" then fail("-o %s: cannot be written: expected a folder, found a %s", out, kind) end
  local list = sys.list(out)
  local ours = 0
  for _, name in ipairs(list) do
    if NAMES[name] then ours = ours + 1 end
    if not NAMES[name] and not name:match "^%.msagen%-" then
      fail("-o %s: expected an empty folder or one of msagen evaluate, found %s in it", out, (name:gsub("%c", " ")))
    end
  end
  if ours > 0 and not sys.isdir(out .. "/journal") then
    fail("-o %s: expected an empty folder or one of msagen evaluate, found one without journal/", out)
  end
end

local HD95 = {
  pooled = "95th percentile of the distances between border pixels, both directions together",
  max = "95th percentile of the distances between border pixels, the larger of both directions",
  area = "95th percentile of the distances between surfaces, weighted by area",
}

local PLAIN = "Dice, IoU: from counts of pixels of a case and class (of a volume, all its slices), at the image's own "
  .. "size; the mask is where the enlarged logits are above 0. Cases without the class are left out and counted "
  .. "(absent)."
local MSA = "Dice, IoU: as MSA's eval_seg computes them, means over thresholds at the network's size; they are not "
  .. "comparable with plain ones."

--- What the numbers mean, a line each. @param about { hd95, unit, mode, seed }
function outputs.definitions(about)
  return {
    about.mode == "msa" and MSA or PLAIN,
    ("HD95: %s, in %s; a case whose mask or truth is empty%s has none and is counted (no HD95)."):format(
      HD95[about.hd95], about.unit == "mm" and "mm" or "pixels, as the spacing is not known",
      about.unit == "mm" and ", or whose spacing is not known," or ""),
    ("95 %% interval: percentile bootstrap of the mean, %d resamples of patients, seed %d; below %d patients the range "
      .. "of the values instead."):format(statistics.RESAMPLES, about.seed, statistics.LEAST_UNITS),
    "Several classes: the mean of the classes' means.",
  }
end

--- The unit of distances: mm where any case has a spacing; the others then have no distances.
function outputs.unit(results)
  for _, result in ipairs(results) do
    for _, row in ipairs(result.rows) do
      if row.unit == "mm" then return "mm" end
    end
  end
  return "px"
end

local function six(value) return value and ("%.6f"):format(value) or false end

local function emptiness(row)
  local truth, mask = row.truth_pixels == 0, row.pred_pixels == 0
  return truth and mask and "both" or truth and "truth" or mask and "mask" or "none"
end

-- What cases.csv says of masks beside another build's (evaluate/agreement.lua).
local OTHER = { "other_iou", "other_dice", "other_flipped" }

--- cases.csv.
function outputs.cases(results, about)
  local names = { "case", "patient", "class", "clicks", "dice", "iou", "hd95_" .. about.unit, "surface_dice",
    "truth_pixels", "mask_pixels", "empty", "mask_sha256", "points" }
  for _, name in ipairs(about.agreement and OTHER or {}) do names[#names + 1] = name end
  local lines = { csv.line(names) }
  for _, result in ipairs(results) do
    for _, row in ipairs(result.rows) do
      local alike = row.unit == about.unit
      local values = { result.case, result.patient, row.class, row.clicks, six(row.dice), six(row.iou),
        alike and six(row["hd95_" .. about.hd95]), alike and six(row.surface_dice), row.truth_pixels, row.pred_pixels,
        emptiness(row), row.mask, row.points }
      for i, name in ipairs(about.agreement and OTHER or {}) do values[#names - #OTHER + i] = six(row[name]) end
      lines[#lines + 1] = csv.line(values)
    end
  end
  return table.concat(lines)
end

local function times(results)
  local lines = { csv.line { "case", "milliseconds" } }
  for i, result in ipairs(results) do lines[i + 1] = csv.line { result.case, result.milliseconds } end
  return table.concat(lines)
end

-- run.json: from what, by what and how.
local function run_json(evaluation, made, about)
  local options = {}
  for key, value in pairs(evaluation.told) do options[key] = value end
  return json.encode({ generator = "msagen evaluate", version = msagen.version, model = evaluation.model,
    data = { name = about.data, layout = evaluation.set.layout, sha256 = evaluation.binding.data, cases = made.cases,
      patients = made.patients, classes = json.array(made.classes), split = evaluation.args.split or json.null },
    options = options, definitions = json.array(about.definitions),
    statistics = { resamples = statistics.RESAMPLES, seed = about.seed, generator = "SplitMix64 of a counter",
      least_patients = statistics.LEAST_UNITS }, unit = about.unit,
    published = evaluation.args.published or json.null }, { indent = 1 }) .. "\n"
end

-- What --against compares with: another folder of an evaluation, summarised as differences.
local function against(results, options)
  if not options.against then return nil end
  local rows, left, common = summary.differences(results, options.against.results)
  if common == 0 then
    fail("--against: expected cases, classes and prompts that both have, found none in %s", options.against.name)
  end
  return { name = options.against.name, left = left, made = summary.of(rows, { hd95 = options.hd95,
    seed = options.seed }) }
end

--- Write everything.
-- @param evaluation { args, out, model, set, binding, told, against = nil or { name, results }, layer_errors = nil or
-- of evaluate.layers }
-- @param results of all cases, in order
-- @param pictures function(target) -> what evaluate.worst says of them
function outputs.write(evaluation, results, pictures)
  local args, unit = evaluation.args, outputs.unit(results)
  local about = { model = evaluation.model.name, data = evaluation.set.name, unit = unit, hd95 = args.hd95,
    seed = args.seed, mode = args.mode }
  about.definitions = outputs.definitions(about)
  local function keeps(row, metric) return metric ~= "hd95" or row.unit == unit end
  local made = summary.of(results, { hd95 = args.hd95, seed = args.seed, keeps = keeps })
  about.against = against(results, { against = evaluation.against, hd95 = args.hd95, seed = args.seed })
  about.agreement = evaluation.second and agreement.of(results, made.classes, made.clicks) or nil
  about.layers = evaluation.layer_errors
  local printed = args.published and published.read(args.published) or nil
  local staging = require("run.staging").new()
  local ok, problem = pcall(function()
    local function put(name, text) sys.write_file(staging:file(evaluation.out .. "/" .. name), text) end
    local tree = staging:tree(evaluation.out .. "/worst")
    local looked = pictures(tree)
    put("table.md", tables.markdown(made, about, printed))
    put("table.csv", tables.csv(made, about, printed))
    put("cases.csv", outputs.cases(results, about))
    put("times.csv", times(results))
    put("run.json", run_json(evaluation, made, about))
    put("index.html", require "report.evaluation_page"(require("evaluate.page_data").of(evaluation, results, made,
      about, printed, looked)))
    staging:commit()
  end)
  staging:close()
  if not ok then error(problem, 0) end
  return made, about
end

return outputs
