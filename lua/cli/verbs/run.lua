-- SPDX-License-Identifier: Apache-2.0
-- msagen run DIR [options]: run what was built on an image, on this computer or under the board's emulator.
local image_options = require "cli.image_options"
local document = require "run.document"
local images = require "run.images"
local overlays = require "run.overlays"
local said = require "run.said"
local work = require "run.work"

local verb = {}

local whole = require("cli.prompt_options").whole
local function a_style(text) return require("support.closed").member(text, overlays.STYLES, "--overlay") end
local function a_first(text) return require("support.closed").member(text, { "centre", "random" }, "--first") end
local function a_feedback(text) return require("support.closed").member(text, { "none", "logits" }, "--feedback") end

local function a_share(text)
  local x = tonumber(text)
  if x and x >= 0 and x <= 1 then return x end
  return nil, ("expected a number from 0 to 1, found %s"):format(text)
end
-- { mm between slices or false, rows, columns }.
local function a_spacing(text)
  local list, expected = {}, "expected millimetres, ROW,COLUMN or SLICE,ROW,COLUMN, found "
  for word in (text .. ","):gmatch "([^,]*)," do
    local x = word:match "^[%d.]+$" and tonumber(word)
    if not x or x < 1e-6 or x > 1e6 or #list == 3 then return nil, expected .. text end
    list[#list + 1] = x
  end
  if #list < 2 then return nil, expected .. text end
  return #list == 2 and { false, list[1], list[2] } or list
end

local function setup_results(command)
  local function option(name, argname, description) return command:option(name, description):argname(argname) end
  option("--out", "DIR", "A folder for embedding.npy, prompt_K.logits.npy and prompt_K.iou.npy. What an earlier run "
    .. "left there is replaced.")
  option("--mask-out", "FILE.png|.npy|.nii|.nii.gz", "The first prompt's best mask on the image's own grid: 0 or 255; "
    .. "in NIfTI 0 or 1, with the place in the patient that the image has. Of a volume no PNG.")
  option("--labels-out", "FILE.png|.npy|.nii|.nii.gz", "A label map: prompt K, from 0, as the value K + 1, or its "
    .. "class; later ones over earlier ones. Of a model with several classes these.")
  option("--overlay-out", "FILE.png", "The image with all masks, their contours, the prompts and the truth drawn into "
    .. "it; small images are enlarged.")
  option("--overlay", "contour|fill|both", "What is drawn of masks, default both."):convert(a_style)
  option("--opacity", "0..1", ("How opaque masks are filled, default %.14g."):format(overlays.OPACITY))
    :convert(a_share)
  option("--report-out", "FILE.html", "A page for people, in one file: the picture, a table, the build's memory and "
    .. "layers; times with --profile.")
  option("--resized-out", "FILE.npy", "The image as the model gets it, uint8 [N,S,S,3].")
  option("--upsampled-out", "FILE.npy", "The first prompt's logits at the image's size, float32 [N,M,H,W].")
  option("--envelope-out", "FILE.npy", "Of the last frame of --samples: the envelope, float32 [lines,depth].")
  option("--grey-out", "FILE.npy", "Its grey levels, 0 to 255, not rounded, float32 [lines,depth].")
  option("--bmode-out", "FILE.png|.npy", "Its picture, uint8.")
  command:flag("--json", "Print one JSON document: of each image and prompt area, extent, centroid, contours, IoU and "
    .. "more (docs/run.md).")
end

function verb.setup(command)
  command:argument("dir", "A folder that `msagen build` wrote."):argname "DIR"
  local function option(name, argname, description) return command:option(name, description):argname(argname) end
  option("--image", "FILE", "PNG, JPEG, TIFF, DICOM (a file, or a folder that is one series), NIfTI, or NPY (uint8 "
    .. "[H,W,3]; [N,H,W,3] for a volume, run in subvolumes of the depth built for). May be repeated, or a folder of "
    .. "images: results then go to folders, or to names with {name} in them."):count "*"
  image_options.setup(command)
  require("cli.prompt_options").setup(command)
  option("--samples", "FILE.npy", "A frame as the device's front end takes it, where DIR was built with one: lines "
    .. "of samples, or several frames one after the other.")
  option("--at-a-time", "N", "Lines of --samples that are handed over at a time. Default: whole frames.")
    :convert(whole(1, 65535))
  option("--click-slice", "K", "The slice of a volume, from 0, that --point and --box are on; the others have an empty "
    .. "mask."):convert(whole(0, 65535))
  command:flag("--propagate", "Carry prompts of one slice on to the slices beside it, by a click in the middle of each "
    .. "mask found.")
  option("--propagate-least", "0..1", ("Where that ends: at a mask of less than so much of the first one's pixels, "
    .. "default %.14g."):format(work.LEAST)):convert(a_share)
  option("--spacing", "[MM,]MM,MM", "Millimetres between slices, rows and columns, where the image does not tell.")
    :convert(a_spacing)
  option("--bank", "NAME", "The target, where the folder was built with several; default: the first.")
  option("--truth", "MASK", "The expert's mask at the image's size: print Dice, IoU and HD95 of each result. PNG, JPEG "
    .. "or NPY: black and white, 0 and one other value, or one colour on black.")
  option("--truth-inside", "VALUE", "What is inside in a mask of several labels: a value V, values V..W, a colour "
    .. "R,G,B, or any (but 0 and black). May be repeated."):count "*":convert(require("run.truth").inside)
  option("--refine", "N", "Click N times: at the deepest point of the truth's largest region, then of the largest "
    .. "error; print the Dice after each click. Outputs hold the best step."):convert(whole(1, 1000))
  option("--first", "centre|random", "Where --refine clicks first: at the deepest point (default), or anywhere inside "
    .. "the truth."):convert(a_first)
  option("--feedback", "none|logits", "Whether each click of --refine comes with the logits before as a mask prompt. "
    .. "Default: as the dialect's program trained."):convert(a_feedback)
  option("--seed", "S", "Chooses the click of --first random, default 0."):convert(whole(0, math.maxinteger))
  setup_results(command)
  command:flag("--modified", "Run a folder whose generated files somebody changed.")
  command:flag("--digest", "Print the SHA-256 over the embedding and all logits.")
  option("--bench", "N", "Print times (medians of N), memory and multiply-adds."):convert(whole(1, 1000000))
  option("--profile", "FILE.json", "Print time, multiply-adds, % of this core's peak, bytes and roofline bound of "
    .. "every layer, and write them to a file; medians of 3 or of --bench's N.")
end

local function usage(format, ...)
  io.stderr:write("msagen: ", format:format(...), "; see msagen run --help\n")
  return 2
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
  if args.click_slice and args.prompts then
    return "--click-slice: expected without --prompts (whose prompts have a slice), found both"
  end
  if args.click_slice and not alone then return "--click-slice: expected with --point or --box, found without" end
  if args.propagate and not given then return "--propagate: expected with a prompt, found without" end
  if args.propagate_least and not args.propagate then
    return "--propagate-least: expected with --propagate, found without"
  end
  for _, option in ipairs { "overlay", "opacity" } do
    if args[option] and not args.overlay_out and not args.report_out then
      return found("--%s: expected with --overlay-out or --report-out, found without", option)
    end
  end
  if args.opacity and args.overlay == "contour" then
    return "--opacity: expected with --overlay fill or both, found contour"
  end
  if not args.image[1] and not args.bench and not args.profile then
    return "--image: expected a file (only --bench and --profile go without), found none"
  end
end


-- What needs an image.
local OF_IMAGES = { "point", "box", "text", "mask_in", "prompts", "truth", "out", "labels_out", "resized_out", "digest",
  "json", "spacing", "report_out" }

local function missing_image(args)
  for _, option in ipairs(args.image[1] and {} or OF_IMAGES) do
    local given = args[option]
    if given and not (option == "point" and #given == 0) then
      return ("--%s: expected with --image, found without"):format((option:gsub("_", "-")))
    end
  end
end

-- What needs a network.
local OF_NETWORKS = { "image", "point", "box", "text", "mask_in", "multimask", "one_mask", "prompts", "click_slice",
  "propagate", "propagate_least", "spacing", "bank", "truth", "truth_inside", "refine", "first", "feedback", "seed",
  "out", "mask_out", "labels_out", "overlay_out", "overlay", "opacity", "report_out", "resized_out", "upsampled_out",
  "json", "profile", "image_bits", "frame", "slice", "axis", "prepare", "window" }

local ENDINGS = { out = "", mask_out = false, labels_out = false, overlay_out = ".png", resized_out = ".npy",
  upsampled_out = ".npy", profile = ".json", report_out = ".html" }

-- The options of one image of several: where its results go.
local function results_of(args, image, several)
  local own = setmetatable({ image = image.path, name = image.name }, { __index = args })
  for option, ending in pairs(ENDINGS) do
    local name = "--" .. option:gsub("_", "-")
    local end_of = ending or images.mask_ending(image)
    if args[option] then own[option] = images.output(name, args[option], image, several, end_of) end
  end
  return own
end

-- And what belongs to it.
local function of_image(args, image, several)
  local own = results_of(args, image, several)
  for _, option in ipairs { "truth", "prompts", "mask_in" } do
    local name = "--" .. option:gsub("_", "-")
    if args[option] then own[option] = images.input(name, args[option], image) end
  end
  return own
end

local function opened(args)
  local folder = require("run.folder").open(args.dir, args.samples ~= nil)
  if args.bank then
    local names = {}
    for i, bank in ipairs(folder.banks) do names[i] = bank.name end
    folder.bank = require("run.prompts").named(args.bank, names, "--bank", "--bank")
  end
  return folder
end

-- Prepared, compiled where nothing was yet, segmented, said.
local function run_one(args, folder, shared)
  local sys, run = require "msagen.sys", work.prepare(args, folder, shared)
  if not shared.compiled then folder:compile(args.modified) end
  shared.compiled = true
  local scratch = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-run-")
  run.staging = require("run.staging").new()
  local found
  local ok, message = pcall(function()
    found = work.perform(run, scratch)
    if args.json then shared.found[#shared.found + 1] = document.image(run, found) else said.report(run, found) end
  end)
  run.staging:close()
  sys.remove_tree(scratch)
  sys.keep(scratch)
  if not ok then error(message, 0) end
  for _, note in ipairs(run.all_notes) do io.stderr:write(("msagen: %s\n"):format(note)) end
end

-- What a front end alone has no use for.
local function front_contradiction(args)
  for _, option in ipairs(OF_NETWORKS) do
    local given = args[option]
    if given and not (type(given) == "table" and #given == 0) then
      return ("--%s: expected with a network, found a front end alone"):format((option:gsub("_", "-")))
    end
  end
end

-- Of a front end alone. @return its status
local function run_front(args, folder)
  local problem = front_contradiction(args)
  if problem then return usage("%s", problem) end
  return require("run.front").run(args, folder)
end

-- Of a front end and the network behind it: its picture is the image.
local function run_samples(args, folder)
  if not folder.frontend then
    require("support.fail")("--samples: expected a folder that was built with a front end, found one without")
  end
  if #args.image > 0 then return usage "--samples: expected instead of --image, found both" end
  args = setmetatable({ image = { args.samples } }, { __index = args })
  local problem = contradiction(args)
  if problem then return usage("%s", problem) end
  local shared = { inputs = { args.samples }, used = {}, found = {} }
  run_one(setmetatable({ image = args.samples }, { __index = args }), folder, shared)
  if args.json then io.stdout:write(document.text(folder, shared.found, 0)) end
  return 0
end

function verb.run(args)
  for _, option in ipairs(args.samples and {} or require("run.front").OPTIONS) do
    if args[option] then
      return usage("--%s: expected with --samples, found without", (option:gsub("_", "-")))
    end
  end
  if args.samples then
    local folder = opened(args)
    if folder.kind == "front end" then return run_front(args, folder) end
    return run_samples(args, folder)
  end
  args = setmetatable({ image = type(args.image) == "table" and args.image or { args.image } }, { __index = args })
  local problem = contradiction(args) or missing_image(args)
  if problem then return usage("%s", problem) end
  local list, several = images.list(args.image)
  local shared = { inputs = args.image, used = {}, found = {} }
  local folder, status = opened(args), 0
  if #list == 0 then run_one(setmetatable({ image = false }, { __index = args }), folder, shared) end
  for i, image in ipairs(list) do
    shared.inputs[i] = image.path
    results_of(args, image, several) -- what is wrong with these is wrong for all
  end
  for _, image in ipairs(list) do
    if several and not args.json then print(("image %s"):format(image.path)) end
    local ok, message = pcall(function() run_one(of_image(args, image, several), folder, shared) end)
    if not ok then
      local text = type(message) == "table" and message.msagen
      if not text or not several and not args.json then error(message, 0) end
      io.stderr:write(("msagen: %s\n"):format(text))
      shared.found[#shared.found + 1], status = document.failed(image, text), 1
    end
  end
  if args.json then io.stdout:write(document.text(folder, shared.found, status)) end
  return status
end

return verb
