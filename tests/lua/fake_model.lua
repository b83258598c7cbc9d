-- SPDX-License-Identifier: Apache-2.0
--- msa_model.c of the fake model (tests/c/fake), as msagen renders it for so many cores, slices and classes (0: one
-- mask, or several).
-- As a program, for the C tests: luahost fake_model.lua SOURCES CORES DEPTH CLASSES FILE.
local function rendered(folder, cores, depth, classes)
  local template, templates = require "support.template", folder .. "/templates"
  local env = { cores = cores, info = { extras = {} }, streamed = false, guards = false, network = true,
    model = { depth = depth, source = { sha256 = "0" }, dialect = "fake", image_size = 64, decoder = { masks = 4 } },
    classes = classes, front = false, front_text = "", version = "0", precision = "f32",
    blob = { model_hash = "0" }, kernels = { multiplies_pairs = function() return false end },
    board = { name = "fake", isa = { flushes = false } },
    computing = { "msa_image", "msa_resize", "msa_upsample", "msa_prompt", "msa_kernels" } }
  env.network_text = template.file(templates, "network.c", env)
  return template.file(templates, "model.c", env)
end

if arg and arg[0]:match "fake_model%.lua$" then
  local sources, cores, depth, classes, path = table.unpack(arg)
  package.path = ("%s/lua/?.lua;%s"):format(sources, package.path)
  local file = assert(io.open(path, "wb"))
  assert(file:write(rendered(sources, tonumber(cores), tonumber(depth), tonumber(classes))))
  assert(file:close())
end

return function(cores, depth) return rendered(msagen.datadir, cores, depth, 0) end
