-- SPDX-License-Identifier: Apache-2.0
--- The run of one image: what is read and checked before the work, the work, and what is written of it.
local agreement = require "run.agreement"
local fail = require "support.fail"
local inputs = require "run.inputs"
local overlays = require "run.overlays"
local profile = require "run.profile"
local said = require "run.said"

local work = {}

work.LEAST = 0.05 -- of the first mask's pixels: a smaller one ends --propagate
local PROFILE_REPETITIONS = 3 -- where --bench gives no number
local NPY_HEADER = 128 -- of the files that the runner writes

-- ---- before the work ----

local function check_prompts(run)
  local args, list = run.args, run.list
  for _, option in ipairs { "mask_out", "labels_out", "overlay_out", "upsampled_out" } do
    if args[option] and #list == 0 then
      fail("--%s: expected a prompt (%s), found none", (option:gsub("_", "-")), said.PROMPTS)
    end
  end
  local shape, turned = run.image and run.image.shape, run.turned
  for _, prompt in ipairs(run.image and list or {}) do
    local why = turned > 1 and (" (the image is turned by its EXIF orientation %d)"):format(turned) or ""
    require("run.prompts").check(prompt, shape[3], shape[2], run.slices, run.folder, why)
  end
end

local function check_propagation(run)
  if not run.args.propagate then return end
  if run.slices == 1 then fail("--propagate: expected a volume, found one slice") end
  for k, prompt in ipairs(run.list) do
    if not prompt.only then
      fail("--propagate: expected prompts of one slice (--click-slice, or slice in --prompts), found prompt %d without",
        k - 1)
    end
  end
end

local function check_refinement(run)
  local args, folder = run.args, run.folder
  if not args.refine then return end
  local most = math.min(folder.places or folder.max_points, folder.max_points)
  if args.refine > most then fail("--refine: expected at most %d clicks, found %d", most, args.refine) end
  if folder.places and args.feedback == "logits" then
    fail("--feedback logits: expected none, as this model has no mask prompt, found logits")
  end
  local built = folder.path .. "/manifest.json: feedback"
  run.feedback = args.feedback or require("support.closed").member(folder.feedback, { "none", "logits" }, built)
end

