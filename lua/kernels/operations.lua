-- SPDX-License-Identifier: Apache-2.0
--- Vector operations of generated kernels, counted in their text: what stands in a loop counts as often as the loop
-- runs.
-- Bounds of loops are numbers and parameters, which a call gives their values. Loops stand on one line each, and braces
-- close on lines of their own.
local activations = require "graph.activations"

local operations = {}

local KINDS = { msa_vfma = "fma", msa_vfma_scalar = "fma", msa_vpairs = "fma",
  msa_load = "load", msa_store = "store", msa_vadd = "add" }
for _, name in ipairs(activations.computed) do
  KINDS[activations.entries[name].vector] = activations.entries[name].counted
end
for lane = 0, 15 do KINDS["msa_vfma_lane" .. lane] = "fma" end

--- What stands between commas that no parenthesis holds, without blanks around.
function operations.split(list)
  local out, depth, first = {}, 0, 1
  for at, c in list:gmatch "()([(),])" do
    if c == "(" then depth = depth + 1 elseif c == ")" then depth = depth - 1
    elseif depth == 0 then
      out[#out + 1] = list:sub(first, at - 1):match "^%s*(.-)%s*$"
      first = at + 1
    end
  end
  out[#out + 1] = list:sub(first):match "^%s*(.-)%s*$"
  return out
end

-- The value of sums and products of numbers and names, or nil where a name has none.
local function value_of(text, bound)
  if not text:find "^[%w_ +*/-]+$" then return nil end
  for name in text:gmatch "%f[%w_][%a_][%w_]*" do
    if math.type(bound[name]) ~= "integer" then return nil end
  end
  local chunk = load("return " .. text:gsub("/", "//"), "=bound", "t", bound)
  return chunk and math.tointeger(chunk())
end

-- How often a loop runs: the inside of its parentheses.
local function trips(head, bound)
  local name, first, compared, last, step = head:match("^size_t (%w+) = (.-); (%w+) < (.-); (.+)$")
  local by = step and (step == "++" .. name and "1" or step:match("^" .. name .. " %+= (.+)$"))
  first, last, by = first and value_of(first, bound), last and value_of(last, bound), by and value_of(by, bound)
  if not (first and last and by) or compared ~= name then
    error("a loop without bounds that are known: " .. head)
  end
  return math.max(0, (last - first + by - 1) // by)
end

-- A function of a text: { name, parameters, lines }.
local function parsed(text)
  text = "\n" .. text:gsub("/%*.-%*/", "")
  local name, parameters, body = text:match "\n[%w ]*void ([%w_]+)(%b())\n(%b{})"
  if not name then error "a text without a function" end
  local f = { name = name, parameters = {}, lines = {} }
  for i, one in ipairs(operations.split(parameters:sub(2, -2))) do f.parameters[i] = one:match "([%w_]+)$" end
  local open = ""
  for line in body:sub(2, -2):gmatch "[^\n]+" do -- a statement may go on behind a comma
    open = open .. (open == "" and "" or " ") .. line:match "^%s*(.-)%s*$"
    if not open:find ",$" then
      f.lines[#f.lines + 1], open = open, ""
    end
  end
  return f
end

local Counter = {}
Counter.__index = Counter

-- Add what a line does, `times` over.
function Counter:line(ops, line, times, bound)
  for name, at, list in line:gmatch "([%w_]+)()(%b())" do
    local kind, f = KINDS[name], self.functions[name]
    if kind then ops[kind] = ops[kind] + times end
    -- else a constant
    if name == "msa_splat" and not line:find("^%(%d", at) then ops.broadcast = ops.broadcast + times end
    if f then
      local given = {}
      for i, argument in ipairs(operations.split(list:sub(2, -2))) do
        given[f.parameters[i]] = value_of(argument, bound)
      end
      for one, n in pairs(self:count(name, given)) do ops[one] = ops[one] + times * n end
    else self:line(ops, list:sub(2, -2), times, bound) end
  end
end

--- Operations of one call of a function. @param bound values of its parameters that loops depend on: name -> integer
-- @return { fma =, load =, broadcast =, store =, add =, and each activation }
function Counter:count(name, bound)
  local ops, open = { broadcast = 0 }, {}
  for _, kind in pairs(KINDS) do ops[kind] = 0 end
  for _, line in ipairs(self.functions[name].lines) do
    local times, rest = open[#open] or 1, line
    while true do
      local head, behind = rest:match("^for %((.-)%) (.*)$")
      if not head then break end
      times, rest = times * trips(head, bound), behind
    end
    if rest:find "^}" then open[#open] = nil end
    if rest:find "{$" then open[#open + 1] = times end
    self:line(ops, rest, times, bound)
  end
  return ops
end

--- A counter of the functions in a list of texts, each of which defines one.
function operations.counter(texts)
  local functions = {}
  for _, text in ipairs(texts) do
    local f = parsed(text)
    functions[f.name] = f
  end
  return setmetatable({ functions = functions }, Counter)
end

return operations
