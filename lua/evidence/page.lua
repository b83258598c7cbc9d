-- SPDX-License-Identifier: Apache-2.0
--- The evidence of a build as one page: what passed and failed first, then memory, layers, stack, numbers and the
-- traced rows in short, each with its raw file.
local build_facts = require "report.build_facts"
local page = require "report.page"
local requirements = require "evidence.requirements"
local sections = require "report.sections"

local evidence_page = {}

local h = page.element

local function raw(file) return page.note("Raw: ", h("a", { href = file }, file)) end

local function summary(self)
  local rows, count = {}, { pass = 0, fail = 0, ["not measured"] = 0 }
  for i, one in ipairs(self.checks) do
    count[one.status] = count[one.status] + 1
    rows[i] = { one.id, one.status, one.title, one.found,
      one.file and h("a", { href = one.file }, one.file) or "", class = one.status == "fail" and "bad" or nil }
  end
  return { id = "summary", title = "Summary",
    h("p", nil, ("%d passed, %d failed, %d not measured."):format(count.pass, count.fail, count["not measured"])),
    page.table { wide = true, caption = "Checks of this build", rows = rows,
      columns = { { name = "check" },
      { name = "status" }, { name = "what", class = "word" }, { name = "found", class = "word" },
      { name = "raw file", class = "name" } } } }
end

local function stack(self)
  local out = { id = "stack", title = "Stack and sections" }
  local report = self.sizes
  if not report then return out end
  local rows = {}
  for i, entry in ipairs(report.stack) do
    local chain = {}
    for k, node in ipairs(entry.chain) do chain[k] = ("%s %d"):format(node.name, node.frame) end
    rows[i] = { entry.entry, page.whole(entry.bytes), table.concat(chain, " > ") }
  end
  out[1] = page.facts { { name = "Compiler", value = ("%s %s, %s"):format(report.compiler, report.version,
    report.cflags) }, { name = "Code", value = page.bytes(report.text) },
    { name = "Constants", value = page.bytes(report.rodata) }, { name = "Data and bss",
      value = page.bytes(report.data + report.bss) } }
  out[2] = page.table { wide = true, caption = "Stack at most, bytes, and on which way", rows = rows,
    columns = { { name = "entry", class = "name" }, { name = "bytes", number = true },
      { name = "chain", class = "word" } } }
  out[3] = raw "stack.csv"
  return out
end

local function bound(self)
  local out = { id = "instructions", title = "Instructions at most" }
  if not self.instructions then return out end
  local rows = {}
  for i, one in ipairs(self.instructions) do
    rows[i] = { one.entry, one.most and page.whole(one.most) or "no bound",
      require("evidence.instructions").outside(one), one.open[1] or "" }
  end
  out[1] = h("p", nil, "What a call executes of this library's machine code at most: with the build's weights, and an "
    .. "image and a mask of no more pixels a side than the network takes. Instructions are no cycles; calls of "
    .. "functions outside the library come on top.")
  out[2] = page.table { wide = true, caption = "Instructions of a call", rows = rows,
    columns = { { name = "entry", class = "name" }, { name = "at most", number = true },
      { name = "calls of others, at most", class = "word" }, { name = "why there is no bound", class = "word" } } }
  out[3] = raw "instructions.csv"
  return out
end

local function numbers(self)
  local out = { id = "numbers", title = "Error against float64" }
  if not self.numerics then return out end
  local rows = {}
  for i, one in ipairs(self.numerics) do
    rows[i] = { one.layer, ("%.2e"):format(one.error), ("%.2e"):format(one.rms), one.image }
  end
  out[1] = h("p", nil, "The network as the build computes it, beside the same in double precision from the checkpoint "
    .. "on: the largest difference of a layer's result, relative to its largest value, and the root of the mean "
    .. "square.")
  out[2] = page.table { wide = true, caption = "Errors by layer, all layers before included", rows = rows,
    columns = { { name = "layer", class = "name" }, { name = "largest", number = true },
      { name = "mean square", number = true }, { name = "image", class = "name" } } }
  out[3] = raw "numerics.csv"
  return out
end

local function pictures(self)
  local out = { id = "pictures", title = "What it finds" }
  if self.pictures[1] then out[1] = page.pictures(self.pictures) end
  return out
end

local function requirements_table(self)
  local count, rows = {}, {}
  for _, row in ipairs(self.trace.rows) do
    local one = count[row.requirement] or { rows = 0, functions = {}, bytes = 0 }
    count[row.requirement] = one
    one.rows, one.bytes = one.rows + 1, one.bytes + (row.part and row.part.bytes or 0)
    if row.name then one.functions[row.file .. ":" .. row.name] = true end
  end
  for _, one in ipairs(requirements) do
    local found = count[one.id]
    if found then
      local functions = 0
      for _ in pairs(found.functions) do functions = functions + 1 end
      rows[#rows + 1] = { one.id, one.text, one.source, page.whole(functions), page.bytes(found.bytes) }
    end
  end
  local out = { id = "trace", title = "Traceability", page.table { wide = true,
    caption = "Requirements that this build has", rows = rows,
    columns = { { name = "requirement" }, { name = "text", class = "word" },
      { name = "source", class = "word" }, { name = "functions", number = true },
      { name = "weights", number = true } } },
    raw "trace.csv" }
  for _, problem in ipairs(self.trace.problems) do out[#out + 1] = page.note(problem) end
  return out
end

--- The page's text. @param self of evidence.make
function evidence_page.text(self)
  local folder = self.folder
  return page.document { title = ("Evidence: %s on %s"):format(folder.checkpoint.dialect, folder.board),
    subtitle = sections.model_line(build_facts.model(folder)), footer = "msagen " .. msagen.version,
    sections = { summary(self), pictures(self), requirements_table(self), stack(self), bound(self), numbers(self),
      sections.memory(build_facts.memory(folder)), sections.layers(build_facts.layers(folder, self.profile)),
      sections.made(build_facts.made(folder)) } }
end

return evidence_page
