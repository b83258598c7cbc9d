-- SPDX-License-Identifier: Apache-2.0
-- msagen convert INPUT -o FILE [options]: an image file of any format as NPY, PNG or NIfTI.
local convert = require "scans.convert"
local fail = require "support.fail"
local image_options = require "cli.image_options"

local verb = {}

local function one_of(names, option)
  return function(text) return require("support.closed").member(text, names, option) end
end

function verb.setup(command)
  command:argument("input", "PNG, JPEG, TIFF, DICOM (a file, or a folder that is one series), NIfTI or NPY.")
    :argname "INPUT"
  local function option(name, argname, description) return command:option(name, description):argname(argname) end
  option("-o --output", "FILE", "What to write: .npy ([N,H,W]; one slice [H,W]; colours with a last axis of 3), .png "
    .. "(one slice, 8 or 16 bits), .nii or .nii.gz.")
  option("--values", "stored|modality|grey|rgb|scaled", "As the file has them (default of NPY and NIfTI); what "
    .. "they mean (Hounsfield units); 8 bits as they are shown (default of PNG, and with --prepare); the same as "
    .. "colours; the numbers of --prepare before they become bytes."):convert(one_of(convert.VALUES, "--values"))
  option("--orientation", "file|ras", "The axes of NPY and NIfTI: the file's (default), or to the right, to the front "
    .. "and upwards (x, y, z), nearest to which they are."):convert(one_of(convert.ORIENTATIONS, "--orientation"))
  image_options.setup(command)
end

local function usage(format, ...)
  io.stderr:write("msagen: ", format:format(...), "; see msagen convert --help\n")
  return 2
end

-- The input is not written over, however it is named.
local function check_output(input, path)
  local sys = require "msagen.sys"
  if sys.identity(path) and sys.identity(path) == sys.identity(input) then
    fail("-o %s: expected another file than the one that is read", path)
  end
end

local function default_values(scan, ending, rule)
  if rule or ending == ".png" then return scan.colour and "rgb" or "grey" end
  return "stored"
end

function verb.run(args)
  if not args.output then return usage "-o: expected a file, found none" end
  if args.window and args.prepare then return usage "--window: expected instead of --prepare, found both" end
  local options, ending = image_options.read(args), convert.ending(args.output)
  check_output(args.input, args.output)
  local rule = type(options.rule) == "string" and require("scans.prepare").parse(options.rule) or options.rule
  local scan = require("scans.scan").read(args.input, options)
  local values = args.values or default_values(scan, ending, rule)
  if rule and (values == "stored" or values == "modality") then
    return usage("--prepare: expected with --values grey, rgb or scaled, found %s", values)
  end
  local found = convert.take(scan, { values = values, orientation = args.orientation or "file", slice = args.slice,
    rule = rule })
  convert.write(args.output, found)
  local t = found.values
  print(("%s: %s %s [%s]"):format(args.output, values, t.dtype, table.concat(convert.written(args.output, t), ",")))
  for _, list in ipairs { scan.notes, found.notes } do
    for _, note in ipairs(list) do io.stderr:write(("msagen: %s: %s\n"):format(args.input, note)) end
  end
  return 0
end

return verb
