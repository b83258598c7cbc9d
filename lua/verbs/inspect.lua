-- SPDX-License-Identifier: Apache-2.0
-- msagen inspect CHECKPOINT [--json]: what is in a checkpoint.

local verb = {}

function verb.setup(command)
  command:argument("checkpoint", "A .pth or .safetensors file."):argname "CHECKPOINT"
  command:flag("--json", "For machines: one JSON object.")
end

function verb.run(args)
  local inspect = require "inspect"
  local report = inspect.report(require "msagen.checkpoint".open(args.checkpoint))
  local text = args.json and require "msagen.json".encode(inspect.json(report), { indent = 1 }) or table.concat(inspect.text(report), "\n")
  io.stdout:write(text, "\n")
  return 0
end

return verb
