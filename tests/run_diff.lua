-- SPDX-License-Identifier: Apache-2.0
-- msagen diff as a whole, on builds of the demo: the same build, other weights, options, boards and checkpoints, files
-- changed by hand; two trainings; what is refused.
local checkpoint = require "msagen.checkpoint"
local json = require "msagen.json"
local safetensors = require "msagen.safetensors"
local sys = require "msagen.sys"
local tally = require "tally"
local tensor = require "msagen.tensor"

local work = tally.folder "diff"

local function build(name, file, ...)
  local fw = work .. "/" .. name
  local command = { tally.program, "build", file, "--dialect", "msa-paper", "-o", fw, ... }
  if ... ~= "--board" then table.move({ "--board", "generic-c99" }, 1, 2, #command + 1, command) end
  tally.must(command)
  return fw
end

local function run(...)
  local status, text = sys.spawn { tally.program, "diff", stdin = "/dev/null", stdout = "capture", stderr = "capture",
    env = { COLUMNS = "1000" }, ... }
  return status, text
end

-- The facts of two, which both answers and the exit status agree on.
local function differing(verdict, old, new)
  local status, text = run(old, new)
  local second, document = run("--json", old, new)
  local expected = verdict == "identical" and 0 or 3
  assert(status == expected and second == expected, ("exit status %d and %d: %s"):format(status, second, text))
  local found = json.decode(document, "diff --json")
  assert(text:match "^[^\n]*" == verdict, ("expected %s, found %s"):format(verdict, text:match "^[^\n]*"))
  assert(found.verdict == verdict, found.verdict)
  assert(#found.plan > 0 and text:find("\nfor the change plan\n", 1, true), "nothing for the change plan")
  return found, text
end

local function refused(status, words, ...)
  local found, text = run(...)
  assert(found == status and text:match "^msagen: [^\n]*\n$", ("exit status %d: %s"):format(found, text))
  assert(text:find(words, 1, true), ("expected %s, found %s"):format(words, text))
end

local function holds(text, ...)
  for _, words in ipairs { ... } do assert(text:find(words, 1, true), ("no %s in %s"):format(words, text)) end
end

local function names(list, field)
  local out = {}
  for i, one in ipairs(list) do out[i] = one[field] end
  return table.concat(out, " ")
end

-- The demo's checkpoint with other metadata and, of one tensor, other numbers.
local function perturbed(path, name, facts)
  local file, list, told = checkpoint.open(tally.head), {}, {}
  for i, own in ipairs(file:names()) do
    local value = file:tensor(own)
    if own == name then
      local numbers = value:reshape { value:numel() }:totable()
      for k in ipairs(numbers) do numbers[k] = numbers[k] + 0.01 end
      value = tensor.from(numbers, value.shape)
    end
    list[i] = { own, value }
  end
  local metadata = file.metadata
  for key, text in pairs(facts or {}) do metadata[key] = text end
  for key, text in pairs(metadata) do told[#told + 1] = { key, text } end
  table.sort(told, function(a, b) return a[1] < b[1] end)
  safetensors.write(path, list, told)
  return path
end

local head = build("head", tally.head)

tally.test("the same build twice is identical", function()
  local found, text = differing("identical", head, build("again", tally.head))
  assert(#found.files == 0 and found.weights.equal and found.known_answers.equal, text)
  assert(#found.asked == 0 and #found.constants == 0 and #found.plan == 1, text)
  assert(found.weights.parts.same > 300 and found.same.functions > 200, text)
end)

tally.test("a reader of C finds every function of a build, where its braces stand", function()
  local count = 0
  for _, name in ipairs(sys.list(head)) do
    if name:find "%.c$" then
      local text, bodies = sys.read_file(head .. "/" .. name), 0
      for _ in ("\n" .. text):gmatch "\n{\n" do bodies = bodies + 1 end
      local functions = require("report.c_text").read(text).functions
      assert(#functions == bodies, ("%s: %d functions, %d bodies"):format(name, #functions, bodies))
      for _, one in ipairs(functions) do assert(one.text:find "\n}$" and one.text:find(one.name, 1, true), one.name) end
      count = count + bodies
    end
  end
  return count .. " functions"
end)

local DECODER = "mask_decoder.transformer.layers.0.mlp.lin1.weight"
local other

tally.test("another checkpoint of the same shape is only weights: which parts, of which tensors", function()
  other = build("other", perturbed(work .. "/other.safetensors", DECODER))
  local found, text = differing("only weights", head, other)
  for _, one in ipairs(found.files) do
    assert(one.class == "build id" or one.class == "weights" or one.class == "answers", one.file .. " " .. one.class)
  end
  assert(names(found.files, "file") == "Makefile msa_decoder.c msa_encoder.c msa_internal.h msa_known_answer.c "
    .. "msa_model.c msa_model.h", names(found.files, "file"))
  local parts = found.weights.parts
  assert(#parts.changed == 1 and parts.changed[1].tensors[1] == DECODER and #parts.added + #parts.removed == 0, text)
  assert(table.concat(found.weights.tensors.touched) == DECODER, text)
  assert(not found.known_answers.equal and found.known_answers.new[1] ~= found.known_answers.old[1], text)
  assert(names(found.asked, "what") == "checkpoint sha256" and names(found.constants, "name") == "MSA_MODEL_BUILD")
  holds(text, "replaced: ", "msagen evaluate " .. other .. " --data SET -o OUT --against " .. head, DECODER)
end)

tally.test("known answers stay where no function that they run has other weights", function()
  local fw = build("late", perturbed(work .. "/late.safetensors", "image_encoder.blocks.4.mlp.lin1.bias"))
  local found, text = differing("only weights", head, fw)
  assert(found.known_answers.equal and #found.weights.parts.changed == 1, text)
end)

tally.test("a precision is another interface: sizes, functions, flags; two boards are other code", function()
  local found, text = differing("interface", head, build("int8", tally.head, "--precision", "int8"))
  holds(names(found.constants, "name"), "MSA_MODEL_ARENA_BYTES", "MSA_MODEL_WEIGHTS_BYTES", "MSA_MODEL_ARITHMETIC")
  assert(names(found.asked, "what"):find("^precision arithmetic"), names(found.asked, "what"))
  assert(#found.weights.parts.changed > 50 and #found.weights.tensors.touched > 20, text)
  holds(text, "the checkpoint is the same", "memory map: weights bytes 9201664, now ", "msa_int8.h (added)")
  local board = build("board", tally.head, "--board", "x86-64-avx2")
  found, text = differing("code", head, board)
  assert(found.known_answers.equal and found.old.checkpoint_sha256 == found.new.checkpoint_sha256, text)
  holds(names(found.asked, "what"), "board", "Makefile MSA_CFLAGS")
  holds(text, "compiled with other headers, macros or flags", "msagen sizes " .. board)
end)

tally.test("banks, a base, another prefix, an option that changes no byte", function()
  local file = work .. "/other.safetensors"
  local found = differing("interface", head, build("banks", tally.head, "--bank", "one=" .. file))
  holds(names(found.asked, "what"), "banks")
  holds(names(found.constants, "name"), "MSA_MODEL_BANKS")
  found = differing("only weights", head, build("delta", tally.source .. "/demo/carotid/delta.safetensors", "--base",
    tally.head))
  local base
  for _, one in ipairs(found.asked) do base = one.what == "checkpoint base_sha256" and one.new or base end
  assert(base == require("msagen.sha256").file(tally.head), "the manifest has another base")
  differing("interface", head, build("prefix", tally.head, "--prefix", "left"))
  found = differing("identical", head, build("mapped", tally.head, "--weights", "mapped"))
  assert(names(found.asked, "what") == "option weights", names(found.asked, "what"))
end)

-- A copy of a folder. @param change function(its path)
local function copied(from, name, change)
  local to = work .. "/" .. name
  for _, file in ipairs(require("run.made").list(from)) do
    sys.mkdir_p(to .. "/runner")
    sys.write_file(to .. "/" .. file, sys.read_file(from .. "/" .. file))
  end
  change(to)
  return to
end

local function edited(path, old, new)
  local text = sys.read_file(path)
  local at, last = text:find(old, 1, true)
  sys.write_file(path, text:sub(1, at - 1) .. new .. text:sub(last + 1))
end

tally.test("what was changed by hand is named, and is code", function()
  local found, text = differing("code", head, copied(head, "hand", function(path)
    edited(path .. "/msa_encoder.c", "return MSA_OK;", "return MSA_E_ORDER;")
  end))
  holds(text, "changed by hand: " .. work .. "/hand/msa_encoder.c\n", "functions changed  msa_patch_embed\n")
  assert(names(found.files, "file") == "msa_encoder.c" and #found.new.changed_by_hand == 1, text)
  for _, file in ipairs { "msa_weights.bin", "manifest.json", "Makefile", "runner/msa_run.c" } do
    local number = #file
    found, text = differing("code", head, copied(head, "hand" .. number, function(path)
      local bytes = sys.read_file(path .. "/" .. file)
      sys.write_file(path .. "/" .. file, (bytes:sub(-1) == "\n" and bytes or bytes:sub(1, -2)) .. "\n")
      if bytes:sub(-1) == "\n" then sys.write_file(path .. "/" .. file, bytes .. "\n") end
    end))
    holds(text, ("changed by hand: %s/hand%d/%s\n"):format(work, number, file))
  end
  differing("code", head, copied(head, "lost", function(path) os.remove(path .. "/msa_mask.c") end))
  differing("code", copied(head, "both", function(path) os.remove(path .. "/msa_mask.c") end), work .. "/both")
end)

tally.test("only the test bench: msagen wrote another, and the product is the same", function()
  local fw = copied(head, "bench", function(path)
    edited(path .. "/runner/msa_run.c", "#include", "#include <errno.h>\n#include")
    local manifest, hash = sys.read_file(path .. "/manifest.json"), require("msagen.sha256")
    local old, new = hash.file(head .. "/runner/msa_run.c"), hash.file(path .. "/runner/msa_run.c")
    manifest = manifest:gsub(old, new):gsub('("manifest_sha256": ")%x+', "%1")
    sys.write_file(path .. "/manifest.json", require("emit.manifest_seal").put(manifest))
  end)
  local found, text = differing("only the test bench", head, fw)
  assert(names(found.files, "file") == "runner/msa_run.c" and #found.new.changed_by_hand == 0, text)
end)

tally.test("a front end and a training step are compared as well", function()
  local probe = [[return { board = "generic-c99", frontend = { kind = "ultrasound", format = "rf", lines = 21,
    samples = 45, fs = 2e7, c = %d, ref = 100, dynamic_range_db = 60, geometry = { kind = "linear", pitch = 0.3 },
    image = { width = 40, height = 30, x0 = -3, z0 = 0, dx = 0.15, dz = 0.05 } } }
]]
  local function front(name, c)
    sys.write_file(work .. "/probe.lua", probe:format(c))
    tally.must { tally.program, "build", work .. "/probe.lua", "-o", work .. "/" .. name }
    return work .. "/" .. name
  end
  local one = front("front", 1540)
  assert(differing("identical", one, front("front2", 1540)).kind == "front end")
  holds(names(differing("only weights", one, front("front3", 1500)).asked, "what"), "frontend")
  refused(1, "expected a folder of a network that segments", head, one)
  local step, late = build("step", tally.head, "--train", "decoder"),
    build("step2", work .. "/other.safetensors", "--train", "decoder")
  local found, text = differing("only weights", step, late)
  assert(found.kind == "training step" and #found.files == 3, text)
end)

tally.test("two trainings: what they were made of, and what came of it", function()
  local found, text = differing("identical", tally.head, tally.head)
  assert(found.kind == "training" and found.tensors.same > 300, text)
  found, text = differing("other weights", tally.head, work .. "/other.safetensors")
  assert(found.altered and found.tensors.changed[1] == DECODER and #found.tensors.changed == 1, text)
  holds(text, "so a file was changed after its")
  local file = perturbed(work .. "/new.best.safetensors", DECODER, { seed = "2", training_digest = ("0"):rep(64),
    options = '{"batch":8,"lora":{"r":4}}', data_sha256 = "another" })
  sys.write_file(work .. "/new.csv", "step,loss,dice_1\n1,0.5,\n2,0.25,0.75\n3,0.125,\n")
  found, text = differing("other training", tally.head, file)
  assert(names(found.inputs, "what") == "data_sha256 seed" and not found.altered, names(found.inputs, "what"))
  holds(names(found.options, "what"), "batch", "lora", "steps")
  assert(found.curve.new.last.loss == "0.125" and found.curve.new.validation.dice_1 == "0.75" and not found.curve.old)
  holds(text, "new, last  loss 0.125, step 3", "batch  4 -> 8")
end)

tally.test("a training's script is told, and what it says counts", function()
  local commented = perturbed(work .. "/commented.safetensors", nil, { script_sha256 = ("ab"):rep(32) })
  local found, text = differing("same weights", tally.head, commented)
  assert(found.script.new == ("ab"):rep(32) and #found.inputs == 0 and found.tensors.same > 300, text)
  holds(text, "script", ("ab"):rep(32))
end)

tally.test("wrong commands, kinds and files are refused in a line", function()
  refused(2, "missing argument", head)
  refused(2, "unknown option", head, head, "--jsn")
  refused(1, "found nothing", head, work .. "/none")
  refused(1, "found no manifest.json in it", head, work)
  refused(1, "two folders of msagen build, or two files of msagen train", head, tally.head)
  refused(1, "found neither", "/dev/null", head)
  refused(1, "no checkpoint", tally.head, tally.demo .. "/image.png")
  refused(1, "metadata names no such program", tally.head, perturbed(work .. "/made.safetensors", DECODER,
    { generator = "another" }))
  refused(1, "options: expected a JSON object", tally.head, perturbed(work .. "/odd.safetensors", DECODER,
    { options = "{" }))
  sys.write_file(work .. "/new.csv", 'step,"loss\n1,2\n')
  refused(1, "new.csv", tally.head, work .. "/new.best.safetensors")
end)

tally.test("manifests with a field of whatever value are refused in a line, or compared", function()
  local fw = copied(head, "hostile", function() end)
  local text = sys.read_file(head .. "/manifest.json")
  local manifest, tried, told = json.decode(text, "manifest"), 0, 0
  local folder, old = require "change.folder", require("change.folder").open(head)
  for field in pairs(manifest) do
    for _, value in ipairs { '"\\u001b[31m\\n"', '[[1],null,{"a":{"b":-1}}]', tally.full and "null" or "5" } do
      local copy = {}
      for key, own in pairs(manifest) do copy[key] = own end
      copy[field] = json.decode(value, "value")
      sys.write_file(fw .. "/manifest.json", json.encode(copy))
      local ok, problem = pcall(function()
        local found = require("change.differences").of(old, folder.open(fw))
        require("change.text").of(found, { width = 80 })
        require "change.json"(found)
        assert(found.verdict ~= "identical", field)
        told = told + 1
      end)
      if not ok then
        assert(type(problem) == "table" and problem.msagen and not problem.msagen:find "[\n\27]",
          ("%s = %s: %s"):format(field, value, type(problem) == "table" and problem.msagen or problem))
      end
      tried = tried + 1
    end
  end
  assert(told > 40 and tried - told > 60, ("%d of %d are compared"):format(told, tried))
  sys.write_file(fw .. "/manifest.json", text:sub(1, #text // 2))
  refused(1, "manifest.json", head, fw)
  return ("%d manifests, %d refused"):format(tried, tried - told)
end)

return tally.finish()
