-- SPDX-License-Identifier: Apache-2.0
-- msagen run DIR [options]: run what was built on an image, on this computer or under the board's emulator.
local fail = require "support.fail"
local inputs = require "run.inputs"
local profile = require "run.profile"
local said = require "run.said"

local verb = {}

local image_options = require "cli.image_options"
local whole = require("cli.prompt_options").whole
local function a_first(text) return require("support.closed").member(text, { "centre", "random" }, "--first") end
local function a_feedback(text) return require("support.closed").member(text, { "none", "logits" }, "--feedback") end

function verb.setup(command)
  command:argument("dir", "A folder that `msagen build` wrote."):argname "DIR"
  local function option(name, argname, description) return command:option(name, description):argname(argname) end
  option("--image", "FILE", "PNG, JPEG, TIFF, DICOM (a file, or a folder that is one series), NIfTI, or NPY (uint8 "
    .. "[H,W,3]; [N,H,W,3] for a volume, run in subvolumes of the depth built for).")
  image_options.setup(command)
  require("cli.prompt_options").setup(command)
  option("--bank", "NAME", "The target, where the folder was built with several; default: the first.")
  option("--truth", "MASK", "The expert's mask at the image's size: print the Dice of each result. PNG, JPEG or NPY: "
    .. "black and white, 0 and one other value, or one colour on black.")
  option("--truth-inside", "VALUE", "What is inside in a mask of several labels: a value V, values V..W, a colour "
    .. "R,G,B, or any (but 0 and black). May be repeated."):count "*":convert(require("run.truth").inside)
  option("--refine", "N", "Click N times: at the deepest point of the truth's largest region, then of the largest "
    .. "error; print the Dice after each click. Outputs hold the best step."):convert(whole(1, 1000))
  option("--first", "centre|random", "Where --refine clicks first: at the deepest point (default), or anywhere inside "
    .. "the truth."):convert(a_first)
  option("--feedback", "none|logits", "Whether each click of --refine comes with the logits before as a mask prompt. "
    .. "Default: as the dialect's program trained."):convert(a_feedback)
  option("--seed", "S", "Chooses the click of --first random, default 0."):convert(whole(0, math.maxinteger))
  option("--out", "DIR", "A folder for embedding.npy, prompt_K.logits.npy and prompt_K.iou.npy. What an earlier run "
    .. "left there is replaced.")
  option("--mask-out", "FILE.png|.npy|.nii|.nii.gz", "The first prompt's best mask on the image's own grid: 0 or 255; "
    .. "in NIfTI 0 or 1, with the place in the patient that the image has. Of a volume no PNG.")
  option("--overlay-out", "FILE.png", "The image with that mask, its contour and the prompt drawn into it.")
  option("--resized-out", "FILE.npy", "The image as the model gets it, uint8 [N,S,S,3].")
  option("--upsampled-out", "FILE.npy", "The first prompt's logits at the image's size, float32 [N,M,H,W].")
  command:flag("--modified", "Run a folder whose generated files somebody changed.")
  command:flag("--digest", "Print the SHA-256 over the embedding and all logits.")
  option("--bench", "N", "Print times (medians of N), memory and multiply-adds."):convert(whole(1, 1000000))
  option("--profile", "FILE.json", "Print time, multiply-adds, % of this core's peak, bytes and roofline bound of "
    .. "every layer, and write them to a file; medians of 3 or of --bench's N.")
end

local PROFILE_REPETITIONS = 3 -- where --bench gives no number
local NPY_HEADER = 128 -- of the files that the runner writes
local function usage(format, ...)
  io.stderr:write("msagen: ", format:format(...), "; see msagen run --help\n")
  return 2
end

local function feed(hash, path)
  local file = assert(io.open(path, "rb"))
  file:seek("set", NPY_HEADER)
  for bytes in function() return file:read(1048576) end do hash:update(bytes) end
  file:close()
end

