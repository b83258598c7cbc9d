-- SPDX-License-Identifier: Apache-2.0
--- The evidence of a build as one page: what passed and failed first, then memory, layers, stack, numbers and the
-- traced rows in short, each with its raw file.
local build_facts = require "report.build_facts"
local clauses = require "evidence.clauses"
local closed = require "support.closed"
local page = require "report.page"
local record = require "evidence.record"
local sections = require "report.sections"
local trace = require "evidence.trace"

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

-- By file what was reached, and each place that was not with its record.
local function covered(self)
  local out = { id = "coverage", title = "Coverage" }
  local report = self.coverage
  if not report then return out end
  local rows, missed = {}, {}
  for i, file in ipairs(closed.sorted(report.files)) do
    rows[i] = { file }
    for _, kind in ipairs(require("report.coverage").KINDS) do
      local of = report.files[file][kind]
      rows[i][#rows[i] + 1] = of and ("%s of %s"):format(page.whole(of.reached), page.whole(of.all)) or ""
    end
  end
  for i, one in ipairs(report.unreached) do
    missed[i] = { ("%s:%d"):format(one.file, one.line), one["function"] or "", one.kind .. (one.outcome and ", "
      .. one.outcome or ""), one.record and one.record.why or "no record", class = not one.record and "bad" or nil }
  end
  out[1] = h("p", nil, "What the test program reaches of this build's C, compiled for the computer that made this "
    .. "bundle: statements, branches, and conditions of which a pair of runs shows that each alone decides (MC/DC).")
  out[2] = page.table { wide = true, caption = "Reached, by file", rows = rows, columns = { { name = "file",
    class = "name" }, { name = "statements", number = true }, { name = "branches", number = true },
    { name = "conditions", number = true } } }
  out[3] = raw "coverage.csv"
  out[4] = page.table { wide = true, caption = "Not reached", rows = missed, columns = { { name = "place",
    class = "name" }, { name = "function", class = "name" }, { name = "what", class = "word" },
    { name = "why", class = "word" } } }
  out[5] = raw "unreached.csv"
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
      { name = "root mean square", number = true }, { name = "image", class = "name" } } }
  out[3] = raw "numerics.csv"
  return out
end

-- The decoder's condition at each image, beside the error and the margins of the mask.
local function decoder(self)
  local out = { id = "condition", title = "Condition of the mask decoder" }
  if not self.condition then return out end
  local rows = {}
  for i, one in ipairs(self.condition) do
    rows[i] = { one.image, ("%.1f"):format(one.condition), ("%.1e"):format(one.embedding_error),
      ("%.1e"):format(one.bound), ("%.1e"):format(one.logits_error), ("%.1e"):format(one.largest_error),
      ("%.1e"):format(one.margin.least), page.whole(one.margin.within), page.whole(one.margin.other) }
  end
  out[1] = h("p", nil, "How much a small relative error of the image embedding can grow to in the logits, to first "
    .. "order: the largest singular value of the decoder's derivative in float64, times the embedding's size, by the "
    .. "logits'. A pixel can be on another side of the outline where its logit is no larger than the error.")
  out[2] = page.table { wide = true, caption = "By image", rows = rows, columns = { { name = "image", class = "name" },
    { name = "condition", number = true }, { name = "error of embedding", number = true },
    { name = "bound from it", number = true }, { name = "error of logits", number = true },
    { name = "largest of a logit", number = true }, { name = "smallest logit", number = true },
    { name = "pixels within error", number = true }, { name = "pixels that differ", number = true } } }
  out[3] = raw "condition.csv"
  return out
end

local function boards(self)
  local out = { id = "boards", title = "Other boards" }
  if not self.boards then return out end
  local rows = {}
  for i, one in ipairs(self.boards) do
    local none = one.why and "not run: " .. one.why or one.failed and "failed: " .. one.failed
    rows[i] = { one.board, one.arithmetic or "", none or one.way, one.compiler or "", one.image or "",
      one.digest and one.digest:sub(1, 16) or "", none and "" or one.same and "the interpreter's" or "another",
      class = (one.failed or one.digest and not one.same) and "bad" or nil }
  end
  out[1] = page.table { wide = true, caption = "Builds of the same checkpoint, run for this bundle", rows = rows,
    columns = { { name = "board", class = "name" }, { name = "arithmetic", class = "name" },
      { name = "how", class = "word" }, { name = "compiler", class = "name" }, { name = "image", class = "name" },
      { name = "digest", class = "name" }, { name = "which is" } } }
  out[2] = raw "boards.csv"
  return out
end

local function pictures(self)
  local out = { id = "pictures", title = "What it finds" }
  if self.pictures[1] then out[1] = page.pictures(self.pictures) end
  return out
end

local function requirements_table(self)
  local rows = {}
  for i, one in ipairs(trace.requirements(self.trace)) do
    local of = one.requirement
    rows[i] = { of.id, of.text, of.source, page.whole(one.functions), page.bytes(one.bytes) }
  end
  local out = { id = "trace", title = "Traceability", page.table { wide = true,
    caption = "Requirements that this build has", rows = rows,
    columns = { { name = "requirement" }, { name = "text", class = "word" },
      { name = "source", class = "word" }, { name = "functions", number = true },
      { name = "weights", number = true } } },
    raw "requirements.csv", raw "trace.csv" }
  for _, problem in ipairs(self.trace.problems) do out[#out + 1] = page.note(problem) end
  return out
end

-- A list of sentences below its heading.
local function sentences(title, list)
  local items = {}
  for i, text in ipairs(list) do items[i] = h("li", nil, (text:gsub("`", ""))) end
  return { h("h3", nil, title), h("ul", nil, items) }
end

-- The verification record's rows; the record itself has them as Markdown.
local function verification(self)
  local out = { id = "record", title = "Verification record", h("p", nil, "What standards ask of a software unit, by "
    .. "clause, and what this build answers. A verdict is on the checks and facts in its row."), raw "record.md" }
  for _, standard in ipairs(record.standards(self)) do
    local rows = {}
    for i, row in ipairs(standard.rows) do
      local found = {}
      local function add(text) found[#found + 1] = h("div", nil, (text:gsub("`", ""))) end
      for _, one in ipairs(row.checks) do add(("%s %s: %s"):format(one.id, one.status, one.found)) end
      for _, one in ipairs(row.facts) do add(one.text) end
      rows[i] = { row.clause, row.asks, found, row.verdict, row.left,
        class = row.verdict == "fail" and "bad" or nil }
    end
    out[#out + 1] = page.table { wide = true, caption = standard.name, rows = rows, columns = { { name = "clause",
      class = "word" }, { name = "asks", class = "word" }, { name = "found", class = "word" }, { name = "verdict" },
      { name = "stays with the maker", class = "word" } } }
  end
  out[#out + 1] = sentences("What only the maker can supply", clauses.maker)
  out[#out + 1] = sentences("What this record does not prove", clauses.unproved)
  return out
end

--- The page's text. @param self of evidence.make
function evidence_page.text(self)
  local folder = self.folder
  return page.document { title = ("Evidence: %s on %s"):format(folder.checkpoint.dialect, folder.board),
    subtitle = sections.model_line(build_facts.model(folder)), footer = "msagen " .. msagen.version,
    sections = { summary(self), pictures(self), verification(self), requirements_table(self), stack(self), bound(self),
      covered(self), numbers(self), decoder(self), boards(self),
      sections.memory(build_facts.memory(folder)),
      sections.layers(build_facts.layers(folder, self.profile), "msagen evidence --profile"),
      sections.made(build_facts.made(folder)) } }
end

return evidence_page
