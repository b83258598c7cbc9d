-- SPDX-License-Identifier: Apache-2.0
--- Functions of generated C, read off its text: what begins in the first column and has a body.
local c_text = {}

-- The text with comments, strings and characters blanked, line for line.
local function blanked(text)
  local function blank(s) return (s:gsub("[^\n]", " ")) end
  text = text:gsub("/%*.-%*/", blank):gsub('"[^"\n]*"', blank):gsub("'\\?[^'\n]'", blank)
  return text
end

local NO_CALL = { ["if"] = true, ["for"] = true, ["while"] = true, ["switch"] = true, ["return"] = true,
  ["sizeof"] = true, ["do"] = true, ["else"] = true }

--- @return a list in order of { name, first, last = lines, static, text = with comments blanked }
function c_text.functions(text)
  local list, line, at, open = {}, 0, nil, nil
  local head = {}
  for one in (blanked(text) .. "\n"):gmatch "([^\n]*)\n" do
    line = line + 1
    if at then
      at.lines[#at.lines + 1] = one
      if one:find "^}" then
        at.last, at.text, at.lines = line, table.concat(at.lines, "\n"), nil
        list[#list + 1], at = at, nil
      end
    else
      if one:find "^%a" then head, open = { one }, line elseif open then head[#head + 1] = one end
      local joined = table.concat(head, " ")
      if one:find "^#" or one:find ";%s*$" and not one:find "{" then
        head, open = {}, nil
      elseif open and one:find "{" then
        local name = not joined:find "^%s*enum" and not joined:find "=" and joined:match "([%w_]+)%s*%b()%s*{"
        if name then
          at = { name = name, first = open, static = joined:find "^static" ~= nil, lines = { joined } }
          if one:find "}%s*$" and not one:find "^}" and one:find "{" then
            at.last, at.text, at.lines = line, joined, nil
            list[#list + 1], at = at, nil
          end
        end
        head, open = {}, nil
      end
    end
  end
  return list
end

--- Names that a function's body calls, in order, each once.
function c_text.calls(f)
  local list, seen = {}, {}
  for name in f.text:match("{.*$"):gmatch "([%a_][%w_]*)%s*%(" do
    if not seen[name] and not NO_CALL[name] then
      seen[name] = true
      list[#list + 1] = name
    end
  end
  return list
end

return c_text
