-- SPDX-License-Identifier: Apache-2.0
-- msagen phantom SCRIPT.lua -o FRAME.npy: synthetic lines for a front end, for trials without a probe.
local verb = {}

function verb.setup(command)
  command:argument("input", "A build script with an ultrasound front end (format rf, type int16, f0).")
    :argname "SCRIPT.lua"
  command:option("--seed", "Any whole number from 0; the same gives the same lines."):argname "N":default "0"
    :convert(require("cli.prompt_options").whole(0, 0xffffffff))
  command:option("-o --output", "The frame, int16 [lines,samples]: what msagen run --samples takes.")
    :argname "FRAME.npy":count(1)
end

function verb.run(args)
  local options, fail = require "cli.device_options", require "support.fail"
  local device = options.result(args.input, false)
  if type(device) == "table" and #device > 0 then device = device[1] end
  if type(device) ~= "table" or not device.frontend then
    fail("%s: expected a script with a front end, found none", args.input)
  end
  local where = args.input .. ": frontend"
  local p = require("signal.front").check(device.frontend, where)
  require("msagen.npy").write(args.output, require("signal.phantom").frame(p, args.seed, where))
  return 0
end

return verb
