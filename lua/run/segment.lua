-- SPDX-License-Identifier: Apache-2.0
--- Have a build segment one image: the request to its test bench (runtime/runner/msa_run.c), and what that answers.
-- A job is
--   folder   an opened one (run/folder.lua), compiled; its `bank` chosen
--   samples  { path, frames, at_a_time, response = path or nil }: frames that the front end makes the image of; or nil
--   image    u8 [N,H,W,3], or nil: one that the test bench makes
--   prompts  checked ones (run/prompts.lua)
--   files    paths of what is to be written, each may be missing: resized, embedding, upsampled, and of prompt k
--            logits[k], iou[k], masks[k]
--   clicks   nil, or for each prompt false or { ... }: what that prompt has beside text and multimask is found where
--            mask and truth differ, in each slice by itself (runtime/runner/msa_run_clicks.h has the rule):
--              count     clicks at most, no more than the folder's max_points
--              truth     u8 [N,H,W] or, the same for all slices, [1,H,W]; 255 inside
--              first     "centre" (default): as all others; "random": anywhere inside, as `seed` (default 0) says
--              feedback  "none" (default); "logits": each click comes with the logits before as mask prompt
--              empty     "none" (default): a slice with nothing inside gets no prompt: an empty mask, logits -1000,
--                        IoU 0; "random": one click outside, anywhere, as `seed` says
--              steps     nil: the result of a slice is that of its click with the largest Dice; or numbers of clicks in
--                        rising order: it is that of its last click, and files are written of each step
--              masks     of each step false or a path: u8 [N,H,W], 0 or 255, as files.masks
--              logits    of each step false or a path: f32 [N,M,4g,4g], as files.logits
--            A slice where nothing is wrong any more keeps its result.
--   carried  nil, or thousandths: prompts that are of one slice (prompt.only) are carried on from it to both sides, by
--            clicks on the inmost pixel of the mask before, until a mask has less than so many thousandths of the first
--            one's pixels. Each prompt then is a run of its own over the volume
--   bench    nil, or how often the work is repeated
--   profile  nil, or how often
--   quiet    whether nothing is shown of its progress
local npy = require "msagen.npy"
local profile = require "run.profile"
local prompts = require "run.prompts"
local sys = require "msagen.sys"

local segment = {}

local IMAGE, SYNTHETIC, EMBEDDING, PROMPT, LOGITS, IOU, MASK, UPSAMPLED = 1, 2, 3, 4, 5, 6, 7, 8
local RESIZED, BENCH, PROGRESS, SUBVOLUME, REFINE, BANK, PROFILE = 9, 10, 11, 13, 14, 15, 16
local PROPAGATE, SAMPLES = 17, 18
local ALONE = 1001 -- what PROPAGATE takes for a prompt that is not carried on

