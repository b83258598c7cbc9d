-- SPDX-License-Identifier: Apache-2.0
-- The inner loops of a build's matrix products without the hardware: what llvm-mca predicts of them, and instructions
-- for each multiply-add.
-- luahost bench/mca.lua FOLDER... [--mca llvm-mca-19] [--cpu NAME] [--only TEXT] [--dump DIR]. See bench/README.md.
local sys = require "msagen.sys"
local json = require "msagen.json"
local boards = require "target.boards"

local ITERATIONS = 100

-- The scheduling model of each board: LLVM's of its core, or of the nearest that it has one for (none is near
-- Cortex-A7).
-- in_order: a core that issues in order, and whose model says no more than the simulation below knows; plain: loads
-- lose the step of their address, of which several make llvm-mca 19 crash.
local ARM = { triple = "thumbv8.1m.main-none-eabihf", head = ".thumb\n.syntax unified\n" }
local MODELS = {
  ["cortex-a53"] = { triple = "aarch64", cpu = "cortex-a53", in_order = true },
  ["cortex-a76"] = { triple = "aarch64", cpu = "neoverse-n1",
    nearest = "the same core for servers; LLVM's cortex-a76 is Cortex-A57's" },
  ["cortex-m7"] = { triple = "thumbv7em-none-eabihf", cpu = "cortex-m7", head = ARM.head,
    attributes = "+fp-armv8d16,+vfp4" },
  ["cortex-m55"] = { triple = ARM.triple, cpu = "cortex-m55", head = ARM.head, machine = "armv8.1-m.main",
    plain = true },
  ["x86-64-avx512-vnni"] = { triple = "x86_64", cpu = "icelake-server" },
  ["x86-64-avxvnni"] = { triple = "x86_64", cpu = "alderlake" },
  ["x86-64-avx2"] = { triple = "x86_64", cpu = "haswell" },
  ["x86-64-avx512"] = { triple = "x86_64", cpu = "icelake-server" },
  ["x86-64-sse42"] = { triple = "x86_64", cpu = "sandybridge",
    nearest = "no model of Tremont; multiplies one vector a cycle and adds another, as it does" },
}

local options, folders = { mca = "llvm-mca-19", cpu = "", only = "", dump = "" }, {}
do
  local i = 1
  while arg[i] do
    local key = arg[i]:match "^%-%-(%a+)$"
    if key and options[key] and arg[i + 1] then options[key], i = arg[i + 1], i + 2
    elseif not key then folders[#folders + 1], i = arg[i], i + 1
    else folders, i = {}, #arg + 1
    end
  end
  if #folders == 0 then
    io.stderr:write "usage: mca.lua FOLDER... [--mca PROGRAM] [--cpu NAME] [--only TEXT] [--dump DIR]\n"
    os.exit(2)
  end
end

local function stop(...)
  io.stderr:write("mca.lua: ", string.format(...), "\n")
  os.exit(1)
end

local function must(command, what)
  command.stdin, command.stdout, command.stderr = "/dev/null", "capture", "capture"
  local ok, status, output = pcall(sys.spawn, command)
  if not ok then stop("%s: expected %s, found none that can be started", command[1], what or "a program") end
  if status ~= 0 then
    stop("%s: exit %d: %s", command[1], status, output:match "[^\n]*error[^\n]*" or output:match "[^\n]*" or "")
  end
  return output
end

local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "mca-")

