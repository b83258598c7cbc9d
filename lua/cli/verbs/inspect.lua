-- SPDX-License-Identifier: Apache-2.0
-- msagen inspect CHECKPOINT... [--base FILE] [--tensors] [--json]: what is in a checkpoint; of several, also what they
-- share.

local options = require "cli.device_options"

local verb = {}

function verb.setup(command)
  command:argument("checkpoint",
    "A .pth, .bin or .safetensors file, or the index of one in several files; of several checkpoints, what they "
    .. "share is shown too."):argname("CHECKPOINT"):args "+"
  command:option("--base", "The backbone of adapter-only files."):argname "FILE"
  options.of_tensors(command)
  command:flag("--tensors", "After the summary, a line for every tensor: its shape, and what becomes of it.")
  command:flag("--json", "For machines: one JSON object, every tensor in it.")
end

-- Parts of the answer, each a list of lines, with an empty line between them.
local function show(reports, shared, tensors)
  local inspect, terminal = require "report.inspect", require "support.terminal"
  local how, parts = { width = terminal.columns(), paint = terminal.painter(1) }, {}
  local function put(lines) parts[#parts + 1] = table.concat(lines, "\n") end
  for _, report in ipairs(reports) do
    put(inspect.text(report, how))
    if tensors then put(inspect.tensors_text(report, how)) end
  end
  if shared then
    put(inspect.shared_text(shared, how))
    if tensors then put(inspect.shared_tensors_text(shared, how)) end
  end
  io.stdout:write(table.concat(parts, "\n\n"), "\n")
end

function verb.run(args)
  local inspect, shards = require "report.inspect", require "import.shards"
  local base = args.base and shards.open(args.base, args.weights_key)
  local ckpts = {}
  for i, path in ipairs(args.checkpoint) do ckpts[i] = shards.open(path, args.weights_key) end
  local reports, shared
  args.several = #ckpts > 1
  if args.several then
    reports, shared = inspect.several(ckpts, base, args)
  else
    reports = { (inspect.report(ckpts[1], base, args)) }
  end
  for i, report in ipairs(reports) do
    report.built = require("estimate.built_weights").of(ckpts[i], base, report, args)
  end
  for _, ckpt in ipairs(ckpts) do ckpt:unchanged() end
  if base then base:unchanged() end

  if args.json then
    local json = require "msagen.json"
    for _, report in ipairs(reports) do inspect.json(report) end
    local whole = shared and { files = json.array(reports), shared = inspect.shared_json(shared) } or reports[1]
    io.stdout:write(json.encode(whole, { indent = 1 }), "\n")
    return 0
  end
  show(reports, shared, args.tensors)
  return 0
end

return verb
