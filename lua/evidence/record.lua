-- SPDX-License-Identifier: Apache-2.0
--- The verification record of a build as a software unit: what standards ask (evidence.clauses), each with the findings
-- of this bundle, where they come from, and what stays with the maker. Nothing in it but clauses is written by hand.
local arithmetic = require "target.arithmetic"
local clauses = require "evidence.clauses"
local facts = require "evidence.record_facts"
local layout = require "support.layout"

local record = {}

-- A fact with the file that has its details; those that could not be counted say so.
local function fact(self, name)
  local text, file = facts[name](self)
  return { text = text or name .. ": not measured", file = text and file }
end

-- The checks of the bundle whose ids begin so.
local function of_prefixes(self, prefixes, used)
  local list = {}
  for _, prefix in ipairs(prefixes) do
    for _, one in ipairs(self.checks) do
      if one.id:sub(1, #prefix) == prefix then
        list[#list + 1] = one
        used[one] = true
      end
    end
  end
  return list
end

-- The verdict on checks: the worst of them; of facts alone that they are traced; of neither that it is the maker's.
local function verdict(checks, stated)
  local status = { pass = 0, fail = 0, ["not measured"] = 0 }
  for _, one in ipairs(checks) do status[one.status] = status[one.status] + 1 end
  if status.fail > 0 then return "fail" end
  if #checks == 0 then return #stated > 0 and "traced" or "maker" end
  if status["not measured"] == 0 then return "pass" end
  return status.pass > 0 and "in part" or "not measured"
end

local function filled(self, row, used)
  local checks, stated = of_prefixes(self, row.checks, used), {}
  for i, name in ipairs(row.facts) do stated[i] = fact(self, name) end
  return { clause = row.clause, asks = row.asks, checks = checks, facts = stated, left = row.left or "",
    verdict = #row.checks > 0 and #checks == 0 and #stated == 0 and "not measured" or verdict(checks, stated) }
end

--- What is asked, and what this bundle answers.
-- @param self of evidence.make
-- @return a list of { name, id, rows = list of { clause, asks, checks = of the bundle, facts = list of { text, file or
--   nil }, verdict, left } }; the last has checks that no clause names, if there are any
function record.standards(self)
  local list, used = {}, {}
  for i, standard in ipairs(clauses.standards) do
    list[i] = { name = standard.name, id = standard.id, rows = {} }
    for k, row in ipairs(standard.rows) do list[i].rows[k] = filled(self, row, used) end
  end
  local rest = { name = "Checks that no clause above names", id = "further", rows = {} }
  for _, one in ipairs(self.checks) do
    if not used[one] then
      rest.rows[#rest.rows + 1] = { clause = one.id, asks = one.title .. ".", checks = { one }, facts = {}, left = "",
        verdict = verdict({ one }, {}) }
    end
  end
  if #rest.rows > 0 then list[#list + 1] = rest end
  return list
end

-- ---- as Markdown ----

local function cell(text) return (text:gsub("[|<>&]", { ["|"] = "\\|", ["<"] = "&lt;", [">"] = "&gt;",
  ["&"] = "&amp;" }):gsub("%s*\n%s*", " ")) end

local function table_of(head, rows)
  local out, rule = { "| " .. table.concat(head, " | ") .. " |\n" }, {}
  for i = 1, #head do rule[i] = "---" end
  out[2] = "|" .. table.concat(rule, "|") .. "|\n"
  for _, row in ipairs(rows) do out[#out + 1] = "| " .. table.concat(row, " | ") .. " |\n" end
  return table.concat(out)
end

-- The findings of a row in a cell, and its files.
local function found(row)
  local texts, from, seen = {}, {}, {}
  local function add(text, file)
    texts[#texts + 1] = text
    if file and not seen[file] then
      seen[file] = true
      from[#from + 1] = ("`%s`"):format(file)
    end
  end
  for _, one in ipairs(row.checks) do add(("`%s` %s: %s"):format(one.id, one.status, cell(one.found)), one.file) end
  for _, one in ipairs(row.facts) do add(cell(one.text), one.file) end
  return table.concat(texts, "<br>"), table.concat(from, ", ")
end

local function of_standard(standard)
  local rows = {}
  for i, row in ipairs(standard.rows) do
    local text, from = found(row)
    rows[i] = { row.clause, cell(row.asks), text, from, row.verdict, cell(row.left) }
  end
  return ("## %s\n\n%s\n"):format(standard.name, table_of({ "clause", "asks", "found in this build", "raw file",
    "verdict", "stays with the maker" }, rows))
end

local function unit(self)
  local folder, rows = self.folder, {}
  local function put(name, value)
    if value and value ~= "" then rows[#rows + 1] = { name, cell(tostring(value)) } end
  end
  put("network", ("%s, %d x %d, %d slice%s"):format(folder.checkpoint.dialect, folder.input_size, folder.input_size,
    folder.depth, folder.depth == 1 and "" or "s"))
  put("preparation of images", folder.preparation)
  put("board", folder.board)
  put("precision, arithmetic", ("%s, %s"):format(folder.precision or arithmetic.DEFAULT, folder.arithmetic))
  put("msagen", msagen.version)
  put("compiler", (facts.compiler(self)))
  put("build", folder.build)
  put("model", folder.model_hash)
  put("weights, SHA-256", folder.weights_sha256)
  put("checkpoint, SHA-256", folder.checkpoint.sha256)
  for _, image in ipairs(self.images) do
    put("image, SHA-256", ("%s, %s"):format(image.name, image.sha256 or "a folder"))
    if image.dice then
      put("the expert's mask of it, SHA-256", ("%s; Dice %.4f"):format(image.truth_sha256 or "a folder", image.dice))
    end
  end
  return table_of({ "the unit", "in this build" }, rows)
end

local function wrapped(begin, text) return table.concat(layout.hanging(begin, text, 100), "\n") .. "\n" end

local function bullets(list)
  local lines = {}
  for i, text in ipairs(list) do lines[i] = wrapped("- ", text) end
  return table.concat(lines)
end

local SOURCE = "`msagen evidence` filled this in from the measurements of one bundle; a raw file is a file of it. "
  .. "Clauses are cited by number, what they ask is in our own words."

local LEGEND = "A verdict is on the checks and facts in its row, of this build. Whether a clause is met, the maker and "
  .. "the assessor decide. `pass`, `fail`, `not measured`: of the checks. `in part`: some were not measured. "
  .. "`traced`: counted or looked up in the build, without a check that could fail. `maker`: this bundle has nothing "
  .. "to say."

--- The record as Markdown. @param self of evidence.make
function record.text(self)
  local out = { ("# Verification record: %s on %s\n\n"):format(self.folder.checkpoint.dialect, self.folder.board),
    wrapped("", SOURCE), "\n", unit(self), "\n", wrapped("", LEGEND), "\n" }
  for _, standard in ipairs(record.standards(self)) do out[#out + 1] = of_standard(standard) end
  out[#out + 1] = "## What only the maker can supply\n\n" .. bullets(clauses.maker)
  out[#out + 1] = "\n## What this record does not prove\n\n" .. bullets(clauses.unproved)
  out[#out + 1] = "\n| verified by | role | date | signature |\n|---|---|---|---|\n| | | | |\n"
  return table.concat(out)
end

return record