--- A volume of N slices as subvolumes of D: { first =, keep = }. Results are of the last one wherever it reaches, so
-- one before keeps less.
function segment.subvolumes(slices, depth)
  local list = {}
  for first = 0, slices - depth, depth do list[#list + 1] = { first = first, keep = depth } end
  local rest = slices % depth
  if rest > 0 then
    list[#list].keep = rest
    list[#list + 1] = { first = slices - depth, keep = depth }
  end
  return list
end

-- In the order in which a prompt of that slice reaches them.
local function outwards(list, slice)
  local own = 1
  while own < #list and list[own].first + list[own].keep <= slice do own = own + 1 end
  local order = table.move(list, own, #list, 1, {})
  for i = own - 1, 1, -1 do order[#order + 1] = list[i] end
  return order
end

local function command(what, rest)
  return string.pack("<I4I4", what, #rest) .. rest .. ("\0"):rep(-#rest % 4)
end

-- The REFINE command's rest.
local function refine_request(clicks, prompt, truth_file)
  local flags = prompts.flags(prompt) | (clicks.feedback == "logits" and prompts.FEEDBACK or 0)
    | (clicks.first == "random" and prompts.FIRST_AT_RANDOM or 0)
    | (clicks.empty == "random" and prompts.EMPTY_AT_RANDOM or 0)
  local truth, steps = clicks.truth, clicks.steps or {}
  local out = { string.pack("<I4I4I4I4I4I4I8I8", flags, clicks.count, prompt.text_index or 0, truth.shape[1], #steps, 0,
    clicks.seed or 0, sys.size(truth_file) - truth:numel()) }
  for _, step in ipairs(steps) do out[#out + 1] = string.pack("<I4", step) end
  out[#out + 1] = truth_file .. "\0"
  for i in ipairs(steps) do
    local mask, logits = clicks.masks and clicks.masks[i] or "", clicks.logits and clicks.logits[i] or ""
    out[#out + 1] = mask .. "\0" .. logits .. "\0"
  end
  return table.concat(out)
end

-- The truths as files: of each prompt its path. What several share is one file.
local function write_truths(job, scratch)
  local paths, of = {}, {}
  for k, clicks in ipairs(job.clicks or {}) do
    if clicks and not of[clicks.truth] then
      of[clicks.truth] = ("%s/truth_%d.npy"):format(scratch, k - 1)
      npy.write(of[clicks.truth], clicks.truth)
    end
    paths[k] = clicks and of[clicks.truth]
  end
  return paths
end

-- The commands of one subvolume, or of the image.
local function ask_subvolume(job, subvolume, truths, ask)
  local files = job.files
  ask(SUBVOLUME, string.pack("<I4I4", subvolume.first, subvolume.keep))
  if files.resized then ask(RESIZED, files.resized) end
  if files.embedding then ask(EMBEDDING, files.embedding) end
  for k, prompt in ipairs(job.prompts) do
    local clicks = job.clicks and job.clicks[k]
    if clicks then ask(REFINE, refine_request(clicks, prompt, truths[k]))
    elseif prompt.only then
      local head = string.pack("<I4I4", prompt.only, job.carried or ALONE)
      ask(PROPAGATE, head .. prompts.pack(prompt, 0, job.folder.depth))
    else ask(PROMPT, prompts.pack(prompt, subvolume.first, job.folder.depth)) end
    if files.logits[k] then ask(LOGITS, files.logits[k]) end
    if files.iou[k] then ask(IOU, files.iou[k]) end
    if files.masks[k] then ask(MASK, files.masks[k]) end
    if k == 1 and files.upsampled then ask(UPSAMPLED, files.upsampled) end
  end
end

local function ask_progress(folder, ask)
  if not sys.isatty(2) then return end
  local layers = 0
  for _, layer in ipairs(type(folder.layers) == "table" and folder.layers or {}) do
    if layer.phase == "encode" then layers = layers + 1 end
  end
  ask(PROGRESS, string.pack("<I4", layers))
end

local function ask_image(job, scratch, ask)
  local image, samples = job.image, job.samples
  if samples then
    return ask(SAMPLES, string.pack("<I4I4I8", samples.frames, samples.at_a_time or 0, 0) .. samples.path .. "\0"
      .. (samples.response or "") .. "\0")
  end
  if not image then return ask(SYNTHETIC) end
  local raw, shape = scratch .. "/image.npy", image.shape
  npy.write(raw, image)
  ask(IMAGE, string.pack("<I4I4I4I8", shape[3], shape[2], shape[1], sys.size(raw) - image:numel()) .. raw)
end

-- All commands for the test bench.
local function request_of(job, scratch)
  local folder, image = job.folder, job.image
  local request = { "MSARUN6\n" }
  local function ask(what, rest) request[#request + 1] = command(what, rest or "") end
  if folder.bank then ask(BANK, string.pack("<I4", folder.bank)) end
  if not job.quiet then ask_progress(folder, ask) end
  ask_image(job, scratch, ask)
  local truths = write_truths(job, scratch)
  local subvolumes = image and segment.subvolumes(image.shape[1], folder.depth) or {}
  if job.carried then subvolumes = outwards(subvolumes, job.prompts[1].only) end
  for _, subvolume in ipairs(subvolumes) do
    ask_subvolume(job, subvolume, truths, ask)
  end
  if job.profile then
    local phases = profile.phases(folder)
    local by_day = (folder.cores or 1) > 1 and 1 or 0
    ask(PROFILE, string.pack("<I4I4I4I4I4", job.profile, #phases.encode, #phases.decode, by_day, profile.khz(folder)))
  elseif job.bench then ask(BENCH, string.pack("<I4", job.bench))
  end
  return table.concat(request)
end

-- The clicks that lines tell of, behind those of the subvolumes before.
local function read_clicks(lines, clicks)
  local counts = {}
  for _, line in ipairs(lines) do
    local slice, x, y, label, both, sum = line:match "^click (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$"
    local kept_of, kept = line:match "^kept (%d+) (%d+)$"
    if kept then clicks.kept_of[math.tointeger(kept_of) + 1] = math.tointeger(kept)
    elseif slice then
      counts[slice] = (counts[slice] or 0) + 1
      clicks[#clicks + 1] = { slice = math.tointeger(slice), x = x + 0.5, y = y + 0.5, label = math.tointeger(label),
        count = counts[slice], dice = tonumber(sum) > 0 and 2 * both / sum or nil }
    end
  end
  clicks.kept = #clicks.kept_of == 1 and clicks.kept_of[1] or nil
end

-- What is said of each prompt's result, from the answer's lines; each subvolume tells of all prompts anew. What is said
-- of clicks comes before the prompt that they are of.
local function read_results(lines, job)
  local results, times, clicks, of_clicks, carried, result = {}, {}, {}, {}, {}, nil
  for k, asked in ipairs(job.clicks or {}) do clicks[k] = asked and { kept_of = {} } end
  for _, line in ipairs(lines) do
    local k, masks = line:match "^prompt (%d+) masks (%d+)$"
    local best, scores = line:match "^best (%d+) (.+)$"
    local name, ms = line:match "^(%a+_ms) (%S+)$"
    local slice, x, y = line:match "^carried (%d+) (%d+) (%d+)$"
    if slice then
      carried[#carried + 1] = { slice = math.tointeger(slice), x = x + 0.5, y = y + 0.5, label = 1 }
    elseif masks then
      k = math.tointeger(k) + 1
      result = results[k] or { masks = math.tointeger(masks), best = {}, iou = {} }
      results[k] = result
      if clicks[k] then read_clicks(of_clicks, clicks[k]) end
      of_clicks = {}
    elseif best then
      local list = {}
      for score in scores:gmatch "%S+" do list[#list + 1] = tonumber(score) end
      result.best[#result.best + 1], result.iou[#result.iou + 1] = math.tointeger(best), list
    elseif name then times[name] = ms
    else of_clicks[#of_clicks + 1] = line end
  end
  table.sort(carried, function(a, b) return a.slice < b.slice end)
  return results, times, clicks, carried
end

-- One call of the test bench.
local function call(job, scratch, renamed)
  sys.write_file(scratch .. "/request", request_of(job, scratch))
  local lines = job.folder:perform(scratch .. "/request", scratch .. "/response", renamed)
  local results, times, clicks, carried = read_results(lines, job)
  return { results = results, times = times, clicks = clicks, carried = { carried }, lines = lines }
end

-- The files of prompt k alone; those of the image are the first one's.
local function files_of(files, k)
  local own = { logits = { files.logits[k] }, iou = { files.iou[k] }, masks = { files.masks[k] } }
  if k == 1 then own.resized, own.embedding, own.upsampled = files.resized, files.embedding, files.upsampled end
  return own
end

-- What subvolumes tell of slices, in the order of the slices.
local function reorder(result, subvolumes, order)
  local at, by_first = 0, {}
  for _, subvolume in ipairs(order) do
    by_first[subvolume.first] = at
    at = at + subvolume.keep
  end
  local best, iou = {}, {}
  for _, subvolume in ipairs(subvolumes) do
    for i = 1, subvolume.keep do
      local from = by_first[subvolume.first] + i
      best[#best + 1], iou[#iou + 1] = result.best[from], result.iou[from]
    end
  end
  result.best, result.iou = best, iou
end

-- A run over the volume for each prompt.
local function carry(job, scratch, renamed)
  local all, subvolumes = nil, segment.subvolumes(job.image.shape[1], job.folder.depth)
  for k, prompt in ipairs(job.prompts) do
    local own = setmetatable({ prompts = { prompt }, files = files_of(job.files, k),
      bench = k == 1 and job.bench, profile = k == 1 and job.profile }, { __index = job })
    local found = call(own, scratch, renamed)
    reorder(found.results[1], subvolumes, outwards(subvolumes, prompt.only))
    all = all or found
    all.results[k], all.carried[k] = found.results[1], found.carried[1]
  end
  return all
end

--- Do a job.
-- @param scratch a folder for the time of the work
-- @param renamed function(text) that gives temporary files in messages their names
-- @return { results = of each prompt { masks = how many, best = the chosen one a slice, from 0, iou = all a slice },
--   times = { encode_ms, decode_ms } as text, clicks = of each prompt false, or a list of { slice = from 0, x, y = the
--   pixel's centre in pixels of the image, label = 1 or 0, count = which of the slice's clicks, from 1, dice = of the
--   slice's mask after it, nil where mask and truth are empty }, with kept_of = of each slice the number of the click
--   that its result is of, 0 without a prompt, and kept = that of the one slice, carried = of each prompt the clicks
--   that it was carried on with, by slices, lines = the whole answer, of the first prompt where they are carried on }
function segment.perform(job, scratch, renamed)
  return (job.carried and #job.prompts > 0 and carry or call)(job, scratch, renamed)
end

return segment
