-- SPDX-License-Identifier: Apache-2.0
--- What a C text defines, as it is written: functions, macros, other declarations, directives. Nothing is expanded.
-- Comments, texts and characters are no code; of `#if ... #else` all branches count, each from the depth of braces at
-- which it began. Texts that are no C give what can be found, and never an error.
local c_text = {}

local LONGEST_HEAD = 10000 -- bytes; what is longer heads no function

-- A text of the same length with nothing but its line ends.
local function blanked(text) return (text:gsub("[^\n]", " ")) end

-- Behind the closing quote of what begins at `at`; a line's end closes it, too.
local function quoted_end(text, at)
  local quote, i = text:sub(at, at), at + 1
  while true do
    local found = text:find("[\\\n" .. quote .. "]", i)
    if not found then return #text + 1 end
    local c = text:sub(found, found)
    if c == quote then return found + 1 end
    if c == "\n" then return found end
    i = found + 2
  end
end

local function comment_end(text, at)
  if text:sub(at, at + 1) == "/*" then
    local _, last = text:find("*/", at + 2, true)
    return (last or #text) + 1
  end
  return text:find("\n", at, true) or #text + 1
end

-- Where a directive ends: at a line's end before which no backslash stands, and that is in no comment.
local function directive_end(text, at)
  local i = at
  while true do
    local found = text:find("[\"'/\n]", i)
    if not found then return #text + 1 end
    local c = text:sub(found, found)
    if c == "\n" then
      if text:sub(found - 1, found - 1) ~= "\\" then return found end
      i = found + 1
    elseif c ~= "/" then i = math.max(quoted_end(text, found), found + 1)
    elseif text:find("^/[*/]", found) then i = comment_end(text, found)
    else i = found + 1 end
  end
end

-- Hand the comments, directives and quoted pieces of a text to visit(kind, first, behind), in order.
-- @param inside whether pieces of directives are wanted, too
local function pieces(text, inside, visit)
  local i, directive = 1, 0
  while true do
    local found = text:find("[\"'/#]", i)
    if not found then return end
    local c, behind, kind = text:sub(found, found), nil, nil
    if c == "#" then
      local line = found - 1
      while line > 0 and text:find("^[ \t]", line) do line = line - 1 end
      if found >= directive and (line == 0 or text:sub(line, line) == "\n") then
        kind, behind = "directive", directive_end(text, found)
        directive = behind
      end
    elseif c ~= "/" then
      kind, behind = "quoted", quoted_end(text, found)
    elseif text:find("^/[*/]", found) then
      kind, behind = "comment", comment_end(text, found)
    end
    if kind then visit(kind, found, behind) end
    i = (kind == "directive" and inside or not kind) and found + 1 or math.max(behind, found + 1)
  end
end

-- The text with pieces blanked of whose kind `blank` says so. @return it, and the list of { first, behind } of
-- directives
local function without(text, blank)
  local parts, at, directives = {}, 1, {}
  pieces(text, not blank.directive, function(kind, first, behind)
    if kind == "directive" then directives[#directives + 1] = { first, behind } end
    if not blank[kind] then return end
    parts[#parts + 1], parts[#parts + 2] = text:sub(at, first - 1), blanked(text:sub(first, behind - 1))
    at = behind
  end)
  parts[#parts + 1] = text:sub(at)
  return table.concat(parts), directives
end

--- A text without its comments, blanks at the ends of lines, and empty lines.
function c_text.bare(text)
  local lines = {}
  for line in (without(text, { comment = true }) .. "\n"):gmatch "(.-)[ \t]*\n" do
    if line ~= "" then lines[#lines + 1] = line end
  end
  return table.concat(lines, "\n")
end

-- A piece of code in one line, its comments left out.
local function in_line(text)
  return (without(text, { comment = true }):gsub("\\\n", " "):gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

-- What a definition's head names: the word before its last list of parameters. @return nil where it is no function's
local function function_named(head)
  if not head:find "%)%s*$" or head:find("=", 1, true) then return nil end
  local at, depth = #head, 0
  while at > 0 do
    local c = head:sub(at, at)
    if c == ")" then depth = depth + 1 end
    if c == "(" then
      depth = depth - 1
      if depth == 0 then
        local name, first = head:sub(1, at - 1):match "([%a_][%w_]*)()%s*$"
        if name and name ~= "__attribute__" then return name end
        at = name and first - #name or at
        if not head:sub(1, at - 1):find "%)%s*$" then return nil end
      end
    end
    at = at - 1
  end
end

-- What a declaration declares, by which two of them are paired.
local function declared(text)
  local constant = text:match "^enum%s*{%s*([%a_][%w_]*)"
  if constant then return constant end
  text = text:sub(1, LONGEST_HEAD):gsub("%b{}", "")
  local head = (text:match "^(.-)%s*=" or text):gsub("%b[]", "")
  return head:match "([%a_][%w_]*)%s*%b()%s*$" or head:match "([%a_][%w_]*)%s*$" or text
end

-- The depth of braces over `#if` and its branches.
local function branch(kind, depth, open)
  if kind:find "^if" then open[#open + 1] = depth
  elseif kind == "else" or kind == "elif" then return open[#open] or depth
  elseif kind == "endif" then open[#open] = nil end
  return depth
end

-- Walk what is outside of braces: visit(what, first, last), what being "body" of something in braces and "end" of what
-- a semicolon ends, first being where it began.
local function walk(text, masked, directives, visit)
  local at, next_one, depth, open, from, brace, found = 1, 1, 0, {}, 1, nil, 0
  while true do
    if found and found < at then found = masked:find("[{};]", at) end
    local one = directives[next_one]
    if one and (not found or one[1] < found) then
      depth = branch(text:match("^#%s*(%a*)", one[1]) or "", depth, open)
      next_one, at = next_one + 1, one[2]
    elseif not found then return
    else
      local c = masked:sub(found, found)
      if depth == 0 then from = masked:find("%S", from) end
      if c == "{" and depth == 0 and found - from < LONGEST_HEAD
        and masked:sub(from, found - 1):find "^%s*extern%s*$" then
        from = found + 1
      elseif c == "{" then
        if depth == 0 then brace = found end
        depth = depth + 1
      elseif c == ";" then
        if depth == 0 then
          visit("end", from, found)
          from = found + 1
        end
      elseif depth == 0 then from = found + 1
      else
        depth = depth - 1
        if depth == 0 and visit("body", from, found, brace) then from = found + 1 end
      end
      at = found + 1
    end
  end
end

-- Lines are counted on from place to place, which rise.
local function line_counter(text)
  local line, at = 1, 1
  return function(place)
    for _ in text:sub(at, place - 1):gmatch "\n" do line = line + 1 end
    at = math.max(at, place)
    return line
  end
end

local function macro_of(text)
  local name, rest = text:match "^#%s*define%s+([%a_][%w_]*)(.*)$"
  if not name then return nil end
  local parameters, value = rest:match "^(%b())(.*)$"
  return { name = name, parameters = parameters, value = in_line(value or rest) }
end

-- Whether a place is in one of the functions, which are in order.
local function inside(functions, place)
  local low, high = 1, #functions
  while low <= high do
    local middle = (low + high) // 2
    local one = functions[middle]
    if place < one.from then high = middle - 1 elseif place > one.to then low = middle + 1 else return true end
  end
  return false
end

--- Read a text. @return { functions = list of { name, first, last: lines; from, to: bytes; text; code, the same with
-- comments and texts blanked }; macros = list of { name, parameters = text in brackets or nil, value }; declarations =
-- list of { name, text in one line }; directives = list of the other directives outside of functions, in one line each
-- }
function c_text.read(text)
  local masked, directives = without(text, { comment = true, quoted = true, directive = true })
  local functions, macros, declarations, others = {}, {}, {}, {}
  local bare = without(text, { comment = true, directive = true })
  local line = line_counter(text)
  walk(text, masked, directives, function(what, from, to, brace)
    if what == "body" then
      local name = brace - from <= LONGEST_HEAD and function_named(masked:sub(from, brace - 1))
      if not name then return false end
      functions[#functions + 1] = { name = name, from = from, to = to, first = line(from), last = line(to),
        text = text:sub(from, to), code = masked:sub(from, to) }
      return true
    end
    local short = bare:sub(from, to):gsub("%s+", " ")
    if short ~= ";" then
      declarations[#declarations + 1] = { name = declared((masked:sub(from, to - 1):gsub("%s+", " "))), text = short }
    end
  end)
  for _, one in ipairs(directives) do
    local directive = text:sub(one[1], one[2] - 1)
    local macro = macro_of(directive)
    if macro then macros[#macros + 1] = macro
    elseif not inside(functions, one[1]) then others[#others + 1] = in_line(directive) end
  end
  return { functions = functions, macros = macros, declarations = declarations, directives = others }
end

return c_text