-- The sheet of all slices' overlays is a picture too, about square.
local function check_sheet(path, shape)
  local slices, height, width = shape[1], shape[2], shape[3]
  local columns = math.ceil(math.sqrt(slices))
  local most = inputs.MAX_SIDE
  if columns * width > most or (slices + columns - 1) // columns * height > most then
    fail("--overlay-out %s: expected a sheet of at most %d pixels a side, found %d slices of %dx%d", path, most, slices,
      width, height)
  end
end

local function write_overlay(path, image, mask_path, prompt)
  local prompts, tensor = require "run.prompts", require("msagen.npy").read(mask_path)
  local marks = {}
  for s = 1, image.shape[1] do
    marks[s] = { numbered = prompt.numbered, points = prompts.slice(prompt, "points", s),
      labels = prompts.slice(prompt, "labels", s), box = prompts.slice(prompt, "box", s) }
  end
  require("msagen.image").write_png(path, require("msagen.overlay").draw(image, tensor, marks))
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
  for _, option in ipairs { "resized_out", "upsampled_out", "mask_out", "overlay_out", "profile" } do
    if args[option] then
      local name = run.inside[option]
      files[option:gsub("_out$", "")] = name and within(name) or staging:file(args[option])
    end
  end
  -- What is the file already the runner writes itself.
  local whole = files.mask and require("run.mask_file").is_raw(args.mask_out, run.image, run.input) and files.mask
  for k = 1, #run.list do
    if run.truth or k == 1 and (files.mask or files.overlay) then
      files.masks[k] = k == 1 and whole or ("%s/mask_%d.npy"):format(scratch, k - 1)
    end
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

-- The picture or array of the mask, the overlay, the profile.
local function write_files(run, files, found)
  if files.mask and files.masks[1] ~= files.mask then
    require("run.mask_file").write(files.mask, run.args.mask_out, require("msagen.npy").read(files.masks[1]), run.input)
  end
  if files.overlay then write_overlay(files.overlay, run.image, files.masks[1], run.list[1]) end
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

local function perform(run, scratch)
  local args, folder, staging = run.args, run.folder, run.staging
  local files = settle(run, scratch)
  local function renamed(text) return staging:renamed(text) end
  local job = { folder = folder, image = run.image, prompts = run.list, files = files, bench = args.bench,
    profile = args.profile and (args.bench or PROFILE_REPETITIONS) or nil }
  if args.refine then
    job.clicks = { { count = args.refine, truth = run.truth, first = args.first, seed = args.seed,
      feedback = run.feedback } }
  end
  local found = require("run.segment").perform(job, scratch, renamed)
  if args.refine then take_clicks(run.list[1], found.clicks[1]) end
  for k, result in ipairs(run.truth and not args.refine and found.results or {}) do
    local both, sum = require("msagen.image").overlap(require("msagen.npy").read(files.masks[k]), run.truth)
    result.dice = sum > 0 and 2 * both / sum or 1
  end
  if args.profile then
    local how = { repetitions = job.profile, image = run.image ~= nil }
    found.profiled = profile.make(folder, profile.measured(found.lines), how)
  end
  if args.digest then
    local hash = require("msagen.sha256").new()
    for _, path in ipairs(files.hashed) do feed(hash, path) end
    found.digest = hash:hex()
  end
  local ok, message = pcall(write_files, run, files, found)
  if not ok then
    if type(message) == "table" and message.msagen then message.msagen = staging:renamed(message.msagen) end
    error(message, 0)
  end
  staging:commit()
  said.report(run, found)
end

