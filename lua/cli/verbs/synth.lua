-- SPDX-License-Identifier: Apache-2.0
-- msagen synth: a checkpoint of synthetic weights at full size, for tests of speed and memory.

local verb = {}

local function integer(text)
  local value = math.tointeger(tonumber(text))
  if not value then return nil, ("expected a whole number, found %s"):format(text) end
  return value
end

function verb.setup(command)
  local synth = require "networks.synth"
  command:option("--arch", "Encoder: " .. table.concat(synth.architecture_names, ", ")
    .. "."):choices(synth.architecture_names):count(1)
  command:option("--resolution", "Pixels a side; a multiple of 16."):argname "PX":default "1024":convert(integer)
  command:option("--dialect",
    "Names and tensors of this dialect's files; default: whose the encoder is: sam, mobile-sam, efficient-sam, "
    .. "sam-med2d.")
    :argname "NAME":choices(synth.dialect_names)
  command:option("--seed", "Any integer; the same gives the same file."):argname "N":convert(integer):count(1)
  command:option("-o --output", "The file to write."):argname "FILE.safetensors":count(1)
  command:option("--image-out",
    "Also write the test image that goes with the seed, uint8 [PX,PX,3]."):argname "FILE.npy"
end

function verb.run(args)
  local show, finish = require "cli.progress"()
  local ok, why = pcall(require "networks.synth".write, {
    arch = args.arch, resolution = args.resolution, dialect = args.dialect, seed = args.seed, out = args.output,
    progress = function(done, count) show(("%s: tensor %d of %d"):format(args.output, done, count), done, count) end,
  })
  finish()
  if not ok then error(why, 0) end
  if args.image_out then
    require "msagen.npy".write(args.image_out, require "msagen.synth".image(args.resolution, args.seed))
  end
  return 0
end

return verb
