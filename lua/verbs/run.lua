-- SPDX-License-Identifier: Apache-2.0
-- msagen run DIR [options]: run what was built on an image, on this computer or under the board's emulator.
local fail = require "fail"
local profile = require "run.profile"

local verb = {}

-- Numbers as people write them; NaN and infinity are numbers here, and outside every image.
local function number(text)
  local word = text:lower():match "^[+-]?(%a+)$"
  if word == "nan" then return -(0 / 0) end
  if word == "inf" or word == "infinity" then return text:sub(1, 1) == "-" and -math.huge or math.huge end
  if not text:match "^[+-]?%.?%d[%d.]*[eE]?[+-]?%d*$" then return nil end
  return tonumber(text)
end

local function number_list(text, least, most, expected)
  local list = {}
  for piece in (text .. ","):gmatch "([^,]*)," do
    list[#list + 1] = number(piece)
    if not list[#list] or #list > most then return nil, ("expected %s, found %s"):format(expected, text) end
  end
  local _, commas = text:gsub(",", "")
  if #list ~= commas + 1 or #list < least then return nil, ("expected %s, found %s"):format(expected, text) end
  return list
end

local function a_point(text) return number_list(text, 2, 3, "--point X,Y or --point X,Y,LABEL") end
local function a_box(text) return number_list(text, 4, 4, "--box X0,Y0,X1,Y1") end
local function whole(option, least, most)
  return function(text)
    local n = math.tointeger(tonumber(text))
    if not n or n < least or n > most then return nil, ("expected %s with a whole number from %d to %d, found %s"):format(option, least, most, text) end
    return n
  end
end

function verb.setup(command)
  command:argument("dir", "A folder that `msagen build` wrote."):argname "DIR"
  command:option("--image", "PNG, JPEG, or NPY (uint8 [H,W,3]; [N,H,W,3] for a volume, run in pieces of the depth built for)."):argname "FILE"
  command:option("--point", "A point in pixels of the image; label 1 (default) inside, 0 outside."):argname "X,Y[,LABEL]":count "*":convert(a_point)
  command:option("--box", "A box, corners in pixels of the image."):argname "X0,Y0,X1,Y1":convert(a_box)
  command:option("--text", "A text prompt by its name, where the folder was built with --text-prompts."):argname "NAME"
  command:option("--mask-in", "Logits of an earlier result as a prompt."):argname "FILE.npy"
  command:flag("--multimask", "Ask for three masks rather than one.")
  command:option("--prompts", "Prompts as a JSON array, instead of the five options above; a file, or a pipe that is read to its end."):argname "FILE.json"
  command:option("--bank", "The target, where the folder was built with several; default: the first."):argname "NAME"
  command:option("--truth", "The expert's mask at the image's size, inside where it is over 127: --refine clicks where the model's differs."):argname "MASK.png"
  command:option("--refine", "Click N times: first at random inside the truth, then at the deepest point of the largest error, each time with the logits before; print the Dice after each."):argname "N":convert(whole("--refine", 1, 1000))
  command:option("--seed", "Chooses the first click of --refine, default 0."):argname "S":convert(whole("--seed", 0, math.maxinteger))
  command:option("--out", "A folder for embedding.npy, prompt_K.logits.npy and prompt_K.iou.npy."):argname "DIR"
  command:option("--mask-out", "The first prompt's best mask, 0 or 255, at the image's size; of a volume an NPY."):argname "FILE.png"
  command:option("--overlay-out", "The image with that mask, its contour and the prompt drawn into it."):argname "FILE.png"
  command:option("--resized-out", "The image as the model gets it, uint8 [N,S,S,3]."):argname "FILE.npy"
  command:option("--upsampled-out", "The first prompt's logits at the image's size, float32 [N,M,H,W]."):argname "FILE.npy"
  command:flag("--modified", "Run a folder whose generated files somebody changed.")
  command:flag("--digest", "Print the SHA-256 over the embedding and all logits.")
  command:option("--bench", "Print times (medians of N), memory and multiply-adds."):argname "N":convert(whole("--bench", 1, 1000000))
  command:option("--profile", "Print time, multiply-adds, % of this core's peak, bytes and roofline bound of every layer, and write them to a file; medians of 3 or of --bench's N."):argname "FILE.json"
end

local IMAGE, SYNTHETIC, EMBEDDING, PROMPT, LOGITS, IOU, MASK, UPSAMPLED, RESIZED, BENCH, PROGRESS, PIECE, REFINE, BANK, PROFILE = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16
local PROFILE_REPETITIONS = 3 -- where --bench gives no number
local NPY_HEADER = 128 -- of the files that the runner writes
local MAX_SIDE = 16384
local MAX_SLICES = 65536

local function usage(format, ...)
  io.stderr:write("msagen: ", format:format(...), "; see msagen run --help\n")
  return 2
end

local function npy_dtype(t) return ("%s [%s]"):format(t.dtype, table.concat(t.shape, ",")) end

-- Any image file as a tensor u8 [N,H,W,3], of at least `depth` slices.
local function read_image(path, depth)
  local t = require("msagen.sys").read_start(path, 6) == "\x93NUMPY" and require("msagen.npy").read(path) or require("msagen.image").read(path)
  local shape = t.shape
  if t.dtype ~= "u8" or shape[#shape] ~= 3 or not (#shape == 3 and depth == 1 or #shape == 4) then
    fail("%s: image: expected %s, found %s", path, depth == 1 and "uint8 [H,W,3] or [N,H,W,3]" or ("uint8 [N,H,W,3] of %d slices or more"):format(depth), npy_dtype(t))
  end
  local slices = #shape == 3 and 1 or shape[1]
  if slices < depth or slices > MAX_SLICES then
    fail("%s: image: expected a volume of %d slices, the depth built for, or more (up to %d), found %d", path, depth, MAX_SLICES, slices)
  end
  local height, width = shape[#shape - 2], shape[#shape - 1]
  if height < 1 or width < 1 or height > MAX_SIDE or width > MAX_SIDE then
    fail("%s: image: expected 1 to %d pixels a side, found %dx%d", path, MAX_SIDE, width, height)
  end
  return t:reshape { slices, height, width, 3 }
end

-- The truth of --refine as bytes [H,W].
local function read_truth(path, image)
  local t = require("msagen.image").read(path)
  local height, width = t.shape[1], t.shape[2]
  if height ~= image.shape[2] or width ~= image.shape[3] then
    fail("%s: truth: expected the image's size, %dx%d, found %dx%d", path, image.shape[3], image.shape[2], width, height)
  end
  t = t:slice(3, 0, 1):reshape { height, width }
  if not t:tobytes():find "[\x80-\xff]" then fail("%s: truth: expected a mask with something inside, found no pixel over 127", path) end
  return t
end

-- A volume of N slices as pieces of D: { first =, keep = }. Results are of the last piece wherever it reaches, so one before keeps less.
local function pieces_of(slices, depth)
  local pieces = {}
  for first = 0, slices - depth, depth do pieces[#pieces + 1] = { first = first, keep = depth } end
  local rest = slices % depth
  if rest > 0 then
    pieces[#pieces].keep = rest
    pieces[#pieces + 1] = { first = slices - depth, keep = depth }
  end
  return pieces
end

local function command(what, rest)
  return string.pack("<I4I4", what, #rest) .. rest .. ("\0"):rep(-#rest % 4)
end

local function feed(hash, path)
  local file = assert(io.open(path, "rb"))
  file:seek("set", NPY_HEADER)
  for piece in function() return file:read(1048576) end do hash:update(piece) end
  file:close()
end

-- The sheet of all slices' overlays is a picture too, about square.
local function check_sheet(path, shape)
  local slices, height, width = shape[1], shape[2], shape[3]
  local columns = math.ceil(math.sqrt(slices))
  if columns * width > MAX_SIDE or (slices + columns - 1) // columns * height > MAX_SIDE then
    fail("--overlay-out %s: expected a sheet of at most %d pixels a side, found %d slices of %dx%d", path, MAX_SIDE, slices, width, height)
  end
end

local function write_overlay(path, image, mask_path, prompt)
  local prompts, tensor = require "run.prompts", require("msagen.npy").read(mask_path)
  local marks = {}
  for s = 1, image.shape[1] do
    marks[s] = { points = prompts.slice(prompt, "points", s), labels = prompts.slice(prompt, "labels", s), box = prompts.slice(prompt, "box", s) }
  end
  require("msagen.image").write_png(path, require("msagen.overlay").draw(image, tensor, marks))
end

-- What is said of each prompt's result, from the runner's lines; each piece tells of all prompts anew.
local function read_results(lines)
  local results, times, clicks, result = {}, {}, {}, nil
  for _, line in ipairs(lines) do
    local k, masks = line:match "^prompt (%d+) masks (%d+)$"
    local best, iou = line:match "^best (%d+) (%S+)$"
    local name, ms = line:match "^(%a+_ms) (%S+)$"
    local x, y, label, both, sum = line:match "^click (%d+) (%d+) (%d+) (%d+) (%d+)$"
    if masks then
      k = math.tointeger(k) + 1
      result = results[k] or { masks = math.tointeger(masks), best = {}, iou = {} }
      results[k] = result
    elseif best then
      result.best[#result.best + 1], result.iou[#result.iou + 1] = math.tointeger(best), tonumber(iou)
    elseif name then times[name] = ms
    elseif x then clicks[#clicks + 1] = { tonumber(x), tonumber(y), label = tonumber(label), dice = 2 * tonumber(both) / tonumber(sum) }
    end
  end
  return results, times, clicks
end

local function report(args, folder, results, times, clicks, digest, profiled)
  -- Where nothing differs any more there is nowhere to click, and nothing changes.
  for k = 1, args.refine or 0 do print(("clicks %d dice %.4f"):format(k, clicks[math.min(k, #clicks)].dice)) end
  if digest then print("digest " .. digest) end
  if args.bench then
    print(("encode_ms %s\ndecode_ms %s"):format(times.encode_ms, times.decode_ms))
    for _, name in ipairs { "arena_bytes", "weights_bytes", "macs_encode", "macs_decode" } do print(("%s %d"):format(name, folder[name])) end
  end
  if profiled then print(profile.text(profiled)) end
  if digest or args.bench or args.refine or profiled then return end
  for k, result in ipairs(results) do
    local iou = {}
    for i, value in ipairs(result.iou) do iou[i] = ("%.4f"):format(value) end
    print(("prompt %d: %d mask%s, highest predicted IoU %s"):format(k - 1, result.masks, result.masks == 1 and "" or "s", table.concat(iou, " ")))
  end
end

local function perform(args, folder, image, list, truth, staging, scratch)
  local prompts, sys = require "run.prompts", require "msagen.sys"
  local request = { "MSARUN4\n" }
  local function ask(what, rest) request[#request + 1] = command(what, rest or "") end

  -- Where everything goes is settled before the work begins.
  local function file(option) return args[option] and staging:file(args[option]) end
  local function kept(name) return args.out and staging:file(args.out .. "/" .. name) or scratch .. "/" .. name end
  local outputs, logits, iou, hashed = {}, {}, {}, {}
  outputs.resized, outputs.upsampled = file "resized_out", file "upsampled_out"
  outputs.mask, outputs.overlay = file "mask_out", file "overlay_out"
  outputs.profile = file "profile"
  local volume = image and image.shape[1] > 1
  local raw_mask = (outputs.mask or outputs.overlay) and (volume and outputs.mask or scratch .. "/mask.npy")

  if folder.bank then ask(BANK, string.pack("<I4", folder.bank)) end
  if sys.isatty(2) then
    local layers = 0
    for _, layer in ipairs(type(folder.layers) == "table" and folder.layers or {}) do
      if layer.phase == "encode" then layers = layers + 1 end
    end
    ask(PROGRESS, string.pack("<I4", layers))
  end
  if image then
    local raw, shape = scratch .. "/image.npy", image.shape
    require("msagen.npy").write(raw, image)
    ask(IMAGE, string.pack("<I4I4I4I8", shape[3], shape[2], shape[1], sys.size(raw) - image:numel()) .. raw)
  else
    ask(SYNTHETIC)
  end
  local truth_file = truth and scratch .. "/truth.npy"
  if truth then require("msagen.npy").write(truth_file, truth) end
  if args.out or args.digest then
    outputs.embedding = kept "embedding.npy"
    hashed[1] = outputs.embedding
    for k = 1, #list do
      logits[k] = kept(("prompt_%d.logits.npy"):format(k - 1))
      hashed[k + 1] = logits[k]
      iou[k] = args.out and kept(("prompt_%d.iou.npy"):format(k - 1))
    end
  end
  for _, piece in ipairs(image and pieces_of(image.shape[1], folder.depth) or {}) do
    ask(PIECE, string.pack("<I4I4", piece.first, piece.keep))
    if outputs.resized then ask(RESIZED, outputs.resized) end
    if outputs.embedding then ask(EMBEDDING, outputs.embedding) end
    for k, prompt in ipairs(list) do
      if truth then ask(REFINE, string.pack("<I4I4I4I8I8", prompts.flags(prompt), args.refine, prompt.text_index or 0, args.seed or 0, sys.size(truth_file) - truth:numel()) .. truth_file)
      else ask(PROMPT, prompts.pack(prompt, piece.first, folder.depth)) end
      if logits[k] then ask(LOGITS, logits[k]) end
      if iou[k] then ask(IOU, iou[k]) end
      if k == 1 and raw_mask then ask(MASK, raw_mask) end
      if k == 1 and outputs.upsampled then ask(UPSAMPLED, outputs.upsampled) end
    end
  end
  local repetitions = args.bench or PROFILE_REPETITIONS
  if args.profile then
    local phases = profile.phases(folder)
    ask(PROFILE, string.pack("<I4I4I4I4I4", repetitions, #phases.encode, #phases.decode, (folder.cores or 1) > 1 and 1 or 0, profile.khz(folder)))
  elseif args.bench then ask(BENCH, string.pack("<I4", args.bench))
  end

  sys.write_file(scratch .. "/request", table.concat(request))
  local lines = folder:perform(scratch .. "/request", scratch .. "/response", function(text) return staging:renamed(text) end)
  local results, times, clicks = read_results(lines)

  if truth then
    list[1].points, list[1].labels = { {} }, { {} }
    for k, click in ipairs(clicks) do list[1].points[1][k], list[1].labels[1][k] = { click[1], click[2] }, click.label end
  end
  local digest, profiled
  if args.profile then
    profiled = profile.make(folder, profile.measured(lines), { repetitions = repetitions, image = image ~= nil })
  end
  if args.digest then
    local hash = require("msagen.sha256").new()
    for _, path in ipairs(hashed) do feed(hash, path) end
    digest = hash:hex()
  end
  local ok, message = pcall(function()
    if outputs.mask and not volume then
      local mask = require("msagen.npy").read(raw_mask)
      require("msagen.image").write_png(outputs.mask, mask:reshape { mask.shape[2], mask.shape[3] })
    end
    if outputs.overlay then write_overlay(outputs.overlay, image, raw_mask, list[1]) end
    if profiled then sys.write_file(outputs.profile, require("msagen.json").encode(profiled, { indent = 1 }) .. "\n") end
  end)
  if not ok then
    if type(message) == "table" and message.msagen then message.msagen = staging:renamed(message.msagen) end
    error(message, 0)
  end
  staging:commit()
  report(args, folder, results, times, clicks, digest, profiled)
end

function verb.run(args)
  local alone = #args.point > 0 and "--point" or args.box and "--box" or args.mask_in and "--mask-in"
  local given = args.prompts and "--prompts" or alone
  alone = alone or args.text and "--text" or args.multimask and "--multimask"
  if args.prompts and alone then return usage("--prompts: expected instead of %s, found both", alone) end
  for _, option in ipairs { "truth", "refine" } do
    local other = option == "truth" and "refine" or "truth"
    if args[option] and not args[other] then return usage("--%s: expected with --%s, found without", option, other) end
  end
  if args.seed and not args.refine then return usage "--seed: expected with --refine, found without" end
  if args.refine and given then return usage("--refine: expected instead of %s, found both", given) end
  if not args.image and not args.bench and not args.profile then return usage "--image: expected a file (only --bench and --profile go without), found none" end
  local sys = require "msagen.sys"
  local folder = require("run.folder").open(args.dir)
  local prompts = require "run.prompts"
  if args.bank then
    local names = {}
    for i, bank in ipairs(folder.banks) do names[i] = bank.name end
    folder.bank = prompts.named(args.bank, names, "--bank", "--bank")
  end
  local image = args.image and read_image(args.image, folder.depth)
  local slices = image and image.shape[1] or folder.depth
  local list = args.prompts and prompts.from_file(args.prompts, slices) or prompts.from_options(args)
  if args.refine then list[1] = { multimask = args.multimask, text = args.text } end
  for _, option in ipairs { "mask_out", "overlay_out", "upsampled_out" } do
    local name = "--" .. option:gsub("_", "-")
    if args[option] and #list == 0 then fail("%s: expected a prompt (--point, --box, --mask-in, --text, --prompts or --refine), found none", name) end
  end
  if not args.image then
    for _, option in ipairs { "point", "box", "text", "mask_in", "prompts", "truth", "out", "resized_out", "digest" } do
      local given = args[option]
      if given and not (option == "point" and #given == 0) then return usage("--%s: expected with --image, found without", (option:gsub("_", "-"))) end
    end
  end
  if slices > 1 and args.mask_out and args.mask_out:lower():match "%.png$" then
    fail("--mask-out %s: expected the name of an NPY file, as the masks of a volume are, found a PNG", args.mask_out)
  end

  for _, prompt in ipairs(image and list or {}) do prompts.check(prompt, image.shape[3], image.shape[2], slices, folder) end
  local truth
  if args.refine and image then
    if slices > 1 then fail("--refine: expected one image, found a volume of %d slices", slices) end
    if args.refine > folder.max_points then fail("--refine: expected at most %d clicks, found %d", folder.max_points, args.refine) end
    truth = read_truth(args.truth, image)
  end
  if image and args.overlay_out then check_sheet(args.overlay_out, image.shape) end

  if args.profile then profile.phases(folder) end -- refused before the work, if at all
  folder:compile(args.modified)
  local base = os.getenv "TMPDIR" or "/tmp"
  local scratch = sys.mkdtemp(base, "msagen-run-")
  local staging = require("run.staging").new()
  local ok, message = pcall(perform, args, folder, image, list, truth, staging, scratch)
  staging:close()
  sys.remove_tree(scratch)
  sys.keep(scratch)
  if not ok then error(message, 0) end
  return 0
end

return verb
