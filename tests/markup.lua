-- SPDX-License-Identifier: Apache-2.0
-- Whether a page is HTML as it should be: every element that is opened is closed, in order; nothing but texts, entities
-- and quoted attributes; nothing from elsewhere; no script.
local markup = {}

local VOID = { meta = true, img = true, br = true }
local ENTITIES = { amp = true, lt = true, gt = true, quot = true, ["#39"] = true }
-- Attributes that load or lead: what they may hold.
local LEADS = { src = "^data:image/png;base64,[%w+/]+=*$", href = "^#[%w-]+$" }
local FORBIDDEN = { script = true, iframe = true, object = true, embed = true, link = true, base = true, form = true,
  foreignObject = true, audio = true, video = true }

local function check_text(text, problems)
  if text:find ">" then problems[#problems + 1] = "a bare > in " .. text:sub(1, 60) end
  for entity in text:gmatch "&([^;]*;?)" do
    if not (entity:match "^(.*);$" and ENTITIES[entity:match "^(.*);$"]) then
      problems[#problems + 1] = "a bare & before " .. entity:sub(1, 20)
    end
  end
end

local function check_attributes(name, rest, problems, beside)
  local left = rest:gsub('%s+([%w:-]+)="([^"]*)"', function(key, value)
    check_text(value, problems)
    if LEADS[key] and not value:find(LEADS[key]) and not (key == "href" and beside and beside[value]) then
      problems[#problems + 1] = ("%s %s leads to %s"):format(name, key, value:sub(1, 60))
    end
    if key:find "^on" then problems[#problems + 1] = ("%s has %s"):format(name, key) end
    return ""
  end):gsub("%s+[%w-]+%f[%s\0]", "")
  if left:find "%S" then problems[#problems + 1] = ("%s has %s"):format(name, left) end
end

--- What is wrong with a page, as a list of texts. @param beside set of files that links may lead to, or nil
function markup.problems(text, beside)
  local problems, open, at = {}, {}, 1
  local doctype = "<!DOCTYPE html>\n"
  if text:sub(1, #doctype) ~= doctype then problems[1] = "no doctype" else at = #doctype + 1 end
  while true do
    local from, to, slash, name, rest = text:find("<(/?)([%a][%w]*)([^<>]*)>", at)
    local between = text:sub(at, (from or #text + 1) - 1)
    if between:find "<" then problems[#problems + 1] = "a bare < before " .. between:sub(1, 40) end
    -- The style's text is no markup: a selector may hold >.
    if open[#open] ~= "style" then check_text(between, problems)
    elseif between:find "url%(" or between:find "@import" then problems[#problems + 1] = "the style loads something" end
    if not from then break end
    if FORBIDDEN[name] then problems[#problems + 1] = "an element " .. name end
    if slash == "/" then
      local last = table.remove(open)
      if last ~= name then
        problems[#problems + 1] = ("expected </%s>, found </%s>"):format(last or "nothing", name)
        break
      end
    else
      check_attributes(name, rest, problems, beside)
      if not VOID[name] then open[#open + 1] = name end
    end
    at = to + 1
  end
  if #open > 0 then problems[#problems + 1] = ("<%s> is not closed"):format(open[#open]) end
  if text:find "https?:" then problems[#problems + 1] = "an address of elsewhere" end
  return problems
end

return markup