-- Instructions of whole numbers: name, what operands are like, multiply-adds of one, and a free one for register d.
local WHOLE = {
  { "^vpdpbusd$", "%%zmm%d+$", 64, function(d) return ("vpdpbusd %%zmm14, %%zmm15, %%zmm%d"):format(d % 12) end },
  { "^vpdpbusd$", "%%ymm%d+$", 32, function(d) return ("vpdpbusd %%ymm14, %%ymm15, %%ymm%d"):format(d % 12) end },
  { "^vpmaddwd$", "%%ymm%d+$", 16, function(d) return ("vpmaddwd %%ymm14, %%ymm15, %%ymm%d"):format(d % 12) end },
  { "^pmaddwd$", "%%xmm%d+$", 8, function(d) return ("pmaddwd %%xmm15, %%xmm%d"):format(d % 12) end },
  { "^sdot$", "%.4s", 16, function(d) return ("sdot v%d.4s, v30.16b, v31.4b[0]"):format(d % 24) end },
  { "^sm[ul]l[al]?l?2?$", "%.8h, v%d+%.", 8, function(d) return ("smull v%d.8h, v30.8b, v31.8b"):format(d % 24) end },
  { "^vmlava%.s8$", ".", 16, function(d) return ("vmlava.s8 r%d, q6, q7"):format(2 * (d % 5)) end },
  { "^smlad$", ".", 2, function(d) return ("smlad r%d, r10, r11, r%d"):format(d % 8, d % 8) end },
}

-- Multiply-adds of an instruction, and what a free one of its kind looks like for each register d; of SSE a product and
-- a sum are one multiply-add.
local function multiply_adds(mnemonic, operands)
  for _, one in ipairs(WHOLE) do
    if mnemonic:match(one[1]) and operands:match(one[2]) then return one[3], one[4] end
  end
  if mnemonic:match "^vfn?m[as][ads]*%d%d%dps$" then
    local kind = operands:match "%%([zyx])mm%d+$"
    local lanes = kind == "z" and 16 or kind == "y" and 8 or 4
    return lanes, function(d) return ("vfmadd231ps %%%smm14, %%%smm15, %%%smm%d"):format(kind, kind, kind, d % 12) end
  elseif mnemonic == "mulps" then return 4, function(d)
    return ("mulps %%xmm15, %%xmm%d\naddps %%xmm14, %%xmm%d"):format(d % 7, 7 + d % 7)
  end
  elseif mnemonic == "fmla" and operands:match "%.4s" then return 4, function(d)
    return ("fmla v%d.4s, v30.4s, v31.s[0]"):format(d % 24)
  end
  elseif mnemonic == "fmla" and operands:match "%.2s" then return 2, function(d)
    return ("fmla v%d.2s, v30.2s, v31.s[0]"):format(d % 24)
  end
  elseif mnemonic == "fmadd" and operands:match "^s" then return 1, function(d)
    return ("fmadd s%d, s30, s31, s%d"):format(d % 24, d % 24)
  end
  elseif mnemonic:match "^vfm[as]%.f32" or mnemonic == "vmla.f32" then
    local base, kind, last = mnemonic:gsub("[ct]$", ""), operands:match "^([qds])%d", operands:match "[^, ]*$"
    if kind == "q" and last:match "^q" then return 4,
      function(d) return ("%s q%d, q14, q15"):format(base, d % 14) end end
    if kind == "q" then return 4, function(d) return last:match "%[" and ("%s q%d, q14, d0[0]"):format(base, 1 + d % 13)
      or ("%s q%d, q7, r2"):format(base, d % 7) end end
    if kind == "d" then return 2, function(d) return ("%s d%d, d15, d14"):format(base, d % 12) end end
    return 1, function(d) return ("%s s%d, s30, s31"):format(base, d % 24) end
  end
end

--- Functions of `objdump -d`: { [name] = {{ address, mnemonic, operands, target }...} }, and by address.
local function disassembled(text)
  local functions, at = {}, nil
  for line in text:gmatch "[^\n]+" do
    local name = line:match "^%x+ <([^>]+)>:$"
    if name then
      at = {}
      functions[name] = at
    elseif at then
      local address, mnemonic, operands = line:match "^%s*(%x+):\t(%S+)%s*(.*)$"
      if address and not mnemonic:match "^%." then
        operands = operands:gsub("%s*//.*$", ""):gsub("%s*[;@].*$", ""):gsub("%s+# .*$", "")
        local target, callee = operands:match "%f[%x](%x+) <([^>+]*)[^>]*>$"
        at[#at + 1] = { address = tonumber(address, 16), mnemonic = mnemonic, operands = operands, target = target
          and tonumber(target, 16), callee = callee }
      end
    end
  end
  return functions
