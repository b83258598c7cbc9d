-- SPDX-License-Identifier: Apache-2.0
-- The cost model of lua/kernels/tiles.lua against the clock: luahost bench/tiles.lua FOLDER [--rounds 9] [--most 12]
-- [--only TEXT] [--all].
-- FOLDER is a build for a board that this CPU runs. For every matrix product of its manifest, the chosen tiling and the
-- best of each other kind are compiled and timed in turns. See bench/README.md.
package.path = package.path:gsub("^[^;]*;", "", 1) -- the compiler's module of the same name is meant, not this script
local sys = require "msagen.sys"
local json = require "msagen.json"
local boards, kernels, template = require "target.boards", require "kernels.kernels", require "support.template"
local tiles = require "kernels.tiles"

local here = sys.realpath(arg[0]:match "^(.*)/[^/]*$" or ".")
local options = { rounds = "9", most = "12", only = "", out = "out/bench/tiles" }
local folder, all
do
  local i = 1
  while arg[i] do
    local key = arg[i]:match "^%-%-(%a+)$"
    if key == "all" then all, i = true, i + 1
    elseif key and options[key] and arg[i + 1] then options[key], i = arg[i + 1], i + 2
    elseif not key and not folder then folder, i = arg[i], i + 1
    else
      io.stderr:write("usage: tiles.lua FOLDER [--rounds N] [--most N] [--only TEXT] [--all] [--out DIR]\n")
      os.exit(2)
    end
  end
end
assert(folder, "tiles.lua: expected a folder that msagen built")
local manifest = json.decode(sys.read_file(folder .. "/manifest.json"), "manifest.json")
local board = boards.named(manifest.board)
local work = options.out
sys.mkdir_p(work)
for _, file in ipairs { "msa_arith.h" } do sys.write_file(work .. "/" .. file, sys.read_file(folder .. "/" .. file)) end
sys.write_file(work .. "/msa_simd.h", template.file(msagen.datadir .. "/templates", "simd.h",
  { isa = board.isa, made_by = "", msa_vec = "" }))

local function must(command)
  command.stdin, command.stdout, command.stderr = "/dev/null", "capture", "capture"
  local status, output = sys.spawn(command)
  if status ~= 0 then
    io.stderr:write(("%s: exit %d\n%s"):format(table.concat(command, " "), status, output:sub(1, 2000)))
    os.exit(1)
  end
  return output
end

local function describe(tiling)
  local function list(pieces, key, by)
    local t = {}
    for i, p in ipairs(pieces) do t[i] = ("%d"):format(p[key] * by) end
    return table.concat(t, "+")
  end
  return ("%s x %s, k %d%s"):format(list(tiling.rows, "mr", 1), list(tiling.columns, "np", 16), tiling.blocks[1].count,
    tiling.order == "rows" and ", rows first" or "")
end

