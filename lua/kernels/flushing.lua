-- SPDX-License-Identifier: Apache-2.0
--- Kernels for vectors that take subnormals for zeros: element-wise loops of a kernel's text, which are written for
-- vectors that do not, are made to ask and to compute again (templates/simd.h). A loop
--     for (size_t j = FIRST; j < END; j += W) msa_store(TO, VALUE);
-- with braces or without, becomes one of up to 16 floats at a time: all of them are computed, held, and only then
-- stored, so that TO may be where VALUE loads from.
-- What is not in this form and computes must be the affair of its template.
local activations = require "graph.activations"

local flushing = {}

-- Operations that flush. A division is of scalars; loads, stores and splats only move.
local FLUSHES = { msa_vadd = true, msa_vsub = true, msa_vmul = true, msa_vfma = true, msa_vfnma = true,
  msa_vneg = true, msa_vmax = true, msa_vmin = true, msa_vselect = true, msa_vexp = true, msa_vlog2_near = true }
local BY_VECTOR = {}
for _, name in ipairs(activations.computed) do
  local entry = activations.entries[name]
  FLUSHES[entry.vector], BY_VECTOR[entry.vector] = true, entry
end
-- Those that can be computed again lane by lane.
local EXACT = { msa_vadd = "msa_exact_vadd", msa_vsub = "msa_exact_vsub", msa_vmul = "msa_exact_vmul",
  msa_vfma = "msa_exact_vfma" }

-- Templates that see to their other vectors themselves; softmax need not (docs/arithmetic.md).
local OWN = { tile = true, layernorm = true, softmax = true, softmax_int8 = true, exact_act = true }

local function computes(text)
  for name in text:gmatch "msa_v[%w_]+" do
    if FLUSHES[name] or FLUSHES[name:match "^msa_v%a*"] then return true end -- msa_vfma_lane3
  end
  return false
end

-- The two arguments of msa_store.
local function arguments(text)
  local depth = 0
  for at = 1, #text do
    local c = text:sub(at, at)
    if c == "(" then depth = depth + 1 elseif c == ")" then depth = depth - 1
    elseif c == "," and depth == 0 then return text:sub(1, at - 1), text:sub(at + 2) end
  end
end

local function loop(kernels, pad, name, first, last, to, value)
  local W, lines = kernels.isa.width, {}
  local function put(format, ...) lines[#lines + 1] = pad .. format:format(...) end
  local function at(text, place) return (text:gsub("%f[%w_]" .. name .. "%f[^%w_]", place)) end
  local function groups(from, to_here, size)
    if from == to_here then return end
    put("for (size_t %s = %d; %s < %d; %s += %d) {", name, from, name, to_here, name, size)
    for v = 0, size // W - 1 do
      put("    const msa_vec held%d = msa_hold(%s);", v,
        at(value, v == 0 and name or ("(%s + %d)"):format(name, v * W)))
    end
    put "    if (msa_flushed()) {"
    local again = ("(%s + again)"):format(name)
    put("        for (size_t again = 0; again < %d; again += %d) {", size, W)
    put("            msa_store(%s, %s);", at(to, again), (at(value, again):gsub("msa_v%a+%f[^%w_]", EXACT)))
    put "        }"
    put "        msa_clear_flushed();"
    put "    } else {"
    for v = 0, size // W - 1 do
      put("        msa_store(%s, held%d);", at(to, v == 0 and name or ("(%s + %d)"):format(name, v * W)), v)
    end
    put "    }"
    put "}"
  end
  local vector, place = value:match "^([%w_]+)%(msa_load%((.*)%)%)$"
  local act = place == to and BY_VECTOR[vector]
  if act then
    assert((last - first) % 16 == 0, "activations of groups of 16")
    put("for (size_t %s = %d; %s < %d; %s += 16) {", name, first, name, last, name)
    put("    %s(%s);", kernels:make("exact_act", ("msa_%s_x16"):format(act.name), { act = act.name,
      scalar = act.scalar, vector = act.vector }), to)
    put "}"
  else
    for op in value:gmatch "msa_v[%w_]+" do
      assert(EXACT[op] or not FLUSHES[op], op .. " cannot be computed again")
    end
    local whole = first + (last - first) // 16 * 16
    groups(first, whole, 16)
    groups(whole, last, last - whole)
  end
  return table.concat(lines, "\n")
end

-- Loops of one msa_store on one line each, without braces.
local function unbraced(text)
  return (text:gsub("(for %b()) {\n%s*(msa_store%b();)\n%s*}", function(head, statement)
    return head .. " " .. statement:gsub("\n%s*", " ")
  end))
end

-- Such a loop with its braces again.
local function braced(line) return (line:gsub("^(%s*)(for %b()) (msa_store%b();)$", "%1%2 {\n%1    %3\n%1}")) end

-- What each lane of a vector is in scalars, by the operation's name.
local SCALARS = { msa_vec = "float", msa_vfma = "msa_fma", msa_vmax = "msa_max", msa_vmin = "msa_min",
  msa_vselect = "msa_select", msa_vexp = "msa_exp", msa_vexponent = "msa_exponent", msa_vmantissa = "msa_mantissa",
  msa_vlog2_near = "msa_log2_near", msa_load_bytes = "msa_lane_load_bytes",
  msa_store_bytes = "msa_lane_store_bytes" }
for _, name in ipairs { "load", "store", "splat", "vadd", "vsub", "vmul", "vdiv", "vneg", "vfnma" } do
  SCALARS["msa_" .. name] = "msa_lane_" .. name
end

--- The text of a kernel that was written for vectors of one float, in scalar arithmetic.
function flushing.scalar(text)
  text = text:gsub("msa_[%w_]+", SCALARS)
  for name in text:gmatch "msa_v%a[%w_]*" do
    if FLUSHES[name] then error(name .. " has no scalar") end
  end
  return text
end

--- The text of a kernel for an instruction set that flushes.
-- @param kernels the build's kernels; @param file the template; @param text what it gave
function flushing.checked(kernels, file, text)
  local lines = {}
  for line in unbraced(text):gmatch "([^\n]*)\n" do
    local pad, name, first, last, step,
      inner = line:match "^(%s*)for %(size_t (%w+) = (%d+); %w+ < (%d+); %w+ %+= (%d+)%) msa_store%((.*)%);$"
    local to, value
    if pad then to, value = arguments(inner) end
    if pad and computes(value) then
      assert(math.tointeger(step) == kernels.isa.width)
      line = loop(kernels, pad, name, math.tointeger(first), math.tointeger(last), to, value)
    elseif not OWN[file] and computes(line) then
      error(("kernels/%s.c: vectors that flush subnormals cannot be checked here: %s"):format(file, line))
    end
    lines[#lines + 1] = braced(line)
  end
  return table.concat(lines, "\n") .. "\n"
end

return flushing
