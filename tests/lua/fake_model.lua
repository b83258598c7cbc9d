-- SPDX-License-Identifier: Apache-2.0
--- msa_model.c of the fake model (tests/c/fake), as msagen renders it for so many cores and slices.
-- As a program, for the C tests: luahost fake_model.lua SOURCES CORES DEPTH FILE.
local function rendered(folder, cores, depth)
  return require "support.template".file(folder .. "/templates", "model.c",
    { cores = cores, info = { extras = {} }, model = { depth = depth }, streamed = false,
      board = { isa = { flushes = false } }, resampling = { calls = "msa_resize" } })
end

if arg and arg[0]:match "fake_model%.lua$" then
  local sources, cores, depth, path = table.unpack(arg)
  package.path = ("%s/lua/?.lua;%s"):format(sources, package.path)
  local file = assert(io.open(path, "wb"))
  assert(file:write(rendered(sources, tonumber(cores), tonumber(depth))))
  assert(file:close())
end

return function(cores, depth) return rendered(msagen.datadir, cores, depth) end
