-- SPDX-License-Identifier: Apache-2.0
--- One case of an evaluation: its image is encoded once, each class gets its clicks or its own prompt, each mask is
-- compared with the truth at the image's own size.
local agreement = require "evaluate.agreement"
local fail = require "support.fail"
local prompts = require "run.prompts"
local sha256 = require "msagen.sha256"
local sources = require "evaluate.sources"
local sys = require "msagen.sys"

local one_case = {}

--- What `clicks` of a row is where the data set has the prompt.
one_case.OWN = "prompt"

-- `X,Y[,LABEL] X,Y[,LABEL]` as a prompt.
local function from_points(text, where)
  local points, labels = {}, {}
  for word in text:gmatch "%S+" do
    local x, y, rest = word:match "^([%d.+-]+),([%d.+-]+)(.*)$"
    local label = rest == "" and "1" or rest and rest:match "^,([01])$"
    if not tonumber(x) or not tonumber(y) or not label then
      fail("%s: expected points X,Y or X,Y,LABEL between blanks, found %s", where, word:sub(1, 60))
    end
    points[#points + 1], labels[#labels + 1] = { tonumber(x), tonumber(y) }, math.tointeger(label)
  end
  if #points == 0 then fail("%s: expected points, found none", where) end
  return { points = { points }, labels = { labels } }
end

-- Of a model with a mask for each class, the class's own, from 0.
local function wanted_of(options, case, class)
  if (options.folder.classes or 0) < 2 then return nil end
  for i, one in ipairs(case.classes) do
    if one == class then return i - 1 end
  end
end

-- The data set's own prompt of a class.
local function own_prompt(class, slices)
  local where = "prompt of " .. class.name
  if not class.prompt_file then
    local prompt = from_points(class.prompt, where)
    prompt.what = where
    return prompt
  end
  local list = prompts.from_file(class.prompt_file, slices)
  if #list ~= 1 then fail("%s: expected one prompt for %s, found %d", class.prompt_file, class.name, #list) end
  return list[1]
end

local function text_of(options, class)
  if options.text == "class" then return class.name end
  return options.text
end

--- The prompt that a row of results was made with, of its first slice that has any.
-- @return run.prompts', the slice from 0
function one_case.prompt_of_row(class, row, options, slices)
  if row.clicks == one_case.OWN then return own_prompt(class, slices), 0 end
  local slice, words = row.points:match "^(%d+):" or "0", {}
  for word in row.points:gmatch "%S+" do
    local at, place = word:match "^(%d+):(.*)$"
    if not at or at == slice then words[#words + 1] = place or word end
  end
  local prompt = #words > 0 and from_points(table.concat(words, " "), "prompt of " .. class.name) or {}
  prompt.multimask, prompt.text = options.multimask, text_of(options, class)
  return prompt, math.tointeger(tonumber(slice))
end

-- The same for the same case and class, whatever else is evaluated.
local function seed_of(options, case, class)
  local digest = sha256.hex(("%d\n%s\n%s"):format(options.seed, case.name, class.name))
  return math.tointeger(tonumber(digest:sub(1, 15), 16))
end

-- The steps that clicks are asked for: without 0, which is the text alone.
local function steps_of(options)
  local steps = {}
  for _, step in ipairs(options.clicks) do
    if step > 0 then steps[#steps + 1] = step end
  end
  return steps
end

-- What is asked of a class: a list of { class, prompt, clicks = of a job or false, steps = clicks of each result }.
local function asks_of(case, class, found, options)
  local base = { multimask = options.multimask, text = text_of(options, class),
    wanted = wanted_of(options, case, class) }
  if class.prompt and not options.ignore_prompts then
    local prompt = own_prompt(class, found.image.shape[1])
    prompt.text, prompt.wanted = prompt.text or base.text, base.wanted
    if prompt.multimask == nil then prompt.multimask = base.multimask end
    return { { class = class, prompt = prompt, clicks = false, steps = { one_case.OWN } } }
  end
  local list, steps = {}, steps_of(options)
  if #steps < #options.clicks then
    list[1] = { class = class, prompt = base, clicks = false, steps = { 0 } }
  end
  if #steps > 0 then
    local prompt = { multimask = base.multimask, text = base.text, wanted = base.wanted }
    list[#list + 1] = { class = class, prompt = prompt, steps = steps,
      clicks = { count = steps[#steps], first = options.first, seed = seed_of(options, case, class),
        feedback = options.feedback, empty = options.empty, steps = steps } }
  end
  return list
end

-- Where the masks and logits of an ask go.
local function place(ask, k, scratch, job, with_logits)
  ask.masks, ask.logits = {}, {}
  for i in ipairs(ask.steps) do
    ask.masks[i] = ("%s/mask_%d_%d.npy"):format(scratch, k, i)
    ask.logits[i] = with_logits and ("%s/logits_%d_%d.npy"):format(scratch, k, i) or false
  end
  if ask.clicks then
    ask.clicks.truth, ask.clicks.masks, ask.clicks.logits = ask.truth.clicked, ask.masks, ask.logits
  else
    job.files.masks[k], job.files.logits[k] = ask.masks[1], ask.logits[1] or nil
  end
end

-- "x,y,label" of the clicks up to a step, of a volume with the slice before them.
local function spoken(clicks, step, volume)
  local texts = {}
  for _, click in ipairs(clicks or {}) do
    if click.count <= step then
      texts[#texts + 1] = ("%s%.1f,%.1f,%d"):format(volume and click.slice .. ":" or "", click.x, click.y, click.label)
    end
  end
  return table.concat(texts, " ")
end

-- An image is no volume of one slice: all its pixels would be at the border.
local function flat(mask) return mask.shape[1] == 1 and mask:reshape { mask.shape[2], mask.shape[3] } or mask end

local KEPT = { "dice", "iou", "hd95_pooled", "hd95_max", "hd95_area", "surface_dice", "truth_pixels", "pred_pixels" }

-- What is noted of one mask.
local function row_of(ask, i, found, clicks)
  local spacing, truth, step = found.spacing, ask.truth.own, ask.steps[i]
  local volume = truth.shape[1] > 1
  local mm = spacing or { 1, 1, 1 }
  local mask = found.input:whole(require("msagen.npy").read(ask.masks[i]))
  local compared = require("msagen.metrics").compare(flat(mask), flat(truth), volume and mm or { mm[2], mm[3] })
  local row = { class = ask.class.name, clicks = step, unit = spacing and "mm" or "px",
    mask = sha256.file(ask.masks[i]), points = ask.clicks and spoken(clicks, step, volume) or ask.class.prompt or "" }
  for _, name in ipairs(KEPT) do row[name] = compared[name] end
  return row
end

-- Everything that the test bench is asked for, with the truth of each class.
local function job_of(case, options, scratch)
  local found = sources.image(case, options)
  local truth_of = sources.truths(case, found)
  local job = { folder = options.folder, image = found.image, prompts = {}, clicks = {}, quiet = true,
    files = { logits = {}, iou = {}, masks = {} } }
  local asks, shape = {}, found.image.shape
  for _, class in ipairs(case.classes) do
    local truth = truth_of(class)
    for _, ask in ipairs(asks_of(case, class, found, options)) do
      ask.truth = truth
      asks[#asks + 1] = ask
      prompts.check(ask.prompt, shape[3], shape[2], shape[1], options.folder)
      job.prompts[#asks], job.clicks[#asks] = ask.prompt, ask.clicks
      place(ask, #asks, scratch, job, options.mode == "msa")
    end
  end
  return job, asks, found
end

-- The same case by another build. @return what was asked, whose masks are there
local function asked_again(case, options, folder, clicks, scratch)
  local other = setmetatable({ folder = folder, clicks = clicks }, { __index = options })
  local job, asks = job_of(case, other, scratch)
  if #asks > 0 then require("run.segment").perform(job, scratch, function(text) return text end) end
  return asks
end

--- Do a case.
-- @param case of evaluate.datasets
-- @param options { folder = opened and compiled, dialect, clicks = list of numbers in rising order, ignore_prompts,
--   first, seed, feedback, empty, mode, multimask, text, how = options of inputs.image, beside = another build's folder
--   whose masks ours are compared with, or nil }
-- @param scratch a folder of its own, for the time of the work
-- @param look nil, or function(ask, i, found, clicks): called of each mask, while its file is there
-- @return { case, patient, milliseconds, rows = { { class, clicks, unit, mask = SHA-256 of its NPY, points, dice, ... }
--   } }: what is undefined is nil
function one_case.perform(case, options, scratch, look)
  local began = sys.monotonic_ns()
  local job, asks, found = job_of(case, options, scratch)
  local answer = require("run.segment").perform(job, scratch, function(text) return text end)
  local result = { case = case.name, patient = case.patient, rows = {} }
  for k, ask in ipairs(asks) do
    local clicks = answer.clicks[k] or nil
    for i in ipairs(ask.steps) do
      result.rows[#result.rows + 1] = row_of(ask, i, found, clicks)
      if options.mode == "msa" then
        require("evaluate.msa").replace(result.rows[#result.rows], ask.logits[i], ask.truth.clicked, options.dialect,
          ask.prompt.wanted or 0)
      end
      if look then look(ask, i, found, clicks) end
    end
  end
  if options.beside then
    agreement.note(asks, result.rows, options, scratch, function(folder, clicks, apart)
      return asked_again(case, options, folder, clicks, apart)
    end)
  end
  result.milliseconds = (sys.monotonic_ns() - began) // 1000000
  return result
end

return one_case
