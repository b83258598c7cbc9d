-- SPDX-License-Identifier: Apache-2.0
-- How cost grows with resolution and depth: builds of synthetic msa-2023 weights, measured in turns: luahost
-- bench/growth.lua [OPTIONS].
--   --arch vit_b  --resolutions 256,512,768,1024 (depth 1)  --depths 1,2,4,8,16 (at --at 256)  --rounds 3  --board NAME
-- Prints a table of each, and exponents: of the whole row by least squares in logarithms, and between neighbours. What
-- grows faster than the model's own multiply-adds is named. Times of encoding are processor time of one core, which
-- other programs disturb least.
local rig = require "rig"

local options = rig.options { arch = "vit_b", resolutions = "256,512,768,1024", depths = "1,2,4,8,16", at = "256",
  rounds = "3",
  board = require("target.boards").best().name, out = "out/bench" }
local board = require("target.boards").named(options.board)
local SLACK = 0.1 -- in exponents: what the noise of times may add

local function list(text)
  local t = {}
  for n in text:gmatch "%d+" do t[#t + 1] = math.tointeger(n) end
  return t
end

-- One build at each size. Resolution and depth share the one where they meet.
local builds = {}
local function build(resolution, depth)
  local name = ("growth-%s-%d-%d-%s"):format(options.arch, resolution, depth, board.name)
  if builds[name] then return builds[name] end
  local fw, why = rig.build(name, (rig.checkpoint(options.arch, resolution, "msa-2023")), board,
    { "--dialect", "msa-2023", "--depth", tostring(depth) })
  if not fw then rig.stop("%s", why) end
  io.stderr:write(("%d pixels, depth %d: built\n"):format(resolution, depth))
  fw.model, fw.times = rig.model(fw), {}
  builds[name], builds[#builds + 1] = fw, fw
  return fw
end

local function sweep(sizes, make)
  local t = {}
  for _, n in ipairs(sizes) do t[#t + 1] = { n = n, fw = make(n) } end
  return t
end
local by_resolution = sweep(list(options.resolutions), function(n) return build(n, 1) end)
local by_depth = sweep(list(options.depths), function(n) return build(tonumber(options.at), n) end)
for round = 1, tonumber(options.rounds) do
  for _, fw in ipairs(builds) do fw.times[round] = rig.numbers(fw.model(1), "encode_cpu_ms")[1] / 1e3 end
  io.stderr:write(("round %d of %s\n"):format(round, options.rounds))
end

local COLUMNS = {
  { "GMAC", "%.1f", function(fw) return fw.manifest.macs_encode / 1e9 end },
  { "encode s", "%.3f", function(fw) return (rig.median(fw.times)) end },
  { "arena MiB", "%.2f", function(fw) return fw.manifest.arena_bytes / 2 ^ 20 end },
  { "weights MiB", "%.1f", function(fw) return fw.manifest.weights_bytes / 2 ^ 20 end },
  { "build s", "%.1f", function(fw) return fw.build_seconds end },
  { "build MiB", "%.0f", function(fw) return fw.build_peak / 2 ^ 20 end },
  { "make s", "%.1f", function(fw) return fw.make_seconds end },
  { "text KiB", "%.0f", function(fw) return fw.text_bytes / 1024 end },
}

local function between(rows, c, i)
  return math.log(rows[i + 1][c] / rows[i][c]) / math.log(rows[i + 1].n / rows[i].n)
end

local function fitted(rows, c)
  local n, sx, sy, sxx, sxy = #rows, 0, 0, 0, 0
  for _, row in ipairs(rows) do
    local x, y = math.log(row.n), math.log(row[c])
    sx, sy, sxx, sxy = sx + x, sy + y, sxx + x * x, sxy + x * y
  end
  return (n * sxy - sx * sy) / (n * sxx - sx * sx)
end

local function tell(title, rows)
  local function line(first, cells) print(("%10s  %s"):format(first, table.concat(cells, "  "))) end
  local function each(f)
    local cells = {}
    for c, column in ipairs(COLUMNS) do cells[c] = ("%11s"):format(f(c, column)) end
    return cells
  end
  print ""
  line(title, each(function(_, column) return column[1] end))
  for _, row in ipairs(rows) do
    line(row.n, each(function(c, column)
      row[c] = column[3](row.fw)
      return column[2]:format(row[c])
    end))
  end
  if #rows < 2 then return end
  for i = 1, #rows - 1 do line(("%d-%d"):format(rows[i].n, rows[i + 1].n),
    each(function(c) return ("^%.2f"):format(between(rows, c, i)) end)) end
  line("fitted", each(function(c) return ("^%.2f"):format(fitted(rows, c)) end))
  local faster = {}
  for c = 2, #COLUMNS do
    for i = 1, #rows - 1 do
      local more = between(rows, c, i) - between(rows, 1, i)
      if more > SLACK then
        faster[#faster + 1] = ("%s from %d to %d by %.2f"):format(COLUMNS[c][1], rows[i].n, rows[i + 1].n, more)
      end
    end
  end
  print(#faster == 0 and "nothing grows faster than the multiply-adds"
    or "faster than the multiply-adds, in exponents: " .. table.concat(faster, "; "))
end

print(("%s, msa-2023, %s, one core, medians of %s"):format(options.arch, board.name, options.rounds))
tell("resolution", by_resolution)
tell("depth", by_depth)
