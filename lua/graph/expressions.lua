-- SPDX-License-Identifier: Apache-2.0
--- Functions of one number, written once as an expression over defined operations. Of an expression follow its scalar C
-- text and its text in the vectors of templates/simd.h, what it costs, and the steps by which
-- gen/reference/reference.c computes it in every class of arithmetic.
--
-- An expression is a Lua function of x that says what it gives, in Lua's own + - * / and the operations of this module:
--     expressions.of(function(x) return min(max(x, 0), 6) end)
-- Each operation rounds once (fma in f32-muladd-1 twice) and is done in the order in which it stands; a value that is
-- used twice is computed once. Numbers are constants, which are rounded to float32 where the class is one of float32.
local closed = require "support.closed"

local expressions = {}

-- The operations, with operands a, b, c, d:
--   operands      how many
--   scalar        C text: operations of runtime/msa_arith.h, or an operator, which `infix` says
--   vector        C text: operations of templates/simd.h; without, only float64 has it
--   instructions  of a vector, divisions aside; arithmetic: multiplications and multiply-adds among them
--   divisions     of a vector
--   code          instructions of its text
--   registers     vectors that it needs beside operands and result
local OPERATIONS = {
  x = { operands = 0 },
  constant = { operands = 0 },
  add = { operands = 2, scalar = "a + b", infix = true, vector = "msa_vadd(a, b)", instructions = 1 },
  sub = { operands = 2, scalar = "a - b", infix = true, vector = "msa_vsub(a, b)", instructions = 1 },
  mul = { operands = 2, scalar = "a * b", infix = true, vector = "msa_vmul(a, b)", instructions = 1, arithmetic = 1 },
  div = { operands = 2, scalar = "a / b", infix = true, vector = "msa_vdiv(a, b)", divisions = 1, code = 1 },
  -- a * b + c: one rounding, in f32-muladd-1 two
  fma = { operands = 3, scalar = "msa_fma(a, b, c)", vector = "msa_vfma(a, b, c)", instructions = 1, arithmetic = 1 },
  max = { operands = 2, scalar = "msa_max(a, b)", vector = "msa_vmax(a, b)", instructions = 1 }, -- a if a > b, else b
  min = { operands = 2, scalar = "msa_min(a, b)", vector = "msa_vmin(a, b)", instructions = 1 }, -- a if a < b, else b
  abs = { operands = 1, scalar = "msa_from_bits(msa_bits(a) & 0x7fffffffu)", vector = "msa_vabs(a)", instructions = 1 },
  negate = { operands = 1, scalar = "-a", infix = true, vector = "msa_vsub(msa_splat(-0.0f), a)", instructions = 1 },
  -- c where a < b, else d
  select = { operands = 4, scalar = "msa_select(a, b, c, d)", vector = "msa_vselect(a, b, c, d)", instructions = 1 },
  -- of what is at most 0
  exp = { operands = 1, scalar = "msa_exp(a)", vector = "msa_vexp(a)", instructions = 12, arithmetic = 9, code = 16,
    registers = 12 },
  erfc = { operands = 1 },
}

local Node = {}

local function node(operation, ...)
  local made = { operation = operation, ... }
  for i = 1, select("#", ...) do
    local operand = made[i]
    if math.type(operand) then made[i] = setmetatable({ operation = "constant", constant = operand }, Node)
    elseif getmetatable(operand) ~= Node then
      error(("expressions: %s: expected numbers and expressions, found %s"):format(operation, type(operand)), 3)
    end
  end
  return setmetatable(made, Node)
end

Node.__add = function(a, b) return node("add", a, b) end
Node.__sub = function(a, b) return node("sub", a, b) end
Node.__mul = function(a, b) return node("mul", a, b) end
Node.__div = function(a, b) return node("div", a, b) end
Node.__unm = function(a) return node("negate", a) end

for _, name in ipairs { "fma", "max", "min", "abs", "select", "exp", "erfc" } do
  expressions[name] = function(...)
    local found, expected = select("#", ...), OPERATIONS[name].operands
    if found ~= expected then
      error(("expressions: %s: expected %d operands, found %d"):format(name, expected, found), 2)
    end
    return node(name, ...)
  end
end

local function f32(value) return (string.unpack("<f", string.pack("<f", value))) end

--- The digits of a number as float32, without C's f: rounded first, so that the decimals cannot round a second time.
function expressions.literal(value)
  local text = ("%.9g"):format(f32(value))
  return text:find "[.e]" and text or text .. ".0"
end

local Expression = {}
Expression.__index = Expression

