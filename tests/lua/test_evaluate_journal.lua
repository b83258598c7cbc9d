-- SPDX-License-Identifier: Apache-2.0
-- What an evaluation has done so far: kept over a kill, never mixed with other work.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local sys = spec.host "msagen.sys"
if not sys then return end

local journal = require "evaluate.journal"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-journal-")
sys.cleanup(work)

local binding = { model = "m", data = "d", options = "o" }
local count = 0
local function fresh()
  count = count + 1
  return ("%s/%d"):format(work, count)
end

local function write(out, rank, n, ...)
  local j = journal.open(out, { rank = rank, count = n }, binding)
  for _, case in ipairs { ... } do j:add { case = case, patient = "p", rows = { { class = "x", dice = 1 / 3 } } } end
  j:close()
  return j
end

local function cases(...)
  local list = {}
  for i, name in ipairs { ... } do list[i] = { name = name } end
  return list
end

describe("a journal", function()
  it("gives the cases of all parts, in the order of the data set, to the last bit", function()
    local out = fresh()
    write(out, 1, 2, "b", "d")
    write(out, 0, 2, "a", "c")
    local results = journal.collect(out, binding, cases("a", "b", "c", "d"))
    equal({ results[1].case, results[4].case, results[2].rows[1].dice }, { "a", "d", 1 / 3 })
  end)
  it("goes on after a line that was cut off", function()
    local out = fresh()
    write(out, 0, 1, "a", "b")
    local path = out .. "/journal/part-1-of-1.jsonl"
    local text = sys.read_file(path)
    sys.write_file(path, text:sub(1, -9))
    local j = journal.open(out, { rank = 0, count = 1 }, binding)
    equal({ j.done.a ~= nil, j.done.b }, { true })
    j:add { case = "b", patient = "p", rows = { { class = "x", dice = 1 / 3 } } }
    j:close()
    equal(sys.read_file(path), text)
    sys.write_file(path, "")
    write(out, 0, 1, "b")
    equal(journal.collect(out, binding, cases("b"))[1].case, "b")
  end)
  it("refuses a damaged line, cases that are missing, double or of no data set", function()
    local out = fresh()
    write(out, 0, 2, "a", "b")
    write(out, 1, 2, "c")
    refuses(function() journal.collect(out, binding, cases("a", "b", "c", "d", "e")) end, "2 missing", "d", "--merge")
    refuses(function() journal.collect(out, binding, cases("a", "c")) end, "found b")
    local path = out .. "/journal/part-1-of-2.jsonl"
    local text = sys.read_file(path)
    sys.write_file(path, (text:gsub('"a"', '"z"')))
    refuses(function() journal.collect(out, binding, cases("a")) end, "part-1-of-2.jsonl:2", "damaged")
    for _, value in ipairs { '{"cas_":"a"}', "7" } do -- found by fuzzing: its sum is right
      local sum = require "msagen.sha256".hex(value):sub(1, 16)
      sys.write_file(path, ("%s%s %s\n"):format(text:match "^[^\n]*\n", sum, value))
      refuses(function() journal.collect(out, binding, cases("a")) end, "part-1-of-2.jsonl:2", "another value")
    end
    sys.write_file(out .. "/journal/part-3-of-9.jsonl", text)
    sys.write_file(path, text)
    refuses(function() journal.collect(out, binding, cases("a")) end, "each case once", "found a")
  end)
  it("refuses the work of another evaluation, and says what differs", function()
    local out = fresh()
    write(out, 0, 1, "a")
    for field, words in pairs { model = "another model", data = "other data", options = "other options" } do
      local other = { model = "m", data = "d", options = "o" }
      other[field] = "else"
      refuses(function() journal.open(out, { rank = 0, count = 1 }, other) end, words, "work")
    end
    local nothing = fresh()
    journal.open(nothing, { rank = 0, count = 1 }, { model = "m", data = "e", options = "o" }):close()
    write(nothing, 0, 1, "a") -- no work was done of the other data
    equal(#journal.collect(nothing, binding, cases("a")), 1)
    sys.write_file(out .. "/journal/part-1-of-1.jsonl", "no journal\n")
    local j = journal.open(out, { rank = 0, count = 1 }, binding)
    equal(next(j.done), nil)
    j:close()
  end)
end)
