-- SPDX-License-Identifier: Apache-2.0
--- Have a build segment one image: the request to its test bench (runtime/runner/msa_run.c), and what that answers.
-- A job is
--   folder   an opened one (run/folder.lua), compiled; its `bank` chosen
--   image    u8 [N,H,W,3], or nil: one that the test bench makes
--   prompts  checked ones (run/prompts.lua)
--   files    paths of what is to be written, each may be missing: resized, embedding, upsampled, and of prompt k
--            logits[k], iou[k], masks[k]
--   clicks   nil, or { count, truth = u8 [1,H,W], 255 inside, seed, feedback = none or logits }: what the one prompt
--            has beside text and multimask is found where mask and truth differ
--   bench    nil, or how often the work is repeated
--   profile  nil, or how often
local npy = require "msagen.npy"
local profile = require "run.profile"
local prompts = require "run.prompts"
local sys = require "msagen.sys"

local segment = {}

local IMAGE, SYNTHETIC, EMBEDDING, PROMPT, LOGITS, IOU, MASK, UPSAMPLED = 1, 2, 3, 4, 5, 6, 7, 8
local RESIZED, BENCH, PROGRESS, SUBVOLUME, REFINE, BANK, PROFILE = 9, 10, 11, 13, 14, 15, 16

-- A volume of N slices as subvolumes of D: { first =, keep = }. Results are of the last one wherever it reaches, so one
-- before keeps less.
local function subvolumes_of(slices, depth)
  local list = {}
  for first = 0, slices - depth, depth do list[#list + 1] = { first = first, keep = depth } end
  local rest = slices % depth
  if rest > 0 then
    list[#list].keep = rest
    list[#list + 1] = { first = slices - depth, keep = depth }
  end
  return list
end

local function command(what, rest)
  return string.pack("<I4I4", what, #rest) .. rest .. ("\0"):rep(-#rest % 4)
end

local function refine_request(clicks, prompt, truth_file)
  local flags = prompts.flags(prompt) | (clicks.feedback == "logits" and prompts.FEEDBACK or 0)
  return string.pack("<I4I4I4I8I8", flags, clicks.count, prompt.text_index or 0, clicks.seed,
    sys.size(truth_file) - clicks.truth:numel()) .. truth_file
end

-- The commands of one subvolume, or of the image.
local function ask_subvolume(job, subvolume, truth_file, ask)
  local files = job.files
  ask(SUBVOLUME, string.pack("<I4I4", subvolume.first, subvolume.keep))
  if files.resized then ask(RESIZED, files.resized) end
  if files.embedding then ask(EMBEDDING, files.embedding) end
  for k, prompt in ipairs(job.prompts) do
    if job.clicks then ask(REFINE, refine_request(job.clicks, prompt, truth_file))
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

local function ask_image(image, scratch, ask)
  if not image then return ask(SYNTHETIC) end
  local raw, shape = scratch .. "/image.npy", image.shape
  npy.write(raw, image)
  ask(IMAGE, string.pack("<I4I4I4I8", shape[3], shape[2], shape[1], sys.size(raw) - image:numel()) .. raw)
end

-- All commands for the test bench.
local function request_of(job, scratch)
  local folder, image = job.folder, job.image
  local request = { "MSARUN5\n" }
  local function ask(what, rest) request[#request + 1] = command(what, rest or "") end
  if folder.bank then ask(BANK, string.pack("<I4", folder.bank)) end
  ask_progress(folder, ask)
  ask_image(image, scratch, ask)
  local truth_file = job.clicks and scratch .. "/truth.npy"
  if truth_file then npy.write(truth_file, job.clicks.truth) end
  for _, subvolume in ipairs(image and subvolumes_of(image.shape[1], folder.depth) or {}) do
    ask_subvolume(job, subvolume, truth_file, ask)
  end
  if job.profile then
    local phases = profile.phases(folder)
    local by_day = (folder.cores or 1) > 1 and 1 or 0
    ask(PROFILE, string.pack("<I4I4I4I4I4", job.profile, #phases.encode, #phases.decode, by_day, profile.khz(folder)))
  elseif job.bench then ask(BENCH, string.pack("<I4", job.bench))
  end
  return table.concat(request)
end

-- What is said of each prompt's result, from the answer's lines; each subvolume tells of all prompts anew.
local function read_results(lines)
  local results, times, clicks, result = {}, {}, {}, nil
  for _, line in ipairs(lines) do
    local k, masks = line:match "^prompt (%d+) masks (%d+)$"
    local best, scores = line:match "^best (%d+) (.+)$"
    local name, ms = line:match "^(%a+_ms) (%S+)$"
    local x, y, label, both, sum = line:match "^click (%d+) (%d+) (%d+) (%d+) (%d+)$"
    local kept = line:match "^kept (%d+)$"
    if masks then
      k = math.tointeger(k) + 1
      result = results[k] or { masks = math.tointeger(masks), best = {}, iou = {} }
      results[k] = result
    elseif best then
      local list = {}
      for score in scores:gmatch "%S+" do list[#list + 1] = tonumber(score) end
      result.best[#result.best + 1], result.iou[#result.iou + 1] = math.tointeger(best), list
    elseif name then times[name] = ms
    elseif kept then clicks.kept = math.tointeger(kept)
    elseif x then
      local dice = 2 * tonumber(both) / tonumber(sum)
      clicks[#clicks + 1] = { tonumber(x), tonumber(y), label = tonumber(label), dice = dice }
    end
  end
  return results, times, clicks
end

--- Do a job.
-- @param scratch a folder for the time of the work
-- @param renamed function(text) that gives temporary files in messages their names
-- @return { results = of each prompt { masks = how many, best = the chosen one a slice, from 0, iou = all a slice },
--   times = { encode_ms, decode_ms } as text, clicks = { { x, y, label, dice }..., kept = the best step }, lines = the
--   whole answer }
function segment.perform(job, scratch, renamed)
  sys.write_file(scratch .. "/request", request_of(job, scratch))
  local lines = job.folder:perform(scratch .. "/request", scratch .. "/response", renamed)
  local results, times, clicks = read_results(lines)
  return { results = results, times = times, clicks = clicks, lines = lines }
end

return segment
