-- SPDX-License-Identifier: Apache-2.0
--- The control flow of a linked image's functions, from `objdump -d`: blocks, natural loops and, of each loop and
-- function, the most instructions that one pass takes. What is not of this kind is said: a jump through a table.
local callgraph = require "report.callgraph"

local flow = {}

-- ---- instructions ----

local CONDITION = { eq = true, ne = true, cs = true, hs = true, cc = true, lo = true, mi = true, pl = true, vs = true,
  vc = true, hi = true, ls = true, ge = true, lt = true, gt = true, le = true }

-- Whether a mnemonic, without its width, is this one with a condition.
local function conditional(mnemonic, of)
  return mnemonic:sub(1, #of) == of and CONDITION[mnemonic:sub(#of + 1):gsub("^%.", "")] or false
end

local function returns(mnemonic, operands)
  if mnemonic == "ret" or operands:find "^lr$" and mnemonic:find "^bx" then return true end
  return (mnemonic:find "^pop" or mnemonic:find "^ldm") and operands:find("pc}", 1, true) ~= nil
    or mnemonic:find "^ldr" and operands:find "^pc, %[sp%], #" ~= nil
end

-- What an instruction does with control: "call", "jump", "branch" (goes on, or jumps), "return", "maybe" (returns, or
-- goes on), "stop", "table", or nil: goes on.
local function control(mnemonic, operands, target)
  if callgraph.is_call(mnemonic) and not conditional(mnemonic, "b") then return "call" end
  if returns(mnemonic, operands) then
    for _, of in ipairs { "bx", "pop", "ldr", "ldmfd", "ldmia", "ldm" } do
      if conditional(mnemonic, of) then return "maybe" end
    end
    return "return"
  end
  if mnemonic:find "^ud" or mnemonic == "hlt" or mnemonic == "brk" then return "stop" end
  if target and callgraph.is_jump(mnemonic) then
    return (mnemonic == "b" or mnemonic == "jmp") and "jump" or "branch"
  end
  return callgraph.is_indirect(mnemonic, operands) and "table" or nil
end

-- Whether it writes to memory that is no place of the stack.
local function stores(mnemonic, operands)
  if mnemonic:find "^v?st[rmp1-4]" or mnemonic:find "^stu?r" then
    return not operands:find "%[sp" and not operands:find "^sp"
  end
  return mnemonic:find "^v?mov" and operands:find "%)$" and not operands:find "%(%%r[sb]p[,)]"
end

-- Instructions by address: { address, next, kind, target, stores }; and functions in order: { name, address }.
local function decoded(text)
  local at, functions, last = {}, {}, nil
  for line in text:gmatch "[^\n]+" do
    local start, name = line:match "^(%x+) <([^>]+)>:$"
    if start then
      functions[#functions + 1], last = { name = name, address = tonumber(start, 16) }, nil
    else
      local address, mnemonic, operands = line:match "^%s*(%x+):\t[%x ]+\t(%S+)%s*(.*)$"
      if mnemonic and not mnemonic:find "^%." then
        while mnemonic == "notrack" or mnemonic == "bnd" or mnemonic == "repz" and operands:find "^ret" do
          mnemonic, operands = operands:match "^(%S+)%s*(.*)$"
        end
        operands = operands:gsub("%s*//.*$", ""):gsub("%s*[;@].*$", ""):gsub("%s+# .*$", "")
        mnemonic = mnemonic:gsub("%.[nw]$", "")
        local target = operands:match "%f[%x](%x+) <[^>]*>$"
        local one = { address = tonumber(address, 16) }
        one.kind = control(mnemonic, operands, target)
        one.target = one.kind and target and tonumber(target, 16)
        one.stores = one.kind == "call" or stores(mnemonic, operands)
        if last then last.next = one.address end
        at[one.address], last = one, one
      end
    end
  end
  return at, functions
end

-- ---- blocks ----

local FAIL = {}

local function refuse(text) error(setmetatable({ text = text }, FAIL), 0) end

-- Where control may go within the function, and what it calls, from an instruction on.
local function successors(one, inside)
  if one.kind == "return" or one.kind == "stop" then return {} end
  if one.kind == "table" then refuse "a jump through a table" end
  local list = {}
  if one.kind ~= "jump" and one.next then list[1] = one.next end
  if (one.kind == "jump" or one.kind == "branch") and inside(one.target) then list[#list + 1] = one.target end
  return list
end

-- Instructions that are reached, and which of them begin a block.
local function reached(at, entry, inside)
  local seen, leads, queue = {}, { [entry] = true }, { entry }
  while #queue > 0 do
    local address = table.remove(queue)
    if not seen[address] then
      seen[address] = true
      local one = at[address] or refuse "a jump to no instruction"
      local list = successors(one, inside)
      for _, to in ipairs(list) do
        if one.kind and one.kind ~= "call" then leads[to] = true end
        queue[#queue + 1] = to
      end
    end
  end
  return seen, leads
end

-- Blocks by their first address: { address, list = instructions, to = list of blocks, out = true if it may leave the
-- function, calls = list of addresses, stores }.
local function blocks_of(at, entry, inside)
  local _, leads = reached(at, entry, inside)
  local blocks = {}
  for address in pairs(leads) do blocks[address] = { address = address, list = {}, to = {}, from = {}, calls = {} } end
  for _, block in pairs(blocks) do
    local one = at[block.address]
    while true do
      block.list[#block.list + 1] = one
      block.stores = block.stores or one.stores
      if one.kind == "call" or one.target and not inside(one.target) then
        block.calls[#block.calls + 1] = { target = one.target, address = one.address }
      end
      local list = successors(one, inside)
      if #list ~= 1 or leads[list[1]] or one.kind and one.kind ~= "call" then
        for _, to in ipairs(list) do
          block.to[#block.to + 1] = blocks[to]
          table.insert(blocks[to].from, block)
        end
        block.out = #list == 0 or one.kind == "maybe" or one.target and one.kind ~= "call" and not inside(one.target)
        break
      end
      one = at[list[1]]
    end
  end
  return blocks[entry], blocks
end

-- ---- loops ----

-- Blocks from the entry on, each before those that only it leads to; sets `order`.
local function ordered(entry)
  local list, state = {}, {}
  local function visit(block)
    state[block] = true
    for _, to in ipairs(block.to) do
      if not state[to] then visit(to) end
    end
    table.insert(list, block)
  end
  visit(entry)
  local out = {}
  for i = #list, 1, -1 do
    out[#out + 1] = list[i]
    list[i].order = #out
  end
  return out
end

-- Immediate dominators (Cooper, Harvey and Kennedy).
local function dominate(list)
  list[1].above = list[1]
  local function meet(a, b)
    while a ~= b do
      while a.order > b.order do a = a.above end
      while b.order > a.order do b = b.above end
    end
    return a
  end
  local changed = true
  while changed do
    changed = false
    for i = 2, #list do
      local new
      for _, from in ipairs(list[i].from) do
        if from.above then new = new and meet(new, from) or from end
      end
      if list[i].above ~= new then list[i].above, changed = new, true end
    end
  end
end

local function dominates(a, b)
  while b.order > a.order do b = b.above end
  return a == b
end

-- Natural loops, inner ones first: { header, body = set of blocks, latches, parent }; nil where one has two entries.
local function loops_of(list)
  local by_header, loops = {}, {}
  for _, block in ipairs(list) do
    for _, to in ipairs(block.to) do
      if to.order <= block.order then
        if not dominates(to, block) then return nil end
        local loop = by_header[to]
        if not loop then
          loop = { header = to, body = { [to] = true }, latches = {}, size = 1 }
          by_header[to] = loop
          loops[#loops + 1] = loop
        end
        table.insert(loop.latches, block)
        local queue = { block }
        while #queue > 0 do
          local one = table.remove(queue)
          if not loop.body[one] then
            loop.body[one], loop.size = true, loop.size + 1
            for _, from in ipairs(one.from) do queue[#queue + 1] = from end
          end
        end
      end
    end
  end
  table.sort(loops, function(a, b)
    if a.size ~= b.size then return a.size < b.size end
    return a.header.order < b.header.order
  end)
  for i, loop in ipairs(loops) do
    for k = i + 1, #loops do
      if loops[k].body[loop.header] then
        loop.parent = loops[k]
        break
      end
    end
  end
  return loops
end

-- ---- longest ways ----

-- The most instructions from `start` on, each loop within taken once and for nothing: what its passes take is its own.
-- @param own function(block) -> the loop within, or nil @param ends function(block, to or nil): a way ends there
-- @param skip blocks that a way must not have, or nil @return the most, or nil where no way ends
local function longest(start, within, own, ends, skip)
  local known = {}
  local function most(node)
    if known[node] ~= nil then return known[node] end
    known[node] = false
    local blocks, weight = { node }, #(node.list or {})
    if node.body then
      blocks = {}
      for block in pairs(node.body) do blocks[#blocks + 1] = block end
    elseif skip and skip(node) then return false
    end
    local best = false
    for _, block in ipairs(blocks) do
      if block.out and ends(block, nil) then best = best or 0 end
      for _, to in ipairs(block.to) do
        if not (node.body and node.body[to]) then
          if ends(block, to) then best = best or 0 end
          if within(to) and to ~= start then
            local rest = most(own(to) or to)
            if rest then best = math.max(best or 0, rest) end
          end
        end
      end
    end
    known[node] = best and best + weight
    return known[node]
  end
  return most(start) or nil
end

-- Sets of each loop `pass`, the most instructions of a pass, and `tested`: the most of a pass that comes to the end
-- without a store or call of the body, or nil: then a pass is no test alone.
local function measure(loops)
  for _, loop in ipairs(loops) do
    local function own(block)
      if block.loop ~= loop then
        local inner = block.loop
        while inner.parent ~= loop do inner = inner.parent end
        return inner
      end
    end
    local function within(block) return loop.body[block] end
    local function leaves(_, to) return to == nil or not loop.body[to] end
    local cycle = longest(loop.header, within, own, function(_, to) return to == loop.header end)
    loop.pass = math.max(cycle or 0, longest(loop.header, within, own, leaves) or 0)
    loop.tested = longest(loop.header, within, own, leaves, function(block) return block.stores end)
    loop.own, loop.exits = {}, {}
    for block in pairs(loop.body) do
      if block.loop == loop then
        loop.own[#loop.own + 1] = block
        for _, to in ipairs(block.to) do
          if not loop.body[to] then loop.exits[#loop.exits + 1] = block end
        end
      end
    end
    table.sort(loop.own, function(a, b) return a.order < b.order end)
  end
end

-- Of blocks from each of which control may come back to it (Tarjan) each as a loop by itself, of which no way is known.
-- `sure`: an instruction that is executed as often as its line says, since no compiler moves it.
local function regions_of(list)
  local index, low, on, stack, count, loops = {}, {}, {}, {}, 0, {}
  local function close(block)
    local region = {}
    repeat
      local one = table.remove(stack)
      on[one] = nil
      region[#region + 1] = one
    until one == block
    local again = #region > 1
    for _, to in ipairs(block.to) do again = again or to == block end
    for _, one in ipairs(again and region or {}) do
      local loop = { header = one, own = { one }, latches = {}, exits = {}, pass = #one.list, tested = #one.list,
        region = true }
      for _, instruction in ipairs(one.list) do
        if instruction.stores then loop.sure = instruction end
      end
      loops[#loops + 1], one.loop = loop, loop
    end
  end
  local function visit(block)
    count = count + 1
    index[block], low[block], on[block] = count, count, true
    stack[#stack + 1] = block
    for _, to in ipairs(block.to) do
      if not index[to] then visit(to) end
      if on[to] then low[block] = math.min(low[block], low[to]) end
    end
    if low[block] == index[block] then close(block) end
  end
  visit(list[1])
  local pass = 0
  for _, block in ipairs(list) do pass = pass + (block.loop and 0 or #block.list) end
  table.sort(loops, function(a, b) return a.header.order < b.header.order end)
  return loops, pass
end

local function function_of(at, f, inside)
  local entry = blocks_of(at, f.address, inside)
  local list = ordered(entry)
  dominate(list)
  local loops = loops_of(list)
  if not loops then
    local regions, pass = regions_of(list)
    return { name = f.name, address = f.address, blocks = list, loops = regions, pass = pass }
  end
  for i = #loops, 1, -1 do
    for block in pairs(loops[i].body) do block.loop = loops[i] end
  end
  measure(loops)
  local function own(block)
    local outer = block.loop
    while outer and outer.parent do outer = outer.parent end
    return outer
  end
  local start = own(entry) or entry
  return { name = f.name, address = f.address, blocks = list, loops = loops,
    pass = longest(start, function() return true end, own, function(_, to) return to == nil end) or 0 }
end

-- Of a function with a jump through a table, and none backwards, everything, once.
local function straight(at, f, stop)
  local block, one = { address = f.address, list = {}, to = {}, calls = {} }, at[f.address]
  while one do
    block.list[#block.list + 1] = one
    if one.kind == "call" or one.target and (one.target < f.address or one.target >= stop) then
      block.calls[#block.calls + 1] = { target = one.target, address = one.address }
    elseif one.target and one.target <= one.address then return nil
    end
    one = one.next and one.next < stop and at[one.next]
  end
  return { name = f.name, address = f.address, blocks = { block }, loops = {}, pass = #block.list }
end

--- Functions of an image in order: { name, address, blocks = { list of { address, kind, target }, calls = list of {
-- target, address }, loop }, loops, inner ones first = { header, latches, exits, own = blocks, parent, pass, tested },
-- pass = instructions of a call, those in loops apart } or { name, address, problem = text }.
-- @param disassembly of `objdump -d`
function flow.of(disassembly)
  local at, functions = decoded(disassembly)
  local starts, out = {}, {}
  for _, f in ipairs(functions) do starts[f.address] = not f.name:find("%.cold") end
  for i, f in ipairs(functions) do
    if starts[f.address] then
      -- A jump to another function's start leaves; one to itself is a loop.
      local function inside(target) return target == f.address or not starts[target] end
      local ok, made = pcall(function_of, at, f, inside)
      if not ok and getmetatable(made) ~= FAIL then error(made, 0) end
      if not ok then made = straight(at, f, functions[i + 1] and functions[i + 1].address or math.huge) or made end
      out[#out + 1] = (ok or made.pass) and made or { name = f.name, address = f.address, problem = made.text }
    end
  end
  return out
end

return flow
