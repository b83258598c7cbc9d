-- SPDX-License-Identifier: Apache-2.0
--- The run of a front end: samples from a NumPy file, envelope, grey levels and picture to files.
local fail = require "support.fail"
local samples = require "signal.samples"
local sha256 = require "msagen.sha256"
local sys = require "msagen.sys"
local tensor = require "msagen.tensor"

local front = {}

local STATUS = { [34] = "no round field of view in it" } -- MSA_E_FIELD

--- The options of a run that are a front end's.
front.OPTIONS = { "samples", "at_a_time", "envelope_out", "grey_out", "bmode_out" }

-- The shape of a frame's file.
local function shape_of(folder)
  local p = folder.frontend
  if p.type == "int12" then return { folder.lines, folder.line_bytes } end
  if p.kind == "fundus" then
    return p.format == "rgb" and { p.height, p.width, 3 } or { p.height, p.width }
  end
  if p.format == "iq" then return { folder.lines, p.samples, 2 } end
  return { folder.lines, p.samples }
end

local function shape_text(shape) return "[" .. table.concat(shape, ",") .. "]" end

--- The frames of a file. @return bytes, how many frames
function front.read(path, folder)
  local t = require("msagen.npy").read(path)
  local wanted, shape = shape_of(folder), t.shape
  local dtype = samples.of[folder.frontend.type].dtype
  local frames = #shape == #wanted + 1 and shape[1] or 1
  local same = #shape == #wanted + (#shape > #wanted and 1 or 0)
  for i, n in ipairs(wanted) do same = same and shape[#shape - #wanted + i] == n end
  if not same or frames < 1 then
    fail("%s: expected a frame %s, or several [N,...], found %s", path, shape_text(wanted), shape_text(shape))
  end
  if t.dtype ~= dtype then
    fail("%s: expected %s (%s), found %s", path, dtype, samples.of[folder.frontend.type].what, t.dtype)
  end
  return t:tobytes(), frames
end

local function numbers_of(folder) return folder.frame_depth and folder.lines * folder.frame_depth or 0 end

-- What a test bench wrote of a frame (runtime/runner/msa_run_front.h) from a place of a text on. @return it, the place
-- behind it
local function frame_of(folder, text, at)
  local found = { times = {} }
  local function take(count)
    local piece = text:sub(at, at + count - 1)
    at = at + count
    return piece
  end
  local floats = 4 * numbers_of(folder)
  if folder.envelope then found.envelope = take(floats) end
  if floats > 0 then found.grey = take(floats) end
  if folder.picture then
    found.width, found.height, found.x, found.y = string.unpack("<I4I4i4i4", take(16))
    found.picture = take(found.width * found.height * folder.picture.channels)
  end
  return found, at
end

--- Have the runner take frames. @param folder that is compiled @param options { at_a_time, repetitions }
-- @return { envelope, grey = bytes or nil, picture = bytes or nil, times = list of seconds }
function front.perform(folder, bytes, frames, options)
  local scratch = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-run-")
  sys.cleanup(scratch)
  local request, response = scratch .. "/request", scratch .. "/response"
  sys.write_file(request, string.pack("<I4I4I4I4", frames, options.at_a_time or 0, options.repetitions or 0, 0)
    .. bytes)
  local command = folder:command { folder:file(folder.runner), request, response, folder:file(folder.weights) }
  command.stdin, command.stdout, command.stderr = "/dev/null", "capture", "capture"
  local code, said = sys.spawn(command)
  local text = code == 0 and sys.read_file(response) or ""
  sys.remove_tree(scratch)
  sys.keep(scratch)
  local status = #text >= 8 and string.unpack("<I4", text)
  if status ~= 0 then
    fail("%s: expected a picture, found %s", folder.path, status and (STATUS[status] or "status " .. status)
      or (said or ""):match "([^\n]+)\n*$" or "exit status " .. code)
  end
  local found, at = frame_of(folder, text, 9)
  local count = options.repetitions or 0
  for i = 1, count do found.times[i] = string.unpack("<d", text, at + 8 * (i - 1)) end
  found.steps = {}
  for i = 1, count > 0 and #folder.steps or 0 do
    found.steps[i] = string.unpack("<d", text, at + 8 * (count + i - 1)) / count
  end
  return found
end

local function picture_of(folder, found)
  local shape, channels = { found.height, found.width }, folder.picture.channels
  if channels > 1 then shape[3] = channels end
  return tensor.frombytes(found.picture, "u8", shape)
end

-- Write what was asked for, all or nothing.
local function write(folder, args, found)
  local staging, npy = require("run.staging").new(), require "msagen.npy"
  local ok, message = pcall(function()
    for _, one in ipairs { { "envelope_out", found.envelope }, { "grey_out", found.grey } } do
      if args[one[1]] then
        npy.write(staging:file(args[one[1]]), tensor.frombytes(one[2], "f32", { folder.lines, folder.frame_depth }))
      end
    end
    if args.bmode_out then
      local png = args.bmode_out:match "%.png$"
      local write_it = png and require("msagen.image").write_png or npy.write
      write_it(staging:file(args.bmode_out), picture_of(folder, found))
    end
    staging:commit()
  end)
  staging:close()
  if not ok then error(message, 0) end
end

-- What is asked for and not there.
local function check(folder, args)
  local function lacks(option, what)
    fail("--%s: expected a front end with %s, found one without", (option:gsub("_", "-")), what)
  end
  if args.envelope_out and not folder.envelope then lacks("envelope_out", "an envelope") end
  if args.grey_out and not folder.frame_depth then lacks("grey_out", "grey levels") end
  if args.bmode_out and not folder.picture then lacks("bmode_out", "a picture (image)") end
  if args.bmode_out and not args.bmode_out:match "%.png$" and not args.bmode_out:match "%.npy$" then
    fail("--bmode-out: expected a name that ends in .png or .npy, found %s", args.bmode_out)
  end
end

--- The picture of --samples as the image of a network's run; envelope, grey levels and picture are written as asked.
-- @param shared what images of one command have in common: whether the folder is compiled
-- @return u8 [1,H,W,3], notes, EXIF orientation, input as run/inputs.lua gives it, samples as run/segment.lua takes it
function front.image(args, folder, shared)
  check(folder, args)
  local bytes, frames = front.read(args.samples, folder)
  if not shared.compiled then folder:compile(args.modified) end
  shared.compiled = true
  local scratch = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-samples-")
  sys.cleanup(scratch)
  local samples = { path = scratch .. "/samples", frames = frames, at_a_time = args.at_a_time }
  sys.write_file(samples.path, bytes)
  local response = scratch .. "/frame"
  require("run.segment").perform({ folder = folder, prompts = {}, files = { logits = {}, iou = {}, masks = {} },
    quiet = true, samples = { path = samples.path, frames = frames, at_a_time = args.at_a_time,
      response = response } }, scratch, function(text) return text:gsub(scratch, args.samples) end)
  local found = frame_of(folder, sys.read_file(response), 1)
  write(folder, args, found)
  local rgb = folder.picture.channels == 1 and found.picture:gsub(".", "%0%0%0") or found.picture
  local path = scratch .. "/picture.npy"
  require("msagen.npy").write(path, tensor.frombytes(rgb, "u8", { found.height, found.width, 3 }))
  local picture, notes, turned, input = require("run.inputs").image(path, 1)
  return picture, notes, turned, input, samples
end

--- Run a front end alone. @param folder opened
function front.run(args, folder)
  check(folder, args)
  local bytes, frames = front.read(args.samples, folder)
  folder:compile(args.modified)
  local found = front.perform(folder, bytes, frames, { at_a_time = args.at_a_time, repetitions = args.bench })
  write(folder, args, found)
  local p = folder.picture
  print(("%s: %d frame%s of %d lines%s"):format(args.samples, frames, frames == 1 and "" or "s", folder.lines,
    p and (", picture %d x %d"):format(found.width, found.height) or ""))
  if p and p.whole then
    print(("picture at column %d, row %d of the sensor's %d x %d"):format(found.x, found.y, p.whole[1], p.whole[2]))
  end
  if args.digest then
    print("digest " .. sha256.hex((found.envelope or "") .. (found.grey or "") .. (found.picture or "")))
  end
  if args.bench then
    table.sort(found.times)
    local middle = found.times[(#found.times + 1) // 2]
    print(("frame %.3f ms (median of %d)"):format(middle * 1e3, #found.times))
    for i, step in ipairs(folder.steps) do
      print(("step %d %-12s %.3f ms"):format(i - 1, step.name, found.steps[i] * 1e3))
    end
  end
  return 0
end

return front