end

-- Loops of a function that have none inside: lists of instructions, the last of which jumps back to the first.
local function inner_loops(list)
  local loops, index = {}, {}
  for i, one in ipairs(list) do index[one.address] = i end
  for i, one in ipairs(list) do
    local first = one.target and not one.mnemonic:match "^bl" and not one.mnemonic:match "^call" and index[one.target]
    if first and first <= i then loops[#loops + 1] = { first = first, last = i } end
  end
  local inner = {}
  for _, loop in ipairs(loops) do
    local alone = true
    for _, other in ipairs(loops) do
      if other ~= loop and other.first >= loop.first and other.last <= loop.last
        and not (other.first == loop.first and other.last == loop.last) then
        alone = false
      end
    end
    if alone then inner[#inner + 1] = table.move(list, loop.first, loop.last, 1, {}) end
  end
  return inner
end

-- The loop over k of a product: of its tiles' inner loops without a division (as GELU's have) the one with the most
-- multiply-adds.
local function main_loop(functions, name)
  local best
  local function look(which, deep)
    local list = functions[which]
    if not list then return end
    for _, loop in ipairs(inner_loops(list)) do
      local count, macs, lanes, free, divides = 0, 0, nil, nil, false
      for _, one in ipairs(loop) do
        local n, like = multiply_adds(one.mnemonic, one.operands)
        if n then count, macs, lanes, free = count + 1, macs + n, n, like end
        divides = divides or one.mnemonic:match "div"
      end
      if macs > 0 and not divides and (not best or macs > best.macs) then
        best = { loop = loop, count = count, macs = macs, lanes = lanes, free = free, name = which }
      end
    end
    for _, one in ipairs(list) do
      if deep and one.callee and one.callee ~= which and one.callee:match "_tile_" then look(one.callee, false) end
    end
  end
  look(name, true)
  return best
end

local function assembly(loop)
  local text = { ".Lagain:" }
  for i, one in ipairs(loop) do
    local operands = one.operands
    if one.target then operands = operands:gsub("%x+ <[^>]*>$", i == #loop and ".Lagain" or ".Lend") end
    text[i + 1] = ("%s\t%s"):format(one.mnemonic, operands)
  end
  text[#text + 1] = ".Lend:"
  return table.concat(text, "\n") .. "\n"
end

-- llvm-mca of a text: cycles of an iteration, and its region of the report.
local function analysed(model, text)
  if model.plain then text = text:gsub("(v?ldr[^\n]*%]), #%-?%d+\n", "%1\n") end
  sys.write_file(work .. "/loop.s", (model.head or "") .. text)
  local command = { options.mca, "-mtriple=" .. model.triple, "-mcpu=" .. model.cpu, "-json",
    "-iterations=" .. ITERATIONS, "-skip-unsupported-instructions=any" }
  if model.attributes then command[#command + 1] = "-mattr=" .. model.attributes end
  command[#command + 1] = work .. "/loop.s"
  local output = must(command, "Debian's package llvm-19")
  -- units of one name are told apart by control characters
  local report = json.decode((output:gsub("^[^{]*", ""):gsub("\\u00%x%x", "")), options.mca)
  local region = report.CodeRegions[1]
  return region.SummaryView.TotalCycles / ITERATIONS, region, report
end

-- Registers that an operand names, the parts of larger ones each.
local function registers(text, arm32)
  local list = {}
  text = text:gsub("%f[%w]sl%f[%W]", "r10"):gsub("%f[%w]fp%f[%W]", "r11"):gsub("%f[%w]ip%f[%W]", "r12")
  for kind, number in text:gmatch "%f[%w]([vqdsxwr])(%d+)" do
    number = math.tointeger(number)
    if arm32 and kind:match "[qds]" then
      local parts = kind == "q" and 4 or kind == "d" and 2 or 1
      for i = 0, parts - 1 do list[#list + 1] = "s" .. number * parts + i end
    else list[#list + 1] = (kind:match "[vqds]" and "v" or "x") .. number
    end
  end
  return list
end

-- What each instruction of a loop costs: { latency, uops, uses = { [unit] = cycles } }; and how many there are of each
-- unit.
local function costs_of(region, report)
  local units, count, info = {}, {}, {}
  for i, name in ipairs(report.TargetInfo.Resources) do
    name = name:gsub("%.$", "")
    units[i - 1] = name
    count[name] = (count[name] or 0) + 1
  end
  for i, one in ipairs(region.InstructionInfoView.InstructionList) do
    info[i] = { latency = one.Latency, uops = one.NumMicroOpcodes, uses = {} }
  end
  for _, use in ipairs(region.ResourcePressureView.ResourcePressureInfo) do
    local one = info[use.InstructionIndex + 1]
    local name = units[use.ResourceIndex]
    if one then one.uses[name] = (one.uses[name] or 0) + use.ResourceUsage end
  end
  return info, count
end

-- The registers that each instruction of a loop writes and reads.
local function decoded_of(loop, arm32)
  local decoded = {}
  for i, one in ipairs(loop) do
    local parts = {}
    for part in (one.operands:gsub("[%[{].-[%]}]", function(s) return (s:gsub(",", " ")) end)
      .. ","):gmatch "%s*(.-)%s*," do parts[#parts + 1] = part end
    local stores = one.mnemonic:match "^v?st[rpm]" or one.mnemonic:match "^cmp" or one.target
    local written = stores and 0 or one.mnemonic:match "^ldp" and 2 or 1
    local writes, reads = {}, {}
    for k, part in ipairs(parts) do
      local list = registers(part, arm32)
      local accumulates = one.mnemonic:match "^v?f?m[l]a" or one.mnemonic:match "^vfma"
      for _, r in ipairs(list) do
        if k <= written and not part:match "^%[" then writes[#writes + 1] = r end
        if k > written or accumulates then reads[#reads + 1] = r end
      end
    end
    decoded[i] = { writes = writes, reads = reads }
  end
  return decoded
end

-- The unit of several that is free first.
local function first_free(free)
  local best = 1
  for u = 2, #free do
    if free[u] < free[best] then best = u end
  end
  return best
end

--- Cycles of an iteration on a core that issues in order, by the model's own latencies and units. `completes`: whether
-- an instruction waits until it will not end before one that was issued earlier, as llvm-mca has it of models that do
-- not say otherwise (RetireOOO).
local function in_order(model, loop, region, report, completes)
  local info, count = costs_of(region, report)
  local decoded = decoded_of(loop, not model.triple:match "^aarch64")
  local width = region.SummaryView.DispatchWidth
  local ready, free, now, slots, last_end, marks = {}, {}, 0, 0, 0, {}
  for name, n in pairs(count) do
    free[name] = {}
    for i = 1, n do free[name][i] = 0 end
  end
  local iterations = 40
  for iteration = 1, iterations do
    for i in ipairs(loop) do
      local one, d = info[i] or { latency = 1, uops = 1, uses = {} }, decoded[i]
      local start = now
      for _, r in ipairs(d.reads) do start = math.max(start, ready[r] or 0) end
      for name, cycles in pairs(one.uses) do
        if cycles > 0 then start = math.max(start, free[name][first_free(free[name])]) end
      end
      if completes then start = math.max(start, last_end - one.latency) end
      if start == now and slots + one.uops > width and slots > 0 then start = now + 1 end
      if start > now then now, slots = start, 0 end
      slots = slots + one.uops
      while slots > width do now, slots = now + 1, slots - width end
      for name, cycles in pairs(one.uses) do
        local best = first_free(free[name])
        if cycles > 0 then
          free[name][best] = math.max(free[name][best], start) + math.max(1, math.floor(cycles + 0.5))
        end
      end
      for _, r in ipairs(d.writes) do ready[r] = start + one.latency end
      last_end = math.max(last_end, start + one.latency)
    end
    marks[iteration] = now
  end
  return (marks[iterations] - marks[iterations // 2]) / (iterations - iterations // 2)
end

for _, folder in ipairs(folders) do
  local manifest = json.decode(sys.read_file(folder .. "/manifest.json"), "manifest.json")
  local board = boards.named(manifest.board)
  local model = MODELS[board.name]
  if not model then stop("%s: expected a board with a model, found %s", folder, board.name) end
  if options.cpu ~= "" then model = setmetatable({ cpu = options.cpu, nearest = "as asked" }, { __index = model }) end
  must { "make", "-C", folder, "lib", env = { MAKEFLAGS = false } }
  local tools = board.archiver and board.archiver:match "^(.*)ar$" or ""
  local listing = { tools .. "objdump", "-d", "--no-show-raw-insn",
    ("%s/%s_kernels.o"):format(folder, manifest.prefix) }
  if model.machine then table.move({ "-m", model.machine }, 1, 2, #listing + 1, listing) end
  local functions = disassembled(must(listing))

  -- Those of whole numbers the manifest does not list: each counts by its loop alone.
  local products = table.move(manifest.kernels, 1, #manifest.kernels, 1, {})
  for name in pairs(functions) do
    if name:match "_gemm_int8_" then products[#products + 1] = { name = name, M = 0, N = 0, K = 0 } end
  end

  -- Products that share a loop, the most work first.
  local groups, order = {}, {}
  for _, k in ipairs(products) do
    local found = k.name:find(options.only, 1, true) and main_loop(functions, k.name)
    if found then
      local text = assembly(found.loop)
      local key = text:gsub("%-?%$?0x%x+", ""):gsub("#%d+", "")
      local group = groups[key]
      if not group then
        group = { found = found, text = text, work = 0, products = {} }
        groups[key], order[#order + 1] = group, group
      end
      group.work = group.work + k.M * k.N * k.K * (k.calls or 1)
      group.products[#group.products + 1] = k.name
    end
  end
  if #order == 0 then stop("%s: expected loops with multiply-adds, found none", folder) end
  table.sort(order, function(a, b) return a.work > b.work or a.work == b.work and a.products[1] < b.products[1] end)
  local work_all, cycles_all, ours_all, instructions_all = 0, 0, 0, 0
  print(("%s: llvm-mca's %s%s"):format(board.name, model.cpu, model.nearest and " (" .. model.nearest .. ")" or ""))
  for i, group in ipairs(order) do
    local found = group.found
    if options.dump ~= "" then
      sys.mkdir_p(options.dump)
      sys.write_file(("%s/%s-%d.s"):format(options.dump, board.name, i), (model.head or "") .. group.text)
    end
    local free = {}
    for d = 1, 24 do free[d] = found.free(d) end
    local best = analysed(model, table.concat(free, "\n") .. "\n")
    local peak = 24 * found.lanes / best
    local cycles, region, report = analysed(model, group.text)
    local ours = model.in_order and in_order(model, found.loop, region, report, false)
    local same = model.in_order and in_order(model, found.loop, region, report, true)
    local each = #found.loop / found.macs
    print(("  %-26s %3d of %2d lanes, %.3f instructions a multiply-add; %7.1f cycles, %5.1f %% of %.4g a cycle%s; "
      .. "%d product%s"):format(found.name, found.count, found.lanes, each, cycles,
      100 * found.macs / cycles / peak, peak, ours
        and ("; %5.1f cycles, %5.1f %% if loads may end before (%5.1f if not)"):format(ours,
        100 * found.macs / ours / peak, same) or "", #group.products, #group.products > 1 and "s" or ""))
    work_all, cycles_all, instructions_all = work_all + group.work,
      cycles_all + group.work * cycles / found.macs * peak, instructions_all + group.work * each
    if ours then ours_all = ours_all + group.work * ours / found.macs * peak end
  end
  local ours = ours_all > 0 and (" (%.1f %%)"):format(100 * work_all / ours_all) or ""
  print(("  all of float32, by their multiply-adds: %.1f %%%s, %.3f instructions a multiply-add in the loops"):format(
    100 * work_all / cycles_all, ours, instructions_all / work_all))
end
sys.remove_tree(work)