-- What options ask for together and cannot have; a usage error's text, or nil.
local function contradiction(args)
  local function found(format, ...) return format:format(...) end
  local alone = #args.point > 0 and "--point" or args.box and "--box" or args.mask_in and "--mask-in"
  local given = args.prompts and "--prompts" or alone
  local several = args.multimask and "--multimask" or args.one_mask and "--one-mask"
  local single = alone or args.text and "--text" or several
  local inside = args.truth_inside and #args.truth_inside > 0
  if args.prompts and single then return found("--prompts: expected instead of %s, found both", single) end
  if args.refine and not args.truth then return "--refine: expected with --truth, found without" end
  if args.truth and not (args.refine or given or args.text) then
    return "--truth: expected with a prompt or --refine, found without"
  end
  for _, option in ipairs { "first", "feedback" } do
    if args[option] and not args.refine then return found("--%s: expected with --refine, found without", option) end
  end
  if args.seed and args.first ~= "random" then return "--seed: expected with --first random, found without" end
  if inside and not args.truth then return "--truth-inside: expected with --truth, found without" end
  if args.refine and given then return found("--refine: expected instead of %s, found both", given) end
  if several and not (args.refine or given or args.text) then
    return found("%s: expected with a prompt or --refine, found without", several)
  end
  if args.multimask and args.one_mask then return "--one-mask: expected without --multimask, found both" end
  local contradiction_of_image = image_options.contradiction(args)
  if contradiction_of_image then return contradiction_of_image end
  if not args.image and not args.bench and not args.profile then
    return "--image: expected a file (only --bench and --profile go without), found none"
  end
end

local function check_prompts(run)
  local args, list = run.args, run.list
  for _, option in ipairs { "mask_out", "overlay_out", "upsampled_out" } do
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

-- Everything that is read and checked before the work.
local function prepare(args)
  local prompts = require "run.prompts"
  local run = { args = args, folder = require("run.folder").open(args.dir) }
  local folder = run.folder
  if args.bank then
    local names = {}
    for i, bank in ipairs(folder.banks) do names[i] = bank.name end
    folder.bank = prompts.named(args.bank, names, "--bank", "--bank")
  end
  if args.image then
    local how = image_options.read(args, folder.prepare)
    run.image, run.notes, run.turned, run.input = inputs.image(args.image, folder.depth, how)
  end
  run.slices = run.image and run.image.shape[1] or folder.depth
  run.list = args.prompts and prompts.from_file(args.prompts, run.slices) or prompts.from_options(args)
  if args.refine then run.list[1] = { multimask = prompts.several(args), text = args.text } end
  check_prompts(run)
  check_refinement(run)
  if args.resized_out and folder.resampling == "sampled" then
    fail("--resized-out: expected a build whose image is resized to bytes, found one that interpolates it in floats")
  end
  run.inside = require("run.outputs").check(args, folder, run.list, run.input and run.input:depth() > 1)
  if args.truth then
    local wanted = args.truth_inside and #args.truth_inside > 0 and args.truth_inside or nil
    run.truth, run.truth_notes = require("run.truth").read(args.truth, run.image, wanted, run.turned, run.input)
  end
  if run.image and args.overlay_out then check_sheet(args.overlay_out, run.image.shape) end
  if args.profile then profile.phases(folder) end
  return run
end

local function say_notes(path, notes)
  for _, note in ipairs(notes or {}) do io.stderr:write(("msagen: %s: %s\n"):format(path, note)) end
end

function verb.run(args)
  local problem = contradiction(args)
  if problem then return usage("%s", problem) end
  if not args.image then
    for _, option in ipairs { "point", "box", "text", "mask_in", "prompts", "truth", "out", "resized_out", "digest" } do
      local given = args[option]
      if given and not (option == "point" and #given == 0) then
        return usage("--%s: expected with --image, found without", (option:gsub("_", "-")))
      end
    end
  end
  local sys, run = require "msagen.sys", prepare(args)
  run.folder:compile(args.modified)
  local scratch = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-run-")
  run.staging = require("run.staging").new()
  local ok, message = pcall(perform, run, scratch)
  run.staging:close()
  sys.remove_tree(scratch)
  sys.keep(scratch)
  if not ok then error(message, 0) end
  say_notes(args.image, run.notes)
  say_notes(args.truth, run.truth_notes)
  return 0
end

return verb