-- The values that prompts have in a label map: a prompt's class where it is one number, else its place from 1.
local function check_labels(run)
  if not run.args.labels_out then return end
  local classes, used = run.folder.classes or 0, {}
  if classes > 1 then
    if #run.list > 1 then
      fail("--labels-out: expected one prompt, as this model has %d classes, found %d", classes, #run.list)
    end
    return
  end
  run.values = {}
  for k, prompt in ipairs(run.list) do
    local value = prompt.class and prompt.class.value or k
    if value < 1 or value > 255 then
      fail("--labels-out: expected values 1 to 255 of prompts, found %d of prompt %d", value, k - 1)
    end
    if used[value] then
      fail("--labels-out: expected a value of its own for each prompt, found %d of prompts %d and %d", value,
        used[value] - 1, k - 1)
    end
    used[value], run.values[k] = k, value
  end
end

-- The expert's masks: the one of --truth-inside, and of each prompt that has a class that class.
local function read_truths(run)
  local args, truth, of = run.args, require "run.truth", {}
  local function read(wanted) return truth.read(args.truth, run.image, wanted, run.turned, run.input) end
  local wanted = args.truth_inside and #args.truth_inside > 0 and args.truth_inside or nil
  local all_have = #run.list > 0 and not args.refine
  run.truths = {}
  for k, prompt in ipairs(run.list) do
    local class = prompt.class
    all_have = all_have and class ~= nil
    if class then
      of[class.text] = of[class.text] or read { class.wanted, absent = true }
      run.truths[k] = of[class.text]
    end
  end
  if not all_have then run.truth, run.truth_notes = read(wanted) end
end

--- Read and check everything that one image's run takes.
-- @param args of the command line, image one path
-- @param folder the opened one, its bank chosen
-- @param shared { inputs = paths of all images, used = {} of places that images before write to }
function work.prepare(args, folder, shared)
  local prompts = require "run.prompts"
  local run = { args = args, folder = folder, name = args.name }
  if args.samples then
    run.image, run.notes, run.turned, run.input, run.samples = require("run.front").image(args, folder, shared)
  elseif args.image then
    local how = require("cli.image_options").read(args, folder.prepare)
    run.image, run.notes, run.turned, run.input = inputs.image(args.image, folder.depth, how)
  end
  run.spacing = args.spacing or run.input and run.input.spacing
  run.slices = run.image and run.image.shape[1] or folder.depth
  run.list = args.prompts and prompts.from_file(args.prompts, run.slices) or prompts.from_options(args)
  if args.refine then run.list[1] = { multimask = prompts.several(args), text = args.text } end
  check_prompts(run)
  check_refinement(run)
  check_propagation(run)
  check_labels(run)
  if args.resized_out and folder.resampling == "sampled" then
    fail("--resized-out: expected a build whose image is resized to bytes, found one that interpolates it in floats")
  end
  run.inside = require("run.outputs").check(args, folder, run.list, run.input and run.input:depth() > 1, shared)
  if args.truth then read_truths(run) end
  for _, option in ipairs { "overlay_out", "report_out" } do
    if run.image and args[option] then overlays.check(option, args[option], run.image.shape) end
  end
  if args.profile then profile.phases(folder) end
  run.all_notes = {}
  for _, of in ipairs { { args.image, run.notes or {} }, { args.truth, run.truth_notes or {} } } do
    for _, note in ipairs(of[2]) do run.all_notes[#run.all_notes + 1] = ("%s: %s"):format(of[1], note) end
  end
  table.sort(run.all_notes)
  return run
end

-- ---- the work ----

local WRITTEN = { "resized_out", "upsampled_out", "mask_out", "labels_out", "overlay_out", "profile",
  "report_out" }

-- Whether results are looked at beside being written: prompt k's mask is needed.
local function is_looked_at(run, k)
  local args = run.args
  return args.json or args.labels_out or args.overlay_out or args.report_out or args.truth
    or k == 1 and args.mask_out
end

-- Where everything goes is settled before the work begins.
local function settle(run, scratch)
  local args, staging = run.args, run.staging
  local files, names = { logits = {}, iou = {}, masks = {}, hashed = {} }, { require("run.outputs").MARK }
  local tree = args.out and staging:tree(args.out)
  local function within(name)
    names[#names + 1] = name
    return tree(name)
  end
  local function kept(name) return tree and within(name) or scratch .. "/" .. name end
  for _, option in ipairs(WRITTEN) do
    if args[option] then
      local name = run.inside[option]
      files[option:gsub("_out$", "")] = name and within(name) or staging:file(args[option])
    end
  end
  run.by_class = (run.folder.classes or 0) > 1 and (args.labels_out or args.overlay_out
    or args.report_out) ~= nil
  if run.by_class and not files.upsampled then files.upsampled = scratch .. "/upsampled.npy" end
  for k = 1, #run.list do
    if is_looked_at(run, k) then files.masks[k] = ("%s/mask_%d.npy"):format(scratch, k - 1) end
  end
  if args.out or args.digest then
    files.embedding = kept "embedding.npy"
    files.hashed[1] = files.embedding
    for k = 1, #run.list do
      files.logits[k] = kept(("prompt_%d.logits.npy"):format(k - 1))
      files.hashed[k + 1] = files.logits[k]
      files.iou[k] = args.out and kept(("prompt_%d.iou.npy"):format(k - 1))
    end
  end
  if tree then require("msagen.sys").write_file(tree(names[1]), require("run.outputs").mark(names)) end
  return files
end

-- The label map: later prompts lie over earlier ones; of a model with classes the class of the largest logit.
local function labels_of(run, found)
  local contour, labels = require "msagen.contour", nil
  if run.by_class then return contour.classes(found.upsampled()) end
  for k, value in ipairs(run.values) do labels = contour.paint(labels, found.masks(k), value) end
  return labels
end

-- What an overlay shows: a layer a prompt, or a class of a model with several.
local function layers_of(run, found)
  local layers, pictures = {}, require "msagen.image"
  if run.by_class then
    local labels = require("msagen.contour").classes(found.upsampled())
    local shape, flat = labels.shape, pictures.labels(labels)
    for class = 1, run.folder.classes do
      local mask, pixels = pictures.inside(flat, { { class, class } })
      if pixels > 0 then layers[#layers + 1] = { mask = mask:reshape(shape), colour = class, class = class } end
    end
    if layers[1] then layers[1].prompt = run.list[1] end
  end
  for k = 1, run.by_class and 0 or #run.list do
    layers[k] = { mask = found.masks(k), colour = k, prompt = run.list[k] }
  end
  return layers
end

local function truths_of(run)
  local list, seen = {}, {}
  for k = 1, #run.list do
    local truth = agreement.truth_of(run, k)
    if truth and not seen[truth] then list[#list + 1] = truth end
    if truth then seen[truth] = true end
  end
  return list
end

-- The pictures or arrays of masks, the overlay, the profile.
local function write_files(run, files, found, scratch)
  local args = run.args
  local write = require("run.mask_file").write
  if files.mask then write(files.mask, args.mask_out, found.masks(1), run.input) end
  if files.labels then write(files.labels, args.labels_out, labels_of(run, found), run.input, true) end
  local overlay = files.overlay or files.report and #run.list > 0 and scratch .. "/overlay.png"
  if overlay then
    found.layers = layers_of(run, found)
    local picture = overlays.draw(run.image, found.layers, truths_of(run), args)
    require("msagen.image").write_png(overlay, picture)
  end
  if files.report then
    local sys = require "msagen.sys"
    sys.write_file(files.report, require("run.report").text(run, found, overlay and sys.read_file(overlay)))
  end
  if found.profiled then
    local text = require("msagen.json").encode(found.profiled, { indent = 1 }) .. "\n"
    require("msagen.sys").write_file(files.profile, text)
  end
end

-- The clicks that led to the result that is kept.
local function take_clicks(prompt, clicks)
  prompt.points, prompt.labels, prompt.numbered = {}, {}, true
  for s in ipairs(clicks.kept_of) do prompt.points[s], prompt.labels[s] = {}, {} end
  for _, click in ipairs(clicks) do
    local s = click.slice + 1
    if click.count <= clicks.kept_of[s] then
      prompt.points[s][click.count], prompt.labels[s][click.count] = { click.x, click.y }, click.label
    end
  end
end

-- What a prompt of one slice shows in each: itself, and the clicks that it was carried on with.
local function marks_of(prompt, carried, slices)
  local marks = {}
  for s = 1, slices do marks[s] = {} end
  marks[prompt.only + 1] = { points = prompt.points and prompt.points[1], labels = prompt.labels and prompt.labels[1],
    box = prompt.box and prompt.box[1] }
  for _, click in ipairs(carried) do
    marks[click.slice + 1] = { points = { { click.x, click.y } }, labels = { click.label } }
  end
  return marks
end

local function digest_of(paths)
  local hash = require("msagen.sha256").new()
  for _, path in ipairs(paths) do
    local file <close>, why = io.open(path, "rb")
    local bytes, at = nil, nil
    if file then at, why = file:seek("set", NPY_HEADER) end
    while at do
      bytes, why = file:read(1048576)
      if not bytes then break end
      hash:update(bytes)
    end
    if why then fail("%s: cannot be read: %s", path, (why:gsub("^.*: ", ""))) end
  end
  return hash:hex()
end

-- What is read of results again, each when it is asked for.
local function make_readable(files, found)
  local npy = require "msagen.npy"
  function found.masks(k) return npy.read(files.masks[k]) end
  function found.upsampled() return npy.read(files.upsampled) end
end

-- Where the user's files went.
local function outputs_of(args)
  local list = {}
  for _, option in ipairs { "out", table.unpack(WRITTEN) } do list[option:gsub("_out$", "")] = args[option] end
  return list
end

--- Segment the image, write its results.
-- @param run of work.prepare, and staging
-- @param scratch a folder for the time of the work
-- @return what run/segment.lua gives, and digest, profiled where asked for, layers of the overlay, outputs, results[k]
--   .truth where there is one; masks(k), upsampled(): results read from scratch
function work.perform(run, scratch)
  local args, folder, staging = run.args, run.folder, run.staging
  local files = settle(run, scratch)
  local function renamed(text) return staging:renamed(text) end
  local job = { folder = folder, image = run.image, samples = run.samples, prompts = run.list, files = files,
    bench = args.bench,
    profile = args.profile and (args.bench or PROFILE_REPETITIONS) or nil }
  if args.propagate then job.carried = math.floor(1000 * (args.propagate_least or work.LEAST) + 0.5) end
  if args.refine then
    job.clicks = { { count = args.refine, truth = run.truth, first = args.first, seed = args.seed,
      feedback = run.feedback } }
  end
  local found = require("run.segment").perform(job, scratch, renamed)
  make_readable(files, found)
  found.outputs = outputs_of(args)
  if args.refine then take_clicks(run.list[1], found.clicks[1]) end
  for k, result in ipairs(args.truth and found.results or {}) do
    result.truth = agreement.of(found.masks(k), agreement.truth_of(run, k), run.spacing)
  end
  for k, prompt in ipairs(run.list) do
    if prompt.only then prompt.marks = marks_of(prompt, found.carried[k] or {}, run.slices) end
  end
  if args.profile then
    local how = { repetitions = job.profile, image = run.image ~= nil }
    found.profiled = profile.make(folder, profile.measured(found.lines), how)
  end
  if args.digest then found.digest = digest_of(files.hashed) end
  local ok, message = pcall(write_files, run, files, found, scratch)
  if not ok then
    if type(message) == "table" and message.msagen then message.msagen = staging:renamed(message.msagen) end
    error(message, 0)
  end
  staging:commit()
  return found
end

return work