-- The chosen tiling, then the cheapest of every other width, order and cut of k, then the next cheapest.
local function ways(list, most)
  local chosen, seen, taken = {}, {}, {}
  local function take(tiling)
    if #chosen < most and not taken[tiling] then
      taken[tiling] = true
      chosen[#chosen + 1] = tiling
    end
  end
  take(list[1])
  for _, tiling in ipairs(list) do
    for _, kind in ipairs { ("np %d"):format(tiling.columns[1].np), tiling.order, ("k %d"):format(#tiling.blocks) } do
      if not seen[kind] and tiling.cycles < 2 * list[1].cycles then
        seen[kind] = true
        take(tiling)
      end
    end
  end
  for i = 2, #list do take(list[i]) end
  return chosen
end

local function measure(shape)
  local f = { M = shape.M, N = shape.N, K = shape.K, panels = (shape.N + 15) // 16, lda = shape.lda, ldb = shape.ldb,
    bps = shape.bps, ldc = shape.ldc, cps = shape.cps,
    init = shape.init, act = shape.act, residual = shape.residual }
  local list = ways(tiles.candidates(board.isa, board, f), tonumber(options.most))
  local texts = { '#include "msa_simd.h"\n' }
  local cases = {}
  for i, tiling in ipairs(list) do
    local set = kernels.new(board.isa, board, msagen.datadir .. "/templates")
    f.tiling = tiling
    local name = set:gemm(f)
    texts[#texts + 1] = (table.concat(set.texts, "\n"):gsub("%f[%w_]msa_([tg][ie][lm][em]_)", ("w%d_%%1"):format(i)))
    local arguments = f.init == "bias" and { "a", "b", "bias", "c" } or { "a", "b", "c" }
    cases[i] = ("    case %d: %s; break;"):format(i - 1,
      (set:call(name, table.unpack(arguments)):gsub("^msa_", ("w%d_"):format(i))))
  end
  f.tiling = nil
  local macs = shape.M * shape.N * shape.K
  texts[#texts + 1] = ("enum { WAYS = %d, CALLS = %d };"):format(#list, math.max(1, 100000000 // macs))
  local sizes = "#define A_FLOATS ((size_t)%d)\n#define B_FLOATS ((size_t)%d)\n#define C_FLOATS ((size_t)%d)"
  texts[#texts + 1] = sizes:format(
    f.M * f.lda + f.K, math.max(f.K * f.ldb, f.panels * f.bps) + 16 * f.panels,
      f.M * f.ldc + f.panels * math.max(16, f.cps))
  texts[#texts + 1] = "static void call(int way, const float *a, const float *b, const float *bias, float *c)\n{\n"
    .. "    (void)bias;\n    switch (way) {\n" .. table.concat(cases, "\n") .. "\n    default: break;\n    }\n}\n"
  sys.write_file(work .. "/tiles_shape.h", table.concat(texts, "\n"))
  local command = { board.compiler, "-O2", "-std=c99", "-ffp-contract=off", "-fno-math-errno", "-I", work, "-o",
    work .. "/tiles", here .. "/tiles.c" }
  for _, flag in ipairs(board.flags) do table.insert(command, 2, flag) end
  must(command)
  local nanoseconds = {}
  for value in must({ work .. "/tiles", options.rounds }):gmatch "[%d.]+" do
    nanoseconds[#nanoseconds + 1] = tonumber(value)
  end
  local cycle = nanoseconds[#list + 1] / board.core.fma_latency
  local rows = {}
  for i, tiling in ipairs(list) do
    rows[i] = { tiling = tiling, predicted = tiling.cycles, measured = nanoseconds[i] / cycle, ns = nanoseconds[i] }
  end
  return rows, cycle, macs
end

local total = { chosen = 0, best = 0, predicted = 0 }
local per_vector = board.isa.width
for _, shape in ipairs(manifest.kernels) do
  if shape.name:find(options.only, 1, true) then
    local rows, cycle, macs = measure(shape)
    local best = rows[1]
    for _, row in ipairs(rows) do if row.measured < best.measured then best = row end end
    local ideal = macs / per_vector / board.core.fma_per_cycle
    local function line(row)
      return ("%-34s predicted %10.0f  measured %10.0f cycles (%5.2f)  %5.1f %% of the arithmetic"):format(
        describe(row.tiling), row.predicted, row.measured, row.measured / row.predicted, 100 * ideal / row.measured)
    end
    print(("%-32s %s  %4.1f %% over the best, %.2f GHz"):format(shape.name, line(rows[1]),
      100 * (rows[1].measured / best.measured - 1), 1 / cycle))
    if all then for i = 2,
      #rows do print(("%-32s %s%s"):format("", line(rows[i]), rows[i] == best and "  best" or "")) end
    elseif best ~= rows[1] then print(("%-32s %s"):format("", line(best))) end
    io.stdout:flush()
    total.chosen, total.best, total.predicted = total.chosen + rows[1].measured * (shape.calls or 1),
      total.best + best.measured * (shape.calls or 1), total.predicted + rows[1].predicted * (shape.calls or 1)
  end
end
print(("one call each: measured %.3g cycles, %.2f of the prediction, %.1f %% over the best ways"):format(total.chosen,
  total.chosen / total.predicted, 100 * (total.chosen / total.best - 1)))
