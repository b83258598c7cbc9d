-- SPDX-License-Identifier: Apache-2.0
--- The call graph of a linked image, from binutils' listings, and the deepest stack below each function, from the
-- frames that the compiler writes (-fstack-usage).
-- What the sum of frames could not bound is an error: a frame of unknown size, a call through a pointer, a function
-- that calls itself.
local fail = require "support.fail"

local callgraph = {}

local function lines(text) return text:gmatch "[^\n]+" end

--- Whether a mnemonic is one of calls, or of jumps that name where they go.
function callgraph.is_call(mnemonic)
  return mnemonic:match "^call" or mnemonic:match "^bl[%.x]?" and not mnemonic:match "^bl[estci]"
end
function callgraph.is_jump(mnemonic)
  return mnemonic:match "^[bcjt]" or mnemonic:match "^le" or mnemonic:match "^wls"
end

--- Whether it is a jump to an address from a register or from memory; what returns is none.
function callgraph.is_indirect(mnemonic, operands)
  if operands:match "^%*" or mnemonic:match "^tb[bh]$" or mnemonic == "br" then return true end
  if mnemonic:match "^bx" then return operands ~= "lr" end
  if mnemonic:match "^ldr" and operands:match "^pc, " then return not operands:match "^pc, %[sp%], #" end
  return (mnemonic:match "^mov" and operands:match "^pc, " and operands ~= "pc, lr") or mnemonic:match "^add"
    and operands:match "^pc, "
end

