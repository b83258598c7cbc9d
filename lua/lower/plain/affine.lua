-- SPDX-License-Identifier: Apache-2.0
--- Lists of places as loops: rows that are moved by a list of where each comes from are mostly moved by a few patterns,
-- each of them runs of rows, at distances that stay the same.

local affine = {}

-- Equal patterns at equal distances, one behind the other, become one that is repeated.
local function grouped(list)
  local out, i = {}, 1
  while i <= #list do
    local first, n = list[i], 1
    local dto, dfrom
    while list[i + n] and list[i + n].key == first.key do
      local a, b = list[i + n - 1], list[i + n]
      local step_to, step_from = b.to - a.to, b.from and b.from - a.from
      if n == 1 then dto, dfrom = step_to, step_from end
      if step_to ~= dto or step_from ~= dfrom then break end
      n = n + 1
    end
    if n == 1 then out[#out + 1] = first
    else
      out[#out + 1] = { to = first.to, from = first.from, inner = first, count = n, by_to = dto, by_from = dfrom,
        key = ("%d x (%d %s) [%s]"):format(n, dto, tostring(dfrom), first.key) }
    end
    i = i + n
  end
  return out
end

--- @param index a list: where row i - 1 of the result comes from, from 0 @param most rows of what they come from: a
-- number that is not less stands for none
-- @return patterns of copies, and of rows that come from nowhere: { to, from?, rows } or { to, from?, inner = a
-- pattern, count, by_to, by_from }
function affine.of(index, most)
  local copies, empty = {}, {}
  local i = 1
  while i <= #index do
    local from, n = index[i], 1
    local none = from >= most
    while index[i + n] and (none and index[i + n] >= most or not none and index[i + n] == from + n
      and index[i + n] < most) do n = n + 1 end
    local list = none and empty or copies
    list[#list + 1] = { to = i - 1, from = not none and from or nil, rows = n, key = ("%d rows"):format(n) }
    i = i + n
  end
  local function all(list)
    local before
    repeat
      before = #list
      list = grouped(list)
    until #list == before
    return list
  end
  return all(copies), all(empty)
end

--- Loops over patterns, as Lower:parted takes them: one for each. @param act function(body, to, from, rows)
function affine.loops(patterns, act)
  local loops = {}
  local function loop(p, to, from, depth)
    return { variable = ("i%d"):format(depth), to = p.count or 1, of = "runs", build = function(body, i)
      if p.rows then return act(body, to, from, p.rows) end
      local at, source = to + i * p.by_to, from and from + i * p.by_from
      if p.inner.rows then return act(body, at, source, p.inner.rows) end
      local inner = loop(p.inner, at, source, depth + 1)
      body:each(inner, inner.build)
    end }
  end
  for i, p in ipairs(patterns) do loops[i] = loop(p, p.to, p.from, 1) end
  return loops
end

return affine
