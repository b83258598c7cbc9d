-- SPDX-License-Identifier: Apache-2.0
-- msagen diff: functions of C texts, what differs between two texts, verdicts, what has to be verified again, and
-- manifests that nobody should write.

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
local c_text = require "report.c_text"

local function named(list)
  local names = {}
  for i, one in ipairs(list) do names[i] = one.name end
  return table.concat(names, " ")
end

local TRICKY = [[
/* void commented(void) { } */
#include "a.h" /* } */
#define OPEN(x) do { \
    (x); \
} while (0)
#define TEXT "/* no comment */"
typedef struct pair {
    int a, b;
} pair;
enum { FIRST = 1, SECOND };
static const char *const names[2] = { "}", "{ \" } // " };
extern "C" {
int declared(int a);
}

// int line(void) { }
static inline int one(const char *s)
{
    if (s[0] == '{' || s[0] == '\'' || s[1] == '"') { /* } */
        return '}';
    }
    return 0; // }
}

__attribute__((noinline)) void two(int (*call)(int), pair list[static 2]) { call('\\'); }
#if A
int three(void)
{
    if (A) {
#elif B
int three(int x)
{
    if (x) {
#else
int three(long x)
{
    {
#endif
        return 3;
    }
}
msa_status
four(void)
{
    struct pair p = { 1, 2 };
#pragma inside
    return p.a;
}
]]

describe("a C text", function()
  it("has its functions, with lines and bytes", function()
    local read = c_text.read(TRICKY)
    equal(named(read.functions), "one two three four")
    local one = read.functions[1]
    equal({ one.first, one.last }, { 17, 23 })
    equal(one.text, TRICKY:match "static inline int one.-\n}")
    equal(TRICKY:sub(one.from, one.to), one.text)
    equal({ read.functions[2].first, read.functions[2].last }, { 25, 25 })
    equal({ read.functions[4].first, read.functions[4].last }, { 42, 48 })
  end)

  it("has macros, declarations and directives apart from functions", function()
    local read = c_text.read(TRICKY)
    equal(named(read.macros), "OPEN TEXT")
    equal({ read.macros[1].parameters, read.macros[1].value }, { "(x)", "do { (x); } while (0)" })
    equal(read.macros[2].value, '"/* no comment */"')
    equal(named(read.declarations), "pair FIRST names declared")
    equal(read.declarations[3].text, [[static const char *const names[2] = { "}", "{ \" } // " };]])
    equal(read.directives, { '#include "a.h"', "#if A" }, "of what is within a function none")
  end)

  it("is bare without comments, empty lines and blanks at ends", function()
    equal(c_text.bare "a /* b\n c */ d  \n\n#define X 1 // y\n'\"' \"/*\" /**/\n",
      "a\n      d\n#define X 1\n'\"' \"/*\"")
  end)

  it("of whatever bytes gives something, and no error", function()
    local state = 1
    for _ = 1, 400 do
      local bytes = {}
      for k = 1, 60 do
        state = (state * 1103515245 + 12345) % 2 ^ 31 // 1
        bytes[k] = ("{}()\"'/*\\\n#;=a if"):sub(state // 65536 % 18 + 1, state // 65536 % 18 + 1)
      end
      local text = table.concat(bytes)
      local read = c_text.read(text)
      for _, one in ipairs(read.functions) do equal(text:sub(one.from, one.to), one.text) end
      c_text.bare(text)
    end
    equal(#c_text.read("").functions + #c_text.read("int f(void) {").functions, 0)
  end)

  it("that is long and no C takes time as its length", function()
    local began = os.clock()
    for _, piece in ipairs { "{}", "((", "a ", "f(){}\"", "#if\n", "/*", "=;", "{;" } do
      c_text.read(piece:rep(2 ^ 18 // #piece))
    end
    assert(os.clock() - began < 10, ("%.1f s for 2 MiB"):format(os.clock() - began))
  end)
end)

local sys = spec.host "msagen.sys"
if not sys then return end

local differences = require "change.differences"
local texts = require "change.texts"
local sha256 = require "msagen.sha256"

local HASH = { ("1a"):rep(32), ("2b"):rep(32) }
local function bytes_of(hash) return (hash:gsub("%x%x", "0x%0, "):gsub(", $", "")) end

-- A side of a comparison with these texts, in place of a folder.
local function side(files, which, more)
  local made = { path = "fw" .. which, kind = "network", hashes = {}, changed = {}, manifest = { files = {},
    prefix = "msa", model_hash = ("0123456789abcde" .. which):rep(4), checkpoint = { sha256 = HASH[which] },
    build = ("c" .. which):rep(32), weights_bytes = 8, arena_bytes = 64, banks = {} }, weights_sha256 = HASH[1] }
  for name, text in pairs(files) do
    made.hashes[name] = sha256.hex(text)
    made.manifest.files[name] = made.hashes[name]
  end
  function made:text(name) return files[name] end
  made.benched = require("change.folder").benched
  for field, value in pairs(more or {}) do made[field] = value end
  return made
end

-- The files of a made-up build. @param changes name -> function(text) -> text, or a text
local function build(which, changes, more)
  local hash = ("0123456789abcde" .. which):rep(4)
  local files = {
    ["msa_model.h"] = ('/* of %s */\n#include "msa.h"\n'):format(HASH[which])
      .. "#define MSA_MODEL_ARENA_BYTES 64 /* bytes */\n"
      .. ('#define MSA_MODEL_BUILD "checkpoint %s"\nint msa_open(int a);\n'):format(HASH[which]),
    ["msa.h"] = "#define MSA_VERSION 100\ntypedef struct msa_mask { int a; } msa_mask;\n",
    ["msa_internal.h"] = ("#define MSA_AT 4\n#define MSA_MODEL_HASH {%s}\n"):format(bytes_of(hash)),
    ["msa_encoder.c"] = "/* first */\nint msa_a(void)\n{\n    return 1;\n}\n\nint msa_b(void)\n{\n    return 2;\n}\n",
    ["msa_known_answer.c"] = ("int msa_known_answer(void)\n{\n    static const uint32_t expected[1] = { 0x%08xu };\n"
      .. "    return expected[0];\n}\n"):format(which),
    Makefile = ("# make\nCFLAGS = -O2 \\\n\t-g\nx:\n\tcc -DMSA_RUN_BUILD=%s\n"):format(("c" .. which):rep(32)),
    ["runner/msa_run.c"] = "int main(void)\n{\n    return 0;\n}\n",
  }
  for name, change in pairs(changes or {}) do
    files[name] = type(change) == "function" and change(files[name]) or change or nil
  end
  return side(files, which, more)
end

local function replaced(old, new)
  return function(text)
    local at, last = text:find(old, 1, true)
    return text:sub(1, at - 1) .. new .. text:sub(last + 1)
  end
end

local function file_of(found, name)
  for _, one in ipairs(found.files) do
    if one.file == name then return one end
  end
  error("no difference of " .. name)
end

local function compared(changes, more) return differences.of(build(1), build(1, changes, more)) end

describe("the verdict of two builds", function()
  it("is identical where no byte differs", function()
    local found = compared()
    equal({ found.verdict, #found.files, found.same.files, found.same.functions }, { "identical", 0, 7, 3 })
    equal(found.plan[1].what, "stands")
  end)

  it("is only weights where their names, known answers and comments differ", function()
    local found = differences.of(build(1), build(2, { ["msa_encoder.c"] = replaced("first", "second") },
      { weights_sha256 = HASH[2] }))
    equal(found.verdict, "only weights")
    local classes = {}
    for i, one in ipairs(found.files) do classes[i] = one.file .. " " .. one.class end
    equal(classes, { "Makefile build id", "msa_encoder.c comments", "msa_internal.h weights",
      "msa_known_answer.c answers", "msa_model.h weights" })
    equal(found.known_answers, { equal = false, old = { "00000001" }, new = { "00000002" } })
    equal(found.same.functions, 3)
    equal(compared(nil, { weights_sha256 = HASH[2] }).verdict, "only weights")
  end)

  it("is the test bench's where only that differs", function()
    local found = compared { ["runner/msa_run.c"] = replaced("return 0", "return 1") }
    equal({ found.verdict, file_of(found, "runner/msa_run.c").functions.changed },
      { "only the test bench", { "main" } })
    local other = build(1)
    other.manifest.build = ("d"):rep(64)
    local text = build(1):text("Makefile"):gsub(("c1"):rep(32), ("d"):rep(64))
    other.text = function(_, name) return name == "Makefile" and text or build(1):text(name) end
    other.hashes.Makefile = HASH[1]
    equal(differences.of(build(1), other).verdict, "only the test bench")
  end)

  it("is code where a function, a macro, a directive, a flag or a known answer's computation differs", function()
    local found = compared { ["msa_encoder.c"] = replaced("return 2", "return 3") }
    equal({ found.verdict, file_of(found, "msa_encoder.c").functions.changed, found.same.functions },
      { "code", { "msa_b" }, 2 })
    for name, change in pairs { ["msa_internal.h"] = replaced("AT 4", "AT 5"), Makefile = replaced("-O2", "-O3"),
      ["msa.h"] = replaced("100", "101"), ["msa_known_answer.c"] = replaced("expected[0];", "1;"),
      ["msa_encoder.c"] = replaced("/* first */", "#pragma once") } do
      equal(compared({ [name] = change }).verdict, "code", name)
    end
    equal(compared({ ["msa_encoder.c"] = replaced("return 2;", "return 2; /* */") }).verdict, "code")
    local function expecting(n) return ("static const uint32_t expected[1] = { 0x%08xu };\n"):format(n) end
    local one, two = build(1, { ["msa_mask.c"] = expecting(1) }), build(1, { ["msa_mask.c"] = expecting(2) })
    equal(differences.of(one, two).verdict, "code", "constants of that name elsewhere are no known answers")
  end)

  it("knows functions that were added, removed and moved", function()
    local text = "int msa_b(void)\n{\n    return 2;\n}\n"
    local functions = file_of(compared { ["msa_encoder.c"] = text .. "int msa_c(void) { return 1; }\n" },
      "msa_encoder.c").functions
    equal({ functions.added, functions.removed, functions.changed, functions.same },
      { { "msa_c" }, { "msa_a" }, {}, 1 })
    local moved = compared { ["msa_encoder.c"] = text .. "int msa_a(void)\n{\n    return 1;\n}\n" }
    equal({ moved.verdict, file_of(moved, "msa_encoder.c").functions.moved }, { "code", true })
    local added = compared { ["msa_new.c"] = "int msa_new(void) { return 0; }\n" }
    equal({ added.verdict, file_of(added, "msa_new.c").state, file_of(added, "msa_new.c").functions.added },
      { "code", "added", { "msa_new" } })
  end)

  it("is interface where a header of the product declares something else", function()
    for name, change in pairs { ["msa_model.h"] = replaced("BYTES 64", "BYTES 65"),
      ["msa.h"] = replaced("int a;", "int b;") } do
      equal(compared({ [name] = change, ["msa_encoder.c"] = replaced("1;", "7;") }).verdict, "interface", name)
    end
    local found = compared { ["msa_model.h"] = replaced("BYTES 64", "BYTES 65") }
    equal(found.constants, { { name = "MSA_MODEL_ARENA_BYTES", old = "64", new = "65" } })
    equal(compared({ ["msa_model.h"] = replaced("int a)", "int a, int b)") }).verdict, "interface")
    equal(compared({ ["msa_threads.h"] = "int msa_threads(void);\n" }).verdict, "interface")
    equal(compared({ ["msa_other.h"] = "int msa_other(void);\n" }).verdict, "code", "a header that no product includes")
  end)

  it("is not better than code where a file was changed by hand", function()
    local found = compared(nil, { changed = { "msa_encoder.c" } })
    equal({ found.verdict, found.new.changed_by_hand }, { "code", { "msa_encoder.c" } })
    holds(found.plan[1].text, "fw1/msa_encoder.c was changed by hand")
    local text = table.concat(require("change.text").of(found, { width = 100 }), "\n")
    holds(text, "code\n", "changed by hand: fw1/msa_encoder.c")
  end)

  it("takes nothing but the weights' own names for names", function()
    local other = build(1)
    other.manifest.checkpoint = { sha256 = HASH[2] }
    local changed = build(2)
    changed.manifest.checkpoint = { sha256 = ("3c"):rep(32) } -- another than the text has
    equal(differences.of(build(1), changed).verdict, "code")
  end)
end)

describe("the change plan", function()
  local function plan_of(changes)
    local lines = {}
    for _, one in ipairs(compared(changes).plan) do
      lines[#lines + 1] = ("%s %s %s"):format(one.what, one.text, table.concat(one.names or {}, " "))
    end
    return table.concat(lines, "\n") .. "\n"
  end

  it("lets functions stand whose text, headers and flags are the same, and no others", function()
    local own = plan_of { ["msa_encoder.c"] = replaced("return 2", "return 3") }
    holds(own, "stands unit verification of 2 functions of the same text",
      "again unit verification of 1 function of another text msa_b (msa_encoder.c)\n")
    for name, change in pairs { ["msa_internal.h"] = replaced("AT 4", "AT 5"), Makefile = replaced("-O2", "-O3"),
      ["msa_encoder.c"] = replaced("/* first */", "#define X 1") } do
      holds(plan_of { [name] = change }, "again unit verification of 3 functions of the same text, compiled with other",
        "again review of what differs outside of functions " .. name)
    end
    assert(not own:find("outside of functions", 1, true), own)
  end)

  it("names the product's memory map and headers", function()
    local old, new = build(1), build(1, { ["msa_model.h"] = replaced("BYTES 64", "BYTES 65") })
    new.manifest.arena_bytes = 65
    local said = {}
    for i, one in ipairs(differences.of(old, new).plan) do said[i] = one.text .. table.concat(one.names or {}) end
    holds(table.concat(said, "\n"), "memory map: arena bytes 64, now 65", "tested with themmsa_model.h")
  end)

  it("has commands that a shell takes as they are", function()
    local found = compared { ["msa_encoder.c"] = replaced("return 2", "return 3") }
    found.new.path = "it's fw"
    local commands = {}
    for _, one in ipairs(require("change.plan").of(found)) do commands[#commands + 1] = one.command end
    holds(table.concat(commands, "\n"), "msagen sizes 'it'\\''s fw'")
  end)
end)

describe("weights", function()
  local function with_parts(parts, tensors)
    local made = build(1)
    made.manifest.parts, made.manifest.tensors = parts, tensors
    return made
  end
  local function part(role, crc, offset, tensors)
    return { segment = "block", role = role, crc32c = crc, bytes = 16, offset = offset, layout = "rows",
      tensors = tensors }
  end

  it("are compared part by part, wherever these lie", function()
    local old = with_parts({ part("a", "00000001", 0, { "x" }), part("b", "00000002", 16, { "y", "z" }),
      part("c", "00000003", 32, {}) }, { { name = "x", fate = "used", shape = { 4 } },
      { name = "u", fate = "dead", shape = { 1 } } })
    local new = with_parts({ part("d", "00000004", 0, { "w" }), part("a", "00000001", 16, { "x" }),
      part("b", "00000009", 32, { "y", "z" }) }, { { name = "x", fate = "resampled", shape = { 2, 2 } } })
    local found = require("change.weights").compare(old, new)
    equal({ found.parts.same, #found.parts.changed, #found.parts.added, #found.parts.removed }, { 1, 1, 1, 1 })
    equal({ found.parts.changed[1].role, found.parts.changed[1].old.crc32c, found.parts.changed[1].new.crc32c },
      { "b", "00000002", "00000009" })
    equal(found.tensors, { touched = { "w", "y", "z" }, added = {}, removed = { "u" },
      changed = { { name = "x", old = "used [4]", new = "resampled [2,2]" } } })
  end)
end)

describe("what was asked for", function()
  it("is told where it differs, the Makefile's flags among it", function()
    local old, new = build(1), build(1, { Makefile = replaced("-g", "-g3") })
    old.manifest.device, new.manifest.device = { depth = 1 }, { depth = 1, global_blocks = { 1, 2 } }
    old.manifest.texts, new.manifest.texts = {}, { "liver" }
    equal(require("change.asked").differences(old, new), { { what = "texts", new = '["liver"]' },
      { what = "Makefile CFLAGS", old = "-O2  \t-g", new = "-O2  \t-g3" },
      { what = "option global_blocks", new = "[1,2]" } })
  end)
end)

describe("a folder", function()
  local fake, folder, json = require "fake_folder", require "change.folder", require "msagen.json"
  local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-differences-")
  sys.cleanup(work)
  local fw = work .. "/fw"
  fake.make(fw, 1, { checkpoint = { sha256 = HASH[1] }, weights_sha256 = sha256.file(fw .. "/msa_weights.bin")
    or HASH[1] })
  local manifest = json.decode(sys.read_file(fw .. "/manifest.json"), "manifest")
  manifest.weights_sha256 = sha256.file(fw .. "/msa_weights.bin")

  local function written(changes)
    local copy = {}
    for key, value in pairs(manifest) do copy[key] = value end
    for key, value in pairs(changes) do copy[key] = value end
    copy.manifest_sha256 = copy.manifest_sha256 or ""
    local text = json.encode(copy, { indent = 1 })
    if copy.manifest_sha256 == "" then text = require("emit.manifest_seal").put(text) end
    sys.write_file(fw .. "/manifest.json", text)
    return fw
  end

  it("is opened with nothing changed, and knows what was", function()
    equal(folder.open(written {}).changed, {})
    sys.write_file(fw .. "/layers.c", "int changed;\n")
    os.remove(fw .. "/msa_mask.c")
    os.remove(fw .. "/msa_prompt.c")
    sys.write_file(fw .. "/msa_weights.bin", "other")
    equal(folder.open(fw).changed, { "layers.c", "msa_prompt.c", "msa_weights.bin" })
    fake.make(fw, 1, {})
    equal(folder.open(written { manifest_sha256 = HASH[1] }).changed, { "manifest.json" })
    sys.write_file(fw .. "/manifest.json", json.encode(manifest))
    equal(folder.open(fw).changed, { "manifest.json" }, "one without its hash")
  end)

  it("is refused in one line where its manifest is not of its kind", function()
    for _, case in ipairs {
      { { checkpoint = json.null }, "checkpoint: expected a table, found none" },
      { { checkpoint = {} }, "checkpoint: sha256: expected a SHA-256, found none" },
      { { checkpoint = { sha256 = "" } }, "expected a SHA-256, found an empty text" },
      { { checkpoint = { sha256 = ("x"):rep(64) } }, "expected a SHA-256" }, { { model_hash = 5 }, "model_hash: " },
      { { weights_sha256 = json.null }, "weights_sha256: expected a SHA-256, found none" },
      { { weights = "../x" }, "weights: expected a file of the folder" }, { { prefix = "a%b" }, "a C identifier" },
      { { files = 1 }, "files: expected a table" }, { { files = { ["../../x"] = HASH[1] } }, "files: expected names" },
      { { files = { a = 1 } }, "files: expected names" }, { { device = "x" }, "device: expected a table" },
      { { parts = { 1 } }, "parts: expected tables as number 1, found 1" },
      { { parts = { { role = "a", segment = "b" } } }, "parts with " },
      { { parts = { { role = "a", segment = "b", offset = -1, bytes = 1, crc32c = "00000000", tensors = {} } } },
        "parts with offset" },
      { { tensors = { { name = 1 } } }, "tensors with " }, { { tensors = { x = 1 } }, "tensors: expected a list" },
      { { banks = { { name = "a", tensors = { {} } } } }, "banks with tensors" }, { { layers = { "x" } }, "layers: " },
      { { kind = {} }, "kind: expected training, front end or none, found a table" },
      { { kind = "x\27[31m" }, "kind: expected" }, { { arena_bytes = 1e300 }, "arena_bytes: expected" },
      { { version = {} }, "version: expected" }, { { build = "1" }, "build: expected a SHA-256" },
    } do
      refuses(function() folder.open(written(case[1])) end, case[2])
    end
    refuses(function() folder.open(work .. "/none") end, "found nothing")
  end)

  it("of a hostile manifest that is of its kind is told without what a terminal obeys", function()
    local evil = "evil\27[31m\n\155"
    local one = folder.open(written { board = "b", device = { [evil] = evil, deep = { { { {} } } } },
      files = { [evil] = HASH[1] }, parts = { { role = evil, segment = evil, offset = 0, bytes = 1,
      crc32c = "00000000", tensors = { evil } } } })
    local found = differences.of(folder.open(written {}), one)
    equal(found.verdict, "interface")
    for _, line in ipairs(require("change.text").of(found, { width = 80 })) do
      assert(not line:find "[%c\127]" and utf8.len(line), ("%q"):format(line))
    end
    equal(json.decode(require("change.json")(found), "json").verdict, "interface")
  end)
end)