--- Functions of `objdump -d`, in order: { name =, address =, targets = { [address] = "call" or "jump" }, pointer = true
-- if it calls through one, indirect = jumps that name no address }; and of x86-64: red, framed = bytes that it touches
-- below %rsp and below %rbp; aligned = bytes that it aligns %rsp to, if it does; argument_pointer = true
-- if %r10 keeps where %rsp was; pushed = bytes put on the stack before the first call, between it and the second...
function callgraph.functions(text)
  local list, at = {}, nil
  for line in lines(text) do
    local address, name = line:match "^(%x+) <([^>]+)>:$"
    if address then
      at = { address = tonumber(address, 16), name = name, targets = {}, indirect = 0, red = 0, framed = 0,
        pushed = { 0 } }
      list[#list + 1] = at
    elseif at then
      local mnemonic, operands = line:match "^%s*%x+:\t[%x ]+\t(%S+)%s*(.*)$"
      if mnemonic == "notrack" or mnemonic == "bnd" then mnemonic, operands = operands:match "^(%S+)%s*(.*)$" end
      if mnemonic then
        operands = operands:gsub("%s*//.*$", ""):gsub("%s*[;@].*$", ""):gsub("%s+# .*$", "")
        local target, call = operands:match "%f[%x](%x+) <[^>]*>$", callgraph.is_call(mnemonic)
        if target and (call or callgraph.is_jump(mnemonic)) then
          target = tonumber(target, 16)
          at.targets[target] = call and "call" or at.targets[target] or "jump"
        elseif call then at.pointer = true
        elseif callgraph.is_indirect(mnemonic, operands) then at.indirect = at.indirect + 1
        end

        local below, register = operands:match "%-0x(%x+)%(%%r([sb])p"
        if register == "s" then at.red = math.max(at.red, tonumber(below, 16)) elseif below then
          at.framed = math.max(at.framed, tonumber(below, 16)) end
        local mask = mnemonic:match "^and" and operands:match "^%$0xf+(%x%x),%%rsp$"
        if mask then at.aligned = 256 - tonumber(mask, 16) end
        at.argument_pointer = at.argument_pointer or operands == "0x8(%rsp),%r10"
        at.pushed[#at.pushed] = at.pushed[#at.pushed] + (mnemonic:match "^push" and 8 or mnemonic:match "^sub"
          and tonumber(operands:match "^%$(0x%x+),%%rsp$") or 0)
        if call then at.pushed[#at.pushed + 1] = 0 end
      end
    end
  end
  return list
end

--- Symbols of `objdump -t`: functions in order, { name =, address =, file = its source where it is local }; and bytes
-- of objects by name.
function callgraph.symbols(text)
  local functions, objects, file = {}, {}, nil
  for line in lines(text) do
    local address, flags, bytes, name = line:match "^(%x+) (.......) %S+\t(%x+) (.*)$"
    if flags then
      local is = flags:sub(7, 7)
      name = name:gsub("^%.%l+ ", "") -- how visible it is
      if is == "f" then file = name
      elseif is == "F" then functions[#functions + 1] = { name = name, address = tonumber(address, 16),
        file = flags:sub(1, 1) == "l" and file or nil }
      elseif is == "O" then objects[name] = tonumber(bytes, 16)
      end
    end
  end
  return functions, objects
end

-- A clone's name without the numbers of its endings, which symbols have all of (f.constprop.0.isra.0) and -fstack-usage
-- some (f.constprop.isra).
local function unnumbered(name) return (name:gsub("%.%d+", "")) end

--- Frames by function, from a .su file.
function callgraph.frames(text, file)
  local frames = {}
  for line in lines(text) do
    local name, bytes, kind = line:match "([^:\t]+)\t(%d+)\t(%S+)$"
    if not name then fail("%s: expected a function, its bytes and their kind, found %s", file, line) end
    -- "dynamic,bounded": the worst of what aligning the stack may waste, or arguments on it, are in the number.
    if kind ~= "static" and kind ~= "dynamic,bounded" then
      fail("%s: %s: expected a stack of fixed size, found one that is %s", file, name, kind)
    end
    name = unnumbered(name)
    frames[name] = math.max(frames[name] or 0, math.tointeger(bytes))
  end
  return frames
end

-- A function's frame: compilers add endings to the names of what they have cloned or parted.
local function frame_of(frames, name)
  name = unnumbered(name)
  while name and not frames[name] do name = name:match "^(.+)%.[^.]*$" end
  return name and frames[name]
end

-- What compilers leave out on x86-64: what a function that calls none uses below %rsp; what aligning %rsp may waste,
-- but where gcc keeps an argument pointer; and, clang, the return address and arguments on the stack.
local function left_out(f, frame, leaf, clang)
  local bytes = 0
  if clang then bytes = 8 + (#f.pushed > 1 and math.max(table.unpack(f.pushed, 2)) or 0) end
  if f.aligned and (clang or not f.argument_pointer) then bytes = bytes + f.aligned - (clang and 8 or 16) end
  if leaf then bytes = bytes + math.max(f.red, clang and f.framed > 0 and f.framed + 8 - frame or 0) end
  return bytes
end

-- Functions that the compiler or its options have made one are one, by the name that sorts first.
-- @param source function -> its source file @param even function(address) @return nodes by address, and by name
local function nodes_of(image, frames, source, even)
  local by_address, nodes, order = {}, {}, {}
  for _, f in ipairs(image.symbols) do
    local address, file = even(f.address), f.file or source[f.name]
    local node = by_address[address]
    if not node then
      node = { name = f.name, file = file, calls = {}, outside = image.outside[f.name] }
      by_address[address] = node
      order[#order + 1] = node
    elseif f.name < node.name then node.name = f.name
    end
    local frame = node.outside and 0 or frames[file] and frame_of(frames[file], f.name)
    if frame then node.frame = math.max(node.frame or 0, frame) end
  end
  local function named(name, file)
    for _, node in ipairs(order) do
      if node.name == name and (node.file == file or not file) then return node end
    end
  end
  for address, node in pairs(by_address) do -- parts that are seldom run belong to their functions
    local whole = node.name:match "^(.*)%.cold" and named(node.name:match "^(.*)%.cold", node.file)
    if whole then by_address[address], node.part = whole, true end
  end
  for _, node in ipairs(order) do
    if not node.part then
      if nodes[node.name] then node.name = ("%s (%s)"):format(node.name, tostring(node.file)) end
      nodes[node.name] = node
    end
  end
  return by_address, nodes
end

-- @return function(address) -> the start of the function that it is in
local function finder(functions, even)
  local starts = {}
  for i, f in ipairs(functions) do starts[i] = even(f.address) end
  table.sort(starts)
  return function(address)
    local low, high = 1, #starts
    while low < high do
      local middle = (low + high + 1) // 2
      if starts[middle] <= address then low = middle else high = middle - 1 end
    end
    return starts[low]
  end
end

--- The graph: functions by name, { name =, frame =, calls = { [name] = true }, file =, indirect = true if it has jumps
-- that name no address, outside = true for those that stand for others }. @param image { disassembly =, symbols =,
-- outside = set of names }
-- @param frames by source file, then function  @param where for messages
function callgraph.build(image, frames, where)
  local x86 = image.disassembly:find("file format elf64-x86", 1, true) ~= nil
  local function even(address) return x86 and address or address & ~1 end -- bit 0 of an address says Thumb
  local source, least = {}, math.huge
  for file, list in pairs(frames) do
    for name, bytes in pairs(list) do source[name], least = file, math.min(least, bytes) end
  end
  local clang = x86 and least < 8 -- gcc counts the return address
  local by_address, nodes = nodes_of(image, frames, source, even)
  local functions = callgraph.functions(image.disassembly)
  local start_of = finder(functions, even)
  for _, f in ipairs(functions) do
    local node = by_address[even(f.address)]
    if not node then fail("%s: %s: expected a function's symbol, found none", where, f.name) end
    if f.pointer then fail("%s: %s: expected no call through a pointer, found one", where, f.name) end
    if not node.frame then fail("%s: %s: expected its frame from -fstack-usage, found none", where, f.name) end
    node.indirect = node.indirect or f.indirect > 0
    local leaf = true
    for target, kind in pairs(f.targets) do
      local callee = by_address[start_of(target)]
      if callee ~= node or kind == "call" then node.calls[callee.name], leaf = true, false end
    end
    if x86 and not node.outside then node.frame = node.frame + left_out(f, node.frame, leaf, clang) end
  end
  return nodes
end

--- Sets for each function `depth`, the most stack that a call of it takes, `next`, what it calls on the deepest way,
-- and `above`, the most that is in use when it is called.
function callgraph.depths(nodes, where)
  local names, order = {}, {}
  for name in pairs(nodes) do names[#names + 1] = name end
  table.sort(names)
  local function visit(node, way)
    if node.depth then return node.depth end
    way[#way + 1] = node.name
    if node.open then
      fail("%s: %s: expected no function that calls itself, found %s", where, node.name, table.concat(way, " > "))
    end
    node.open, node.above = true, 0
    local deepest, callees = 0, {}
    for name in pairs(node.calls) do callees[#callees + 1] = name end
    table.sort(callees)
    for _, name in ipairs(callees) do
      local depth = visit(nodes[name], way)
      if depth > deepest then deepest, node.next = depth, name end
    end
    node.open, node.depth = nil, node.frame + deepest
    way[#way] = nil
    order[#order + 1] = node
    return node.depth
  end
  for _, name in ipairs(names) do visit(nodes[name], {}) end
  for i = #order, 1, -1 do -- callers before what they call
    for name in pairs(order[i].calls) do
      nodes[name].above = math.max(nodes[name].above, order[i].above + order[i].frame)
    end
  end
end

return callgraph
