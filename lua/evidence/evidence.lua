-- SPDX-License-Identifier: Apache-2.0
--- The evidence of one build for who assesses the device: each check measured on that build, a table a subject, and a
-- page that says what passed, what failed, and what was not measured. The same build gives the same bytes.
local arithmetic = require "target.arithmetic"
local closed = require "support.closed"
local csv = require "evaluate.csv"
local fail = require "support.fail"
local json = require "msagen.json"
local recorded = require "compiler.recorded"
local schema = require "support.schema"
local sha256 = require "msagen.sha256"
local sys = require "msagen.sys"
local trace = require "evidence.trace"

local evidence = {}

local Evidence = {}
Evidence.__index = Evidence

--- Note a check. @param status "pass", "fail", "not measured" @param file of the bundle that has the details, or nil
function Evidence:check(id, title, status, found, file)
  self.checks[#self.checks + 1] = { id = id, title = title, status = status, found = found, file = file }
end

-- What a body gives, or false and the line that it failed with.
local function tried(body)
  local ok, result = pcall(body)
  if ok then return result end
  if type(result) == "table" and result.msagen then return false, result.msagen end
  error(result, 0)
end

local ON_BOARDS = "Builds of the checkpoint for other boards give the digest of their class of arithmetic"
local REPETITIONS = 3 -- of a profile

local USED = "Tensors that the build uses, by their SHA-256"

local SAME_BITS = "The build's embedding and logits are the interpreter's, bit for bit"

local WHOLE, NAMES = schema.whole(0, math.maxinteger), schema.list_of(schema.text, 0, "names")

-- A list of tables with these fields, and others.
local function records(fields)
  local one = schema.kind(function(value)
    if type(value) ~= "table" then return "a table" end
    local ok, problem = pcall(schema.check_known, value, fields, "table")
    if ok then return nil end
    return "tables as msagen writes them", type(problem) == "table" and problem.msagen or error(problem, 0)
  end)
  return schema.list_of(one, 0, "tables")
end

-- What evidence reads of a manifest beside run.manifest's fields.
local FIELDS = { layers = { records { name = { schema.text, true }, kind = { schema.text, true },
  phase = { schema.one_of("encode", "decode"), true }, number = { WHOLE, true }, macs = { WHOLE, true },
  operations = { records { id = { WHOLE, true } }, true } }, true },
  parts = { records { role = { schema.text, true }, offset = { WHOLE, true }, bytes = { WHOLE, true },
    crc32c = { schema.text, true }, tensors = { NAMES, true },
    ["function"] = { schema.text } }, true },
  tensors = { records { name = { schema.text, true }, fate = { schema.text, true }, dtype = { schema.text, true },
    shape = { schema.table, true } }, true },
  pruned = { records { tensors = { NAMES, true } }, true },
  checkpoint = { schema.record { sha256 = { schema.text, true }, dialect = { schema.text, true } }, true },
  segments = { records {}, true }, buffers = { records {}, true }, arena_bound_bytes = { WHOLE, true },
  weights_sha256 = { schema.text, true }, device = { schema.table, true } }

-- Files and weights are those that msagen wrote; others are refused by name.
local function check_files(folder)
  folder:refuse_changed()
  local _, changed = require("run.made").hashes(folder)
  if changed[1] then
    fail("%s: expected what msagen wrote, found %s: build the folder again", folder:file(changed[1]),
      sys.exists(folder:file(changed[1])) and "other bytes" or "no such file")
  end
  local weights = folder:file(folder.weights)
  local found = sha256.file(weights)
  if found ~= folder.weights_sha256 then
    fail("%s: expected the build's weights, of SHA-256 %s, found %s", weights, folder.weights_sha256,
      found or "no such file")
  end
end

-- ---- static ----

local function stack_csv(report)
  local lines = { csv.line { "entry", "stack_bytes", "chain" } }
  for _, entry in ipairs(report.stack) do
    local chain = {}
    for i, node in ipairs(entry.chain) do chain[i] = ("%s %d"):format(node.name, node.frame) end
    lines[#lines + 1] = csv.line { entry.entry, entry.bytes, table.concat(chain, " > ") }
  end
  return table.concat(lines)
end

local function functions_csv(report)
  local lines = { csv.line { "function", "frame_bytes", "deepest_stack_bytes" } }
  for _, f in ipairs(report.functions) do lines[#lines + 1] = csv.line { f.name, f.frame, f.stack } end
  return table.concat(lines)
end

-- What a build takes of the device, bytes. What only the compiled library tells is missing where it was not compiled.
local function resources(self)
  local folder, report = self.folder, self.sizes or {}
  local bytes, lines = { arena = folder.arena_bytes, weights = folder.weights_bytes }, { csv.line { "what", "bytes" } }
  for _, name in ipairs { "session", "text", "rodata", "data", "bss" } do bytes[name] = report[name] end
  for _, name in ipairs(closed.sorted(bytes)) do lines[#lines + 1] = csv.line { name, bytes[name] } end
  self.resources, self.files["resources.csv"] = bytes, table.concat(lines)
end

local ALLOCATORS = { malloc = true, calloc = true, realloc = true, reallocarray = true, free = true,
  aligned_alloc = true, memalign = true, posix_memalign = true, strdup = true, strndup = true, sbrk = true,
  mmap = true }

-- What the library leaves open is no allocator's. Functions of msagen's own that allocate would leave one open.
local function no_allocator(self)
  local title = "The library calls no function that allocates memory"
  if not self.sizes then return self:check("MEM-01", title, "not measured", "the library was not compiled") end
  local lines, names, bad = { csv.line { "function", "stack_in_use" } }, {}, {}
  for i, one in ipairs(self.sizes.outside) do
    lines[i + 1], names[i] = csv.line { one.name, one.in_use }, one.name
    if ALLOCATORS[one.name] then bad[#bad + 1] = one.name end
  end
  self.files["outside.csv"] = table.concat(lines)
  self:check("MEM-01", title, #bad == 0 and "pass" or "fail", #bad > 0 and table.concat(bad, ", ")
    or "it leaves open, hooks among them: " .. table.concat(names, ", "), "outside.csv")
end

local INSTRUCTIONS = "Machine instructions of a call of each entry point, at most"

-- The bound of instructions: encode and segment must have one.
local function instructions(self)
  local list = self.instructions
  if not list then return self:check("STA-05", INSTRUCTIONS, "not measured", self.unbounded) end
  self.files["instructions.csv"] = require("evidence.instructions").csv(list)
  local status, found, none = "pass", {}, {}
  for _, one in ipairs(list) do
    local name = one.entry:match "_(.*)$"
    local needed = name == "encode" or name == "segment"
    if one.most and needed then found[#found + 1] = ("%s %d"):format(one.entry, one.most) end
    if not one.most then none[#none + 1] = one.entry end
    if one.broken then status = "fail" elseif needed and not one.most and status == "pass" then
      status = "not measured"
    end
    if one.broken or needed and not one.most then found[#found + 1] = ("%s: %s"):format(one.entry, one.open[1]) end
  end
  self:check("STA-05", INSTRUCTIONS, status, table.concat(found, ", ")
    .. (none[1] and "; no bound of " .. table.concat(none, ", ") or ""), "instructions.csv")
end

-- What the Makefile has where another compiler or other flags were asked for.
local function instead_of(self)
  if not (self.cc or self.cflags) then return nil end
  local tools, makefile = require "report.tools", self.folder:file "Makefile"
  return ("%s %s"):format(tools.variable(makefile, "CC"), tools.variable(makefile, "CFLAGS"))
end

-- Sections, stack and call graph of the library as the compiler makes it, and the bound of its instructions.
local function static(self)
  local work, list, unbounded = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-evidence-"), nil, nil
  local report, why = tried(function()
    return require("report.sizes").measure(self.folder, work, self.cc, self.cflags, true)
  end)
  if report then
    list, unbounded = tried(function()
      local texts = {}
      for i, name in ipairs(self.text.files) do texts[i] = sys.read_file(self.folder:file(name)) end
      return require("evidence.instructions").of(self.text, texts, report)
    end)
  end
  sys.remove_tree(work)
  sys.keep(work)
  self.instructions, self.unbounded = list or nil, why or unbounded
  if not report then return self:check("STA-01", "Worst stack of each entry point", "not measured", why) end
  self.sizes = report
  self.compiler = { name = report.compiler, version = report.version, flags = report.target .. " " .. report.cflags,
    instead_of = instead_of(self) }
  self.files["stack.csv"], self.files["functions.csv"] = stack_csv(report), functions_csv(report)
  local worst = report.stack[1]
  for _, entry in ipairs(report.stack) do worst = entry.bytes > worst.bytes and entry or worst end
  self:check("STA-01", "Worst stack of each entry point; no recursion, no call through a pointer", "pass",
    ("%d bytes at most (%s), by %s %s"):format(worst.bytes, worst.entry, report.compiler, report.version), "stack.csv")
end

-- What layers reach: keys of functions.
local function reached_by_layers(self)
  local set = {}
  for _, L in ipairs(trace.layers(self.folder, self.text)) do
    for _, key in ipairs(L.functions) do require("evidence.text").reached(self.text, key, set) end
  end
  return set
end

-- Loops of what is generated for the network. Those of a front end, whose tables say how often, are listed as well.
local function bounded(self)
  local list, ours = require("evidence.loops").of(self.text, trace.OF_NETWORK), reached_by_layers(self)
  local lines, open = { csv.line { "function", "file", "line", "loop", "trips_at_most" } }, {}
  for i, one in ipairs(list) do
    lines[i + 1] = csv.line { one.name, one.file, one.line, one.header, one.trips or false }
    if not one.trips and ours[one.key] then open[#open + 1] = ("%s:%d %s"):format(one.file, one.line, one.name) end
  end
  self.files["loops.csv"] = table.concat(lines)
  self:check("STA-02", "Every loop of the network's functions has a bound that is a constant of the build",
    #open == 0 and "pass" or "fail", #open == 0 and ("%d loops"):format(#list) or table.concat(open, "; "), "loops.csv")
end

-- Names of functions from "function: for (...)".
local function functions_of(open)
  local names = {}
  for _, one in ipairs(open) do names[one:match "^[^:]*"] = true end
  return table.concat(closed.sorted(names), ", ")
end

-- Operations of each layer.
local function counted(self)
  local list, names, open = require("evidence.operations").of(self.text, trace.layers(self.folder, self.text))
  local lines = { csv.line { "phase", "number", "layer", "multiply_adds", table.unpack(names) } }
  for i, one in ipairs(list) do
    local L = self.folder.layers[i]
    local row = { L.phase, L.number, L.name, L.macs }
    for k, name in ipairs(names) do row[k + 4] = one.operations[name] or 0 end
    lines[i + 1] = csv.line(row)
  end
  self.files["operations.csv"] = table.concat(lines)
  self:check("STA-03", "Operations of a call of each layer, at most, by kind", "pass", ("%d layers, %d kinds%s"):format(
    #list, #names, #open == 0 and "" or "; not counted: loops that no constant bounds, in " .. functions_of(open)),
    "operations.csv")
end

-- Note a tool of a check with its version.
local function tool(self, name)
  self.tools[#self.tools + 1] = { name = name, version = require("report.tools").told(name) or "unknown" }
end

-- MISRA C:2012, by cppcheck's add-on, beside the records of deviations.
local function misra(self, asked)
  local title = "MISRA C:2012: each finding of cppcheck's add-on has a record"
  if not asked then return self:check("STA-04", title, "not measured", "expected --misra, found none") end
  local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-evidence-")
  local report, why = tried(function() return require("report.static_misra").collect(self.folder, work) end)
  sys.remove_tree(work)
  sys.keep(work)
  if not report then return self:check("STA-04", title, "not measured", why) end
  tool(self, "cppcheck")
  local lines = { csv.line { "rule", "category", "file", "line", "column", "function", "why", "argument",
    "verified_by" } }
  for i, one in ipairs(report.findings) do
    local record = one.record or {}
    lines[i + 1] = csv.line { one.rule, record.category or false, one.file, one.line, one.column,
      one["function"] or false, record.why or "no record", record.safe or false, record.verified or false }
  end
  self.files["misra.csv"] = table.concat(lines)
  local first = report.unrecorded[1]
  self:check("STA-04", title, first and "fail" or "pass", first and ("%d without: rule %s, %s:%d"):format(
    #report.unrecorded, first.rule, first.file, first.line) or ("%d findings"):format(#report.findings), "misra.csv")
end

local COVERED = "Statements, branches and conditions (MC/DC) are reached, or it is recorded why not"

local function percent(of) return of.all == 0 and "100.0 %" or ("%.1f %%"):format(100 * of.reached / of.all) end

local function coverage_csv(report)
  local kinds = require("report.coverage").KINDS
  local lines = { csv.line { "file", "statements", "statements_reached", "branches",
    "branches_reached", "conditions", "conditions_reached" } }
  for _, file in ipairs(closed.sorted(report.files)) do
    local row = { file }
    for _, kind in ipairs(kinds) do
      local of = report.files[file][kind] or { all = 0, reached = 0 }
      row[#row + 1], row[#row + 2] = of.all, of.reached
    end
    lines[#lines + 1] = csv.line(row)
  end
  return table.concat(lines)
end

local function unreached_csv(report)
  local lines = { csv.line { "file", "line", "column", "function", "kind", "outcome", "text", "what_follows", "why",
    "argument" } }
  for i, one in ipairs(report.unreached) do
    local record = one.record or {}
    lines[i + 1] = csv.line { one.file, one.line, one.column, one["function"] or false, one.kind,
      one.outcome or false, one.text, one.follow or 0, record.why or "no record", record.safe or false }
  end
  return table.concat(lines)
end

-- Coverage of the library by its test program, on this computer.
local function covered(self, asked)
  if not asked then return self:check("COV-01", COVERED, "not measured", "expected --coverage, found none") end
  local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-evidence-")
  local report, why = tried(function() return require("report.coverage").collect(self.folder, work) end)
  sys.remove_tree(work)
  sys.keep(work)
  if not report then return self:check("COV-01", COVERED, "not measured", why) end
  tool(self, "clang-19")
  self.coverage = report
  self.files["coverage.csv"], self.files["unreached.csv"] = coverage_csv(report), unreached_csv(report)
  local first, whole = report.unexplained[1], report.whole
  if report.wrong then return self:check("COV-01", COVERED, "fail", report.wrong, "unreached.csv") end
  self:check("COV-01", COVERED, first and "fail" or "pass", first and ("%d without a record: %s:%d %s"):format(
    #report.unexplained, first.file, first.line, first.text) or ("statements %s, branches %s, conditions %s; "
    .. "%d places not reached, each recorded; %d calls, C compiled for this computer by clang-19 %s"):format(
    percent(whole.statement), percent(whole.branch), percent(whole.condition), #report.unreached, report.calls,
    report.flags), "unreached.csv")
end

-- ---- traceability ----

local function traced(self, hashes)
  local made = trace.of(self.folder, self.text)
  self.trace, self.files["trace.csv"] = made, trace.csv(made, hashes)
  self.files["requirements.csv"] = trace.requirements_csv(made)
  local used = 0
  for _, one in ipairs(self.folder.tensors) do used = used + (one.fate == "used" and 1 or 0) end
  local found = ("%d rows; all %d functions, %d layers, %d parts of the weights, and the %d tensors that are used "
    .. "of %d"):format(#made.rows, made.functions, #self.folder.layers, #self.folder.parts, used, #self.folder.tensors)
  if #made.problems > 0 then found = table.concat(made.problems, "; ") end
  self:check("TRC-01", "Requirement to operation, function, tensor, bytes, answer and test, both ways",
    #made.problems == 0 and "pass" or "fail", found, "trace.csv")
  if not made.tests_at_hand then
    self:check("TRC-02", "Tests and golden cases that are named are there", "not measured",
      "msagen's tests are not at hand")
  end
end

local function tensors_csv(folder, hashes)
  local lines = { csv.line { "tensor", "dtype", "shape", "fate", "why", "sha256" } }
  for _, one in ipairs(folder.tensors) do
    lines[#lines + 1] = csv.line { one.name, one.dtype, table.concat(one.shape, " "), one.fate, one.why,
      hashes and hashes[one.name] or "" }
  end
  return table.concat(lines)
end

-- ---- what needs the checkpoint ----

-- The checkpoint's tensors by their hashes. @return name -> SHA-256 of its bytes, metadata
local function hashed(self, path)
  recorded.device(self.folder, path, "--checkpoint")
  local file, hashes = require("import.shards").open(path, self.folder.device.weights_key), {}
  for _, one in ipairs(self.folder.tensors) do
    local found, tensor = pcall(file.tensor, file, one.name)
    if found then
      hashes[one.name] = sha256.hex(tensor:tobytes())
      if tensor.forget then tensor:forget() end
    end
  end
  return hashes, file.metadata
end

-- A click in the middle, of each slice alike, as a run of the build takes it.
local function middle(folder)
  return function(_, image)
    local shape = image.shape
    local prompt = { points = { { { shape[3] / 2, shape[2] / 2 } } }, labels = { { 1 } } }
    require("run.prompts").check(prompt, shape[3], shape[2], shape[1], folder)
    return prompt
  end
end

-- Each tensor that the build uses has a hash. @param hashes nil where the checkpoint was not given
local function check_tensors(self, hashes)
  if not hashes then return self:check("TEN-01", USED, "not measured", "expected --checkpoint, found none") end
  local used, missing = 0, {}
  for _, one in ipairs(self.folder.tensors) do
    if one.fate == "used" then
      used = used + 1
      if not hashes[one.name] then missing[#missing + 1] = one.name end
    end
  end
  self:check("TEN-01", USED, #missing == 0 and "pass" or "fail",
    #missing == 0 and ("%d tensors"):format(used) or "no such tensor: " .. table.concat(missing, ", "), "tensors.csv")
end

-- An image with the mask that the build finds, and the expert's where there is one, as PNG; its Dice.
local function picture_of(image, found)
  local overlays = require "run.overlays"
  local scratch = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-evidence-")
  local path = scratch .. "/overlay.png"
  local ok, png = pcall(function()
    overlays.check("image", image.name, image.tensor.shape)
    require("msagen.image").write_png(path, overlays.draw(image.tensor, { { mask = found.mask, colour = 1,
      prompt = found.prompt } }, { image.truth }, {}))
    return sys.read_file(path)
  end)
  sys.remove_tree(scratch)
  sys.keep(scratch)
  if not ok then error(png, 0) end
  local dice = image.truth and require("run.agreement").of(found.mask, image.truth).dice
  return { title = image.name, png = png, caption = "The build's mask of a click in the middle"
    .. (dice and ("; dotted: the expert's, Dice %.4f"):format(dice) or "") }, dice
end

-- The build gives what the interpreter gives.
local function digests(self, asked)
  local folder, numerics = self.folder, require "evidence.numerics"
  local it = require("run.interpretation").of(asked.model, folder.arithmetic, nil, asked.device)
  local list, why = tried(function()
    return numerics.built(self.programs:folder(), asked.model, asked.images, asked.prompt, asked.show)
  end)
  if not list then return self:check("DIG-01", SAME_BITS, "not measured", self.programs:named(why)) end
  if folder.emulator then tool(self, folder.emulator[1]) end
  local lines, same = { csv.line { "image", "interpreter", "build" } }, true
  for i, digest in ipairs(numerics.interpreted(it, asked.images, asked.prompt, asked.show)) do
    local one = list[i]
    lines[i + 1] = csv.line { asked.images[i].name, digest, one.digest }
    same = same and digest == one.digest
    self.pictures[i], self.images[i].dice = picture_of(asked.images[i], one)
  end
  self.files["digests.csv"] = table.concat(lines)
  self:check("DIG-01", SAME_BITS, same and "pass" or "fail", ("%d image%s, %s %s"):format(#list,
    #list == 1 and "" or "s", folder.emulator and "under the emulator of" or "run as", folder.board), "digests.csv")
end

-- So do builds for other boards.
local function on_boards(self, list, asked)
  if not list then return self:check("DIG-02", ON_BOARDS, "not measured", "expected --boards, found none") end
  local others = require "evidence.boards"
  local rows = others.of(list, asked)
  local status, found = others.verdict(rows)
  self.files["boards.csv"], self.boards = others.csv(rows), rows
  self:check("DIG-02", ON_BOARDS, status, found, "boards.csv")
end

local CONDITION = "Condition of the mask decoder at the images' embeddings"

-- How much the decoder enlarges an error, and where the masks' outlines are beside it.
local function conditioned(self, runs)
  self.show "looking for the decoder's condition"
  local rows, why = tried(function() return require("evidence.condition").rows(runs) end)
  if not rows then return self:check("NUM-02", CONDITION, "not measured", why) end
  local condition, agree = require "evidence.condition", true
  for _, one in ipairs(rows) do agree = agree and condition.holds(one) end
  self.files["condition.csv"], self.condition = condition.csv(rows), rows
  self:check("NUM-02", CONDITION, agree and "pass" or "fail",
    (agree and "" or "gradient and finite difference differ; ") .. condition.said(rows), "condition.csv")
end

local function numbers(self, args)
  local folder = self.folder
  local device = recorded.device(folder, args.checkpoint, "--checkpoint")
  local function models(of) return require("compiler.compiler").models(of, "--checkpoint")[1] end
  local images = {}
  local function hash(path) return path and not sys.isdir(path) and sha256.file(path) or nil end
  for i, path in ipairs(args.image) do
    self.images[i] = { name = path:match "[^/]*$", sha256 = hash(path), truth_sha256 = hash(args.truth[i]) }
    local image, _, turned, input = require("run.inputs").image(path, folder.depth,
      require("cli.image_options").read(args, folder.prepare))
    images[i] = { name = path:match "[^/]*$", tensor = image }
    if args.truth[i] then images[i].truth = require("run.truth").read(args.truth[i], image, nil, turned, input) end
  end
  local asked = { device = device, model = models(device), images = images, prompt = middle(folder), show = self.show }
  digests(self, asked)
  on_boards(self, args.boards, asked)
  local list, runs = require("evidence.numerics").of(models, folder.arithmetic, device, images, asked.prompt,
    self.show)
  local lines, worst = { csv.line { "layer", "largest_error", "rms_error", "element", "image" } }, list[1]
  for i, one in ipairs(list) do
    lines[i + 1] = csv.line { one.layer, ("%.3e"):format(one.error), ("%.3e"):format(one.rms), one.at, one.image }
    worst = one.error > worst.error and one or worst
  end
  self.numerics, self.files["numerics.csv"] = list, table.concat(lines)
  local found = ("%.1e of the layer's largest value at most (%s, %s)"):format(worst.error, worst.layer, worst.image)
  self:check("NUM-01", "Error of each layer against float64", "pass", found, "numerics.csv")
  conditioned(self, runs)
end

-- Times of layers, where asked for: no two runs have the same.
local function profiled(self)
  local folder, profile = self.folder, require "run.profile"
  local scratch = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-evidence-")
  local ok, found = pcall(function()
    return require("run.segment").perform({ folder = self.programs:folder(), prompts = {}, quiet = true,
      profile = REPETITIONS, files = { masks = {}, iou = {}, logits = {} } }, scratch, function(text) return text end)
  end)
  sys.remove_tree(scratch)
  sys.keep(scratch)
  if not ok then error(found, 0) end
  self.profile = profile.make(folder, profile.measured(found.lines), { repetitions = REPETITIONS, image = false })
  self.files["profile.json"] = json.encode(self.profile, { indent = 1 }) .. "\n"
end

-- ---- the whole ----

local function summary(self)
  local folder, checks = self.folder, {}
  for i, one in ipairs(self.checks) do
    checks[i] = { id = one.id, title = one.title, status = one.status, found = one.found, file = one.file or json.null }
  end
  return json.encode({ generator = "msagen evidence", version = msagen.version, build = folder.build,
    manifest_sha256 = sha256.file(folder:file "manifest.json"), model_hash = folder.model_hash,
    weights_sha256 = folder.weights_sha256, checkpoint_sha256 = folder.checkpoint.sha256, board = folder.board,
    arithmetic = folder.arithmetic, precision = folder.precision or arithmetic.DEFAULT,
    compiler = self.compiler or json.null, images = json.array(self.images), tools = json.array(self.tools),
    checks = json.array(checks) }, { indent = 1 }) .. "\n"
end

-- SHA-256 of each file of the bundle, as sha256sum -c takes it.
local function sums(files)
  local lines = {}
  for i, name in ipairs(closed.sorted(files)) do lines[i] = ("%s  %s\n"):format(sha256.hex(files[name]), name) end
  return table.concat(lines)
end

-- The checks of a build, and the bundle's files. @param programs of evidence.compiled
local function collect(folder, args, programs, show)
  schema.check_known(folder, FIELDS, folder:file "manifest.json")
  check_files(folder)
  local self = setmetatable({ folder = folder, text = require("evidence.text").read(folder), checks = {}, files = {},
    images = {}, tools = {}, pictures = {}, show = show, cc = args.cc, cflags = args.cflags,
    programs = programs }, Evidence)
  self:check("INT-01", "Files and weights are what msagen wrote", "pass",
    ("%d files and the weights by their SHA-256"):format(#closed.sorted(folder.files)), "sbom.spdx.json")
  local hashes
  if args.checkpoint then hashes, self.metadata = hashed(self, args.checkpoint) end
  check_tensors(self, hashes)
  show "tracing"
  traced(self, hashes)
  self.files["tensors.csv"] = tensors_csv(folder, hashes)
  show "compiling for the stack and the instructions"
  static(self)
  resources(self)
  no_allocator(self)
  bounded(self)
  counted(self)
  show "looking for deviations from MISRA C"
  misra(self, args.misra)
  instructions(self)
  if args.coverage then show "measuring coverage" end
  covered(self, args.coverage)
  if args.checkpoint and args.image[1] then numbers(self, args)
  else
    local why = "expected --checkpoint and --image, found no --" .. (args.checkpoint and "image" or "checkpoint")
    self:check("DIG-01", SAME_BITS, "not measured", why)
    self:check("DIG-02", ON_BOARDS, "not measured", why)
    self:check("NUM-01", "Error of each layer against float64", "not measured", why)
    self:check("NUM-02", CONDITION, "not measured", why)
  end
  self.files["sbom.spdx.json"] = require("evidence.sbom").text(folder, self.compiler, self.metadata, self.tools)
  self:check("SBM-01", "Bill of materials", "pass", args.checkpoint and "with the checkpoint's own metadata"
    or "without the checkpoint's metadata: no --checkpoint", "sbom.spdx.json")
  if args.profile then
    show "measuring times of layers"
    profiled(self)
  end
  self.files["evidence.json"] = summary(self)
  self.files["record.md"] = require("evidence.record").text(self)
  self.files["index.html"] = require("evidence.page").text(self)
  self.files["SHA256SUMS"] = sums(self.files)
  return self
end

--- Collect the evidence of a build and write it.
-- @param args { dir, out, cc, cflags = or nil, misra, coverage, profile, checkpoint = or nil, image = list,
--   truth = of each image or none, boards = list of boards or nil }
-- @param show function(text): what is done now
-- @return the checks
function evidence.make(args, show)
  local folder = require("run.folder").open(args.dir)
  require("evidence.place").check(args.out, folder.path)
  local staging = require("run.staging").new()
  local programs = require("evidence.compiled").of(folder, args.cc, args.cflags)
  local ok, found = pcall(function()
    local within, self = staging:tree(args.out), collect(folder, args, programs, show)
    for _, name in ipairs(closed.sorted(self.files)) do sys.write_file(within(name), self.files[name]) end
    staging:commit()
    return self.checks
  end)
  local problem = not ok and type(found) == "table" and found.msagen and programs:named(found.msagen)
  programs:close()
  staging:close()
  if problem then fail("%s", problem) end
  if not ok then error(found, 0) end
  return found
end

return evidence
