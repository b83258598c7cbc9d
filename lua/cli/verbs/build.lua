-- SPDX-License-Identifier: Apache-2.0
-- msagen build SCRIPT.lua | CHECKPOINT [options] -o DIR: compile to C.
local options = require "cli.device_options"

local verb = {}

function verb.setup(command)
  options.setup(command)
  command:option("-o", "The folder to write; replaced only if msagen wrote it.")
    :argname("DIR"):target("output"):count(1)
end

local function megabytes(bytes) return ("%.1f MiB"):format(bytes / 1048576) end

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
    local model, memory = build.model, build.graph.memory
    io.stdout:write(("%s: %s, %d x %d, %s; arena %s (lower bound %s)\n"):format(dir, model.dialect, model.image_size,
      model.image_size, build.board.name,
      megabytes(memory.bytes), megabytes(memory.bound)))
    io.stdout:write(("image: %s\n"):format(model.preparation))
    if one.device.prepare then io.stdout:write(("scans: --prepare %s\n"):format(one.device.prepare)) end
  end
  return 0
end

return verb
