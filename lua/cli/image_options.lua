-- SPDX-License-Identifier: Apache-2.0
--- How an image file is read and made a picture: options that `run`, `interpret`, `evaluate` and `convert` share;
-- lua/run/inputs.lua does it.
local whole = require("cli.prompt_options").whole

local options = {}

local MOST = 1 << 31 -- a file's slices and frames are fewer

local function a_window(text)
  local centre, width = text:match "^([^/]+)/([^/]+)$"
  if not tonumber(centre) or not tonumber(width) then
    return nil, ("expected CENTRE/WIDTH, such as 40/400, found %s"):format(text)
  end
  return text
end

local function an_axis(text) return require("support.closed").member(text, require("scans.nifti").AXES, "--axis") end

--- Declare those that choose what is read of a file.
function options.of_file(command)
  local function option(name, argname, description) return command:option(name, description):argname(argname) end
  option("--image-bits", "N", "Bits that the values of a 16-bit PNG use, where the file does not tell (sBIT).")
    :convert(whole(8, 16))
  option("--frame", "N", "Which volume, frame or page of a file of several, from 0."):convert(whole(0, MOST))
  option("--slice", "K", "Only this slice of a volume, from 0."):convert(whole(0, MOST))
  option("--axis", "AXIS", "Along which axis of a NIfTI file slices are taken: i, j, k (default), or sagittal, "
    .. "coronal, axial."):convert(an_axis)
end

--- Declare those and how values become the picture that a network is given.
-- @param ruled whether the command has --prepare already, as one of a device's options
function options.setup(command, ruled)
  options.of_file(command)
  local function option(name, argname, description) return command:option(name, description):argname(argname) end
  if not ruled then
    option("--prepare", "RULE", "How measured values become a picture (docs/preparation.md): abdomen, medsam-ct, "
      .. "percentile:0.5/99.5, ... Default: the build's; else the file's own rule for display."):convert(
      function(text) return require("scans.prepare").parse(text) end)
  end
  option("--window", "CENTRE/WIDTH", "The same as --prepare window:CENTRE/WIDTH, in Hounsfield units for CT.")
    :convert(a_window)
end

--- What `inputs.image` is told of a command line.
-- @param built the rule that a build was made with, or nil
function options.read(args, built)
  return { bits = args.image_bits, frame = args.frame, slice = args.slice, axis = args.axis,
    rule = args.window and "window:" .. args.window or args.prepare, built = built }
end

--- What the options ask for together and cannot have; a usage error's text, or nil.
function options.contradiction(args)
  if args.window and args.prepare then return "--window: expected instead of --prepare, found both" end
  for _, name in ipairs { "image_bits", "frame", "slice", "axis", "window", "prepare" } do
    if args[name] and not (args.image and #args.image > 0) then
      return ("--%s: expected with --image, found without"):format((name:gsub("_", "-")))
    end
  end
end

return options
