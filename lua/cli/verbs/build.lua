-- SPDX-License-Identifier: Apache-2.0
-- msagen build SCRIPT.lua | CHECKPOINT [options] -o DIR: compile to C.
local options = require "cli.device_options"
local precisions = require "estimate.precisions"

local verb = {}

function verb.setup(command)
  options.setup(command, true)
  command:option("-o", "The folder to write; replaced only if msagen wrote it.")
    :argname("DIR"):target("output"):count(1)
end

-- What was built, as facts.
local function said(dir, build, rule)
  if build.net then return require("train.built").said(dir, build) end
  if build.front and not build.model then return require("signal.built").said(dir, build) end
  local layout, terminal = require "support.layout", require "support.terminal"
  local model, memory = build.model, build.graph.memory
  local text = ("%s, %d x %d, %s; arena %s (lower bound %s)"):format(model.dialect, model.image_size,
    model.image_size, build.board.name, layout.bytes(memory.bytes), layout.bytes(memory.bound))
  local lines = layout.hanging(dir .. ": ", text, terminal.columns(), 2)
  if build.front then
    layout.append(lines, layout.hanging("front end: ", build.front.facts, terminal.columns(), 2))
  end
  layout.append(lines, layout.hanging("image: ", model.preparation, terminal.columns(), 2))
  if rule then lines[#lines + 1] = "scans: --prepare " .. rule end
  if build.graph.precision:lowers() then
    layout.append(lines, layout.hanging("precision: ", ("%s, %s; what it costs on your images was not measured: "
      .. "msagen evaluate %s --data SET --against DIR, DIR being a build in f32, does"):format(build.arithmetic,
      precisions.spoken(precisions.of(build)), dir), terminal.columns(), 2))
  end
  return table.concat(lines, "\n") .. "\n"
end

function verb.run(args)
  local compiler = require "compiler.compiler"
  local devices = options.asked(args, "build")
  if not devices then return 2 end
  local show, finish = require "cli.progress"()
  for _, one in ipairs(devices) do
    local dir = one.name and args.output .. "/" .. one.name or args.output
    local ok, build = pcall(compiler.build, one.device, dir, args.input or "build", show)
    finish()
    if not ok then error(build, 0) end
    io.stdout:write(said(dir, build, one.device.prepare))
  end
  return 0
end

return verb
