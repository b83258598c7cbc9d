-- SPDX-License-Identifier: Apache-2.0
--- Operations as plain C of one core, number by number: those that few networks have, and no kernel.

local scalar = {}

--- C of core 0 with the pointers of views in the place of @name, and numbers in that of $name.
function scalar.stage(lower, views, numbers, template)
  local names, list = {}, {}
  for name in pairs(views) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do list[i] = views[name] end
  lower:stage("zero", function(body)
    body:c(list, {}, function(text)
      local filled = template:gsub("@(%w+)", function(name)
        local pointer = text:pointer(assert(views[name], name))
        return pointer:find " " and "(" .. pointer .. ")" or pointer
      end)
      return (filled:gsub("%$(%w+)", function(name)
        local n = assert(numbers[name], name)
        return math.type(n) == "integer" and ("%du"):format(n) or n
      end))
    end)
  end)
end

--- A sum of a line, by sixteen partial sums that are added in a tree.
scalar.TREE = [[
for (size_t half = 8; half > 0; half /= 2) {
    for (size_t j = 0; j < half; ++j) {
        part[j] = part[j] + part[j + half];
    }
}]]

--- A text whose lines but the first are so many blanks further in.
function scalar.indented(text, by) return (text:gsub("\n", "\n" .. (" "):rep(by))) end

return scalar
