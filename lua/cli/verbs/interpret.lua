-- SPDX-License-Identifier: Apache-2.0
-- msagen interpret CHECKPOINT [options] --image FILE: what every build of a checkpoint must answer, by the naive
-- kernels.
local arithmetic = require "target.arithmetic"
local fail = require "support.fail"
local interpretation = require "run.interpretation"
local image_options = require "cli.image_options"
local options = require "cli.device_options"
local precision = require "compiler.precision"

local verb = {}

function verb.setup(command)
  options.setup(command)
  command:option("--image", "PNG, JPEG, TIFF, DICOM, NIfTI, or NPY (uint8 [H,W,3]; [D,H,W,3] for a volume of the depth "
    .. "asked for).")
    :argname "FILE"
  image_options.setup(command, true)
  require("cli.prompt_options").setup(command)
  command:option("--out",
    "A folder for embedding.npy, prompt_K.logits.npy and prompt_K.iou.npy, as of run."):argname "DIR"
  command:flag("--digest", "Print the SHA-256 over the embedding and all logits, as run does.")
  command:flag("--layers", "Print how far each layer of lower precision is from float32: by itself, on the same "
    .. "inputs, and after all before it; of the first slice and prompt.")
  command:flag("--float64",
    "Compute all of it in double precision: no build has this digest, but the results show what float32 rounds.")
end

-- How far each layer of lower precision is from float32, of the first slice and prompt.
local function show_layers(it, list, image, model)
  local layer_errors, layout = require "run.layer_errors", require "support.layout"
  local terminal = require "support.terminal"
  local layers, ends = layer_errors.of(it, function()
    it:encode(image)
    local results = { { "embedding", it.embedding } }
    if list[1] then
      results[2] = { "logits", (it:decode(0, interpretation.prompt(list[1], 1, 4 * model.grid))) }
    end
    return results
  end)
  local rows = layer_errors.rows(layers, ends)
  io.stdout:write(table.concat(layout.table(rows, { width = terminal.columns(), right = { [3] = true, [4] = true },
    paint = terminal.painter(1) }), "\n"), "\n")
end

local function usage(text)
  require("support.terminal").say("error", text .. "; see msagen interpret --help")
  return 2
end

local function write(folder, results)
  local sys, npy = require "msagen.sys", require "msagen.npy"
  sys.mkdir_p(folder)
  for _, one in ipairs(results) do npy.write(("%s/%s.npy"):format(folder, one[1]), one[2]) end
end

-- What is asked for, of the device that is asked for.
local function interpret(args, device)
  local prompts = require "run.prompts"
  local models, _, _, board = require("compiler.compiler").models(device, args.input or "device")
  if #models > 1 then fail("--bank: expected one checkpoint to interpret, found %d", #models) end
  local model = models[1]
  local image = require("run.inputs").image(args.image, model.depth, image_options.read(args, device.prepare))
  if image.shape[1] ~= model.depth then
    fail("%s: image: expected a volume of %d slices, the depth asked for, found %d", args.image, model.depth,
      image.shape[1])
  end
  local list = args.prompts and prompts.from_file(args.prompts, model.depth) or prompts.from_options(args)
  local known = { places = model.places, best_of_several = model.best_of_several,
    max_points = require("networks.tokens").MAX_POINTS, grid = model.grid,
    texts = model.texts and model.texts.names or {} }
  for _, prompt in ipairs(list) do prompts.check(prompt, image.shape[3], image.shape[2], model.depth, known) end
  local chosen = precision.of(device, args.input)
  if args.layers and not chosen:lowers() then
    fail("--layers: expected --precision bf16 or int8, or a script with layer_precision, found f32 alone")
  end
  local class = args.float64 and "float64" or arithmetic.class(board, chosen:name())
  local it = interpretation.of(model, class, nil, device)
  if args.layers then show_layers(it, list, image, model) end
  if not args.out and not args.digest then return 0 end
  local show, finish = require "cli.progress"()
  local results = it:results(list, image, show)
  finish()
  if args.out then write(args.out, results) end
  if args.digest then print("digest " .. interpretation.digest(results)) end
  return 0
end

function verb.run(args)
  local devices, problem = options.devices(args)
  if not devices then return usage(problem) end
  if not args.image then return usage "--image: expected a file, found none" end
  if args.window and args.prepare then return usage "--window: expected instead of --prepare, found both" end
  if not args.out and not args.digest and not args.layers then
    return usage "expected --digest, --out or --layers, found none"
  end
  if #devices > 1 then fail("%s: expected one device, found %d", args.input, #devices) end
  return interpretation.in_class(args.float64 and "float64", interpret, args, devices[1].device)
end

return verb
