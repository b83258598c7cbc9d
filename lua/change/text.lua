-- SPDX-License-Identifier: Apache-2.0
--- What change.differences found, as lines for a person. Long lists end with how many more there are; JSON has all.
local closed = require "support.closed"
local layout = require "support.layout"
local names = require "import.names"

local text = {}

local MOST = 12 -- members of a list
local LONGEST = 160 -- bytes of a value

local function shown(value)
  if value == nil then return "none" end
  local said = names.show(value)
  return #said > LONGEST and layout.shortened(said, LONGEST) or said
end

-- A text without what a terminal would obey.
local function clean(said)
  return (said:gsub(utf8.len(said) and "[%c\127]" or "[%c\127-\255]", function(c)
    return ("\\x%02x"):format(c:byte())
  end))
end

local writer = {}
writer.__index = writer

function writer:line(begin, what)
  layout.append(self.lines, layout.hanging(begin, what, self.width))
end

function writer:head(what)
  self.lines[#self.lines + 1] = ""
  self.lines[#self.lines + 1] = self.paint and self.paint("heading", what) or what
end

-- Members of a list, each a line, and how many more there are. @param put function(member)
function writer:list(list, put)
  for i = 1, math.min(#list, MOST) do put(list[i]) end
  if #list > MOST then self:line("  ", ("and %d more: --json"):format(#list - MOST)) end
end

-- { what or name, old, new } as lines under a head.
function writer:changes(head, list)
  if #list == 0 then return end
  self:head(head)
  self:list(list, function(one)
    self:line("  " .. shown(one.what or one.name) .. "  ", ("%s -> %s"):format(shown(one.old), shown(one.new)))
  end)
end

function writer:names(begin, list)
  if #list == 0 then return end
  local said = {}
  for i = 1, math.min(#list, MOST) do said[i] = shown(list[i]) end
  if #list > MOST then said[#said + 1] = ("and %d more"):format(#list - MOST) end
  self:line(begin, table.concat(said, ", "))
end

local SAID = { ["build id"] = "the test bench's name of the build", weights = "names of the weights",
  answers = "known answers", comments = "comments", code = "code", interface = "interface" }

local function put_file(out, one)
  local bench = one.part ~= "product" and ", of the test bench" or ""
  out:line("  ", ("%s: %s%s"):format(shown(one.file), one.state ~= "changed" and one.state or SAID[one.class], bench))
  local functions = one.functions
  for _, kind in ipairs { "changed", "added", "removed" } do
    if functions then out:names(("    functions %s  "):format(kind), functions[kind]) end
  end
  if functions and functions.moved then out:line("    ", "functions in another order") end
  for _, kind in ipairs { "macros", "declarations" } do
    local said = {}
    for i, other in ipairs(one[kind] or {}) do said[i] = other.name end
    out:names(("    %s  "):format(kind), said)
  end
  if one.directives then out:line("    ", "other directives of the preprocessor") end
  local lines = one.lines
  if lines and not functions and #lines.removed + #lines.added > 0 then
    out:line("    ", ("%d lines removed, %d added"):format(#lines.removed, #lines.added))
  end
end

local function put_part(out, kind, one)
  local now = one.new or one.old
  out:line(("    %s  "):format(kind), ("%s %s%s: %d bytes at %d, of %s"):format(shown(one.segment), shown(one.role),
    one.bank and " of bank " .. shown(one.bank) or "", now.bytes, now.offset,
    #one.tensors > 0 and shown(table.concat(one.tensors, ", ")) or "no tensor"))
end

local function put_weights(out, found)
  local weights = found.weights
  local parts, tensors = weights.parts, weights.tensors
  out:head "weights"
  if not weights.equal and found.old.checkpoint_sha256 == found.new.checkpoint_sha256 then
    out:line("  ", "the checkpoint is the same; its tensors are packed otherwise, or of another precision")
  end
  if weights.equal then
    out:line("  ", "the same bytes")
  else
    out:line("  SHA-256  ", ("%s -> %s"):format(shown(weights.old.sha256), shown(weights.new.sha256)))
  end
  local differing = #parts.changed + #parts.added + #parts.removed
  if parts.same + differing > 0 then -- manifests of networks alone have them
    out:line("  parts  ", ("%d the same, %d changed, %d added, %d removed"):format(parts.same, #parts.changed,
      #parts.added, #parts.removed))
  end
  for _, kind in ipairs { "changed", "added", "removed" } do
    out:list(parts[kind], function(one) put_part(out, kind, one) end)
  end
  out:names("  tensors that went into these  ", tensors.touched)
  out:names("  tensors added  ", tensors.added)
  out:names("  tensors removed  ", tensors.removed)
  out:list(tensors.changed, function(one)
    out:line("  " .. shown(one.name) .. "  ", ("%s -> %s"):format(shown(one.old), shown(one.new)))
  end)
end

local function put_plan(out, plan)
  out:head "for the change plan"
  for _, one in ipairs(plan) do
    out:line(("  %-6s  "):format(one.what), clean(one.text))
    if one.names then out:names("          ", one.names) end
    if one.command then out:line("          ", clean(one.command)) end
  end
end

local SENTENCES = { identical = "All files, of the test bench, too, and the weights are the same bytes.",
  ["only the test bench"] = "The product and its weights are the same bytes; the test bench is another.",
  ["only weights"] = "No code differs: only weights, what names them, known answers and comments.",
  code = "Code differs; headers that a product includes declare the same.",
  interface = "What a product sees differs: declarations, sizes or constants of its headers.",
  ["same weights"] = "Inputs and weights are the same; other things that the files say are not.",
  ["other weights"] = "The inputs are the same, and the weights are not.",
  ["other training"] = "The inputs differ.",
  ["another compiler"] = "The build is the same; the compiler that its evidence was made with is another.",
  ["another build"] = "The bundles are of different builds.",
  ["other findings"] = "Build and compiler are the same; other things were measured, or they came out otherwise." }

local function put_sides(out, found)
  local alike = found.kind == "evidence" and found.verdict == "identical"
  out:line("", alike and "All files of the bundles are the same bytes." or SENTENCES[found.verdict])
  for _, which in ipairs { "old", "new" } do
    local side = found[which]
    local facts = { side.version and "msagen " .. shown(side.version) }
    facts[#facts + 1] = side.board and shown(side.board)
    out:line(which .. "  ", shown(side.path) .. (#facts > 0 and (" (%s)"):format(table.concat(facts, ", ")) or ""))
  end
  for _, which in ipairs { "old", "new" } do
    for _, name in ipairs(found[which].changed_by_hand or {}) do
      out:line("changed by hand: ", ("%s/%s"):format(shown(found[which].path), shown(name)))
    end
  end
end

local function put_answers(out, answers)
  if not answers then return end
  out:head "known answers"
  local function said(list) return list and shown(table.concat(list, " ")) or "none" end
  out:line("  ", answers.equal and "equal: " .. said(answers.new)
    or ("replaced: %s -> %s"):format(said(answers.old), said(answers.new)))
end

local function put_curve(out, curve)
  for _, which in ipairs { "old", "new" } do
    local row = curve[which]
    for _, kind in ipairs { "last", "validation" } do
      local said = {}
      for _, column in ipairs(closed.sorted(row and row[kind] or {})) do
        said[#said + 1] = ("%s %s"):format(shown(column), shown(row[kind][column]))
      end
      if #said > 0 then out:line(("  %s, %s  "):format(which, kind), table.concat(said, ", ")) end
    end
  end
end

local function put_training(out, found)
  out:changes("made of", found.inputs)
  out:changes("options", found.options)
  local script = found.script
  if script.old ~= script.new then
    out:line("  script  ", ("%s -> %s"):format(shown(script.old), shown(script.new)))
  end
  out:head "result"
  out:line("  SHA-256  ", ("%s -> %s"):format(found.old.sha256, found.new.sha256))
  out:line("  digest  ", ("%s -> %s"):format(shown(found.digest.old), shown(found.digest.new)))
  local tensors = found.tensors
  out:line("  tensors  ", ("%d the same, %d changed, %d added, %d removed"):format(tensors.same, #tensors.changed,
    #tensors.added, #tensors.removed))
  for _, kind in ipairs { "changed", "added", "removed" } do out:names(("  %s  "):format(kind), tensors[kind]) end
  if found.curve.old or found.curve.new then
    out:head "end of the curve"
    put_curve(out, found.curve)
  end
end

local function put_evidence(out, found)
  out:changes("build, compiler, images", found.inputs)
  out:changes("checks", found.checks)
  out:changes("bytes", found.sizes)
  out:names("files that differ  ", found.names)
end

local function put_build(out, found)
  out:changes("asked for", found.asked)
  out:head "sizes"
  for _, one in ipairs(found.sizes) do
    out:line("  " .. one.what .. "  ", one.old == one.new and tostring(one.old)
      or ("%s -> %s"):format(shown(one.old), shown(one.new)))
  end
  if #found.files > 0 then
    out:head "files"
    for _, one in ipairs(found.files) do put_file(out, one) end
  end
  out:line("  ", ("%d files the same; %d functions of the product the same"):format(found.same.files,
    found.same.functions))
  out:changes("constants of the library's header", found.constants)
  put_weights(out, found)
  put_answers(out, found.known_answers)
end

--- The lines. @param found of change.differences @param how { width, paint or nil }
function text.of(found, how)
  local out = setmetatable({ lines = { found.verdict }, width = how.width, paint = how.paint }, writer)
  put_sides(out, found)
  local put = found.kind == "training" and put_training or found.kind == "evidence" and put_evidence or put_build
  put(out, found)
  put_plan(out, found.plan)
  return out.lines
end

return text