--- The expression that a function of x gives: the list of its steps in order, the last of which is the result. A step
-- is { operation =, operands: numbers of steps before it... }, or { operation = "constant", constant = }.
function expressions.of(body)
  local steps, number = {}, {}
  local function visit(n)
    if number[n] then return number[n] end
    local step = { operation = n.operation, constant = n.constant }
    for i = 1, #n do step[i] = visit(n[i]) end
    steps[#steps + 1] = step
    number[n] = #steps
    return #steps
  end
  local x = setmetatable({ operation = "x" }, Node)
  visit(x)
  local result = body(x)
  if getmetatable(result) ~= Node then error("expressions: expected an expression, found " .. type(result), 2) end
  if result == x then error("expressions: expected something to compute, found x itself", 2) end
  visit(result)
  for _, step in ipairs(steps) do
    local value = step.constant
    if value and not (math.abs(f32(value)) < math.huge) then
      error("expressions: expected constants that are float32, found " .. value, 2)
    end
  end
  return setmetatable(steps, Expression)
end

--- The operations that only float64 has, in order.
function Expression:of_float64()
  local names = {}
  for _, step in ipairs(self) do
    if OPERATIONS[step.operation].operands > 0 and not OPERATIONS[step.operation].vector then
      names[step.operation] = true
    end
  end
  return closed.sorted(names)
end

--- What it takes: { instructions, arithmetic, divisions, code, registers: vectors at a time beside its own, constants
-- among them }.
function Expression:cost()
  local cost = { instructions = 0, arithmetic = 0, divisions = 0, code = 0, registers = 0 }
  local last, constants, known = {}, 0, {}
  for i, step in ipairs(self) do
    for _, from in ipairs(step) do last[from] = i end
    if step.constant and not known[step.constant] then known[step.constant], constants = true, constants + 1 end
  end
  for i, step in ipairs(self) do
    local entry, living = OPERATIONS[step.operation], 0
    for _, field in ipairs { "instructions", "arithmetic", "divisions" } do
      cost[field] = cost[field] + (entry[field] or 0)
    end
    cost.code = cost.code + (entry.code or entry.instructions or 0)
    for from = 1, step[1] and i - 1 or 0 do
      if not self[from].constant and last[from] > i then living = living + 1 end
    end
    cost.registers = math.max(cost.registers, living + (entry.registers or 0))
  end
  cost.registers = cost.registers + constants
  return cost
end

-- Characters of a statement's value at most, before a part of it becomes a statement of its own.
local WIDE = 88

-- The statements that compute it: function(step) -> literal of a constant, text of an operation, is it an operator.
local function body_of(steps, type_of, constant, entry_of)
  local uses, texts, infix, lines = {}, {}, {}, {}
  for _, step in ipairs(steps) do
    for _, from in ipairs(step) do uses[from] = (uses[from] or 0) + 1 end
  end
  local function name_it(i)
    lines[#lines + 1] = ("    const %s v%d = %s;"):format(type_of, #lines + 1, texts[i])
    texts[i], infix[i] = "v" .. #lines, false
  end
  local function text_of(step)
    local pattern, operator = entry_of(step)
    local letters = {}
    for k, from in ipairs(step) do
      letters[("abcd"):sub(k, k)] = operator and infix[from] and "(" .. texts[from] .. ")" or texts[from]
    end
    return (pattern:gsub("%f[%w_][abcd]%f[^%w_]", letters))
  end
  local function longest(step)
    local best
    for _, from in ipairs(step) do
      local compound = steps[from].operation ~= "x" and not steps[from].constant and not texts[from]:find "^v%d+$"
      if compound and (not best or #texts[from] > #texts[best]) then best = from end
    end
    return best
  end
  for i, step in ipairs(steps) do
    if step.operation == "x" then texts[i] = "x"
    elseif step.constant then
      texts[i] = constant(expressions.literal(step.constant) .. "f")
      infix[i] = texts[i]:find "^-" ~= nil
    else
      local text, operator = text_of(step), select(2, entry_of(step))
      while #text > WIDE and longest(step) do
        name_it(longest(step))
        text = text_of(step)
      end
      texts[i], infix[i] = text, operator
      if (uses[i] or 0) > 1 then name_it(i) end
    end
  end
  lines[#lines + 1] = ("    return %s;"):format(texts[#steps])
  return table.concat(lines, "\n")
end

--- The C function of a scalar, of operations of runtime/msa_arith.h.
function Expression:scalar(name)
  return ("static inline float %s(float x)\n{\n%s\n}\n"):format(name, body_of(self, "float",
    function(digits) return digits end, function(step)
    local entry = OPERATIONS[step.operation]
    return entry.scalar, entry.infix or false
  end))
end

--- The C function of a vector, of operations of templates/simd.h.
function Expression:vector(name)
  return ("static inline msa_vec %s(msa_vec x)\n{\n%s\n}\n"):format(name, body_of(self, "msa_vec",
    function(digits) return ("msa_splat(%s)"):format(digits) end,
    function(step) return OPERATIONS[step.operation].vector, false end))
end

return expressions
