-- SPDX-License-Identifier: Apache-2.0
-- msagen graph CHECKPOINT [options] [--dot] [-o FILE]: the network's operations, as text or for Graphviz.
local fail = require "fail"
local options = require "verbs.device_options"

local verb = {}

function verb.setup(command)
  options.setup(command)
  command:flag("--dot", "For Graphviz: a cluster a layer, without the tensors.")
  command:option("-o --output", "The file to write. Default: the terminal."):argname "FILE"
end

function verb.run(args)
  local devices, problem = options.devices(args)
  if not devices then
    io.stderr:write("msagen: ", problem, "; see msagen graph --help\n")
    return 2
  end
  if #devices > 1 then fail("%s: expected one device, found %d", args.input, #devices) end
  local models = require("compiler").models(devices[1].device, args.input or "device")
  local graph = require("interpretation").graph(models[1])
  local text = args.dot and graph:dot() or graph:text()
  if args.output then require("msagen.sys").write_file(args.output, text) else io.stdout:write(text) end
  return 0
end

return verb
