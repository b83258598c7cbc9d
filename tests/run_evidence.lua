-- SPDX-License-Identifier: Apache-2.0
-- msagen evidence on builds of the fetal-head demo: what it says is true when it is looked up elsewhere, it is the same
-- bytes twice, and what is not msagen's is refused by name.
-- luahost run_evidence.lua --accept (make accept-record) writes docs/verification-record.md anew.
local json = require "msagen.json"
local safetensors = require "msagen.checkpoint"
local sha256 = require "msagen.sha256"
local sys = require "msagen.sys"
local csv = require "evaluate.csv"
local tally = require "tally"
local texts = require "evidence.text"
local trace = require "evidence.trace"

local work = tally.folder "evidence"
local head = json.decode(sys.read_file(tally.demo .. "/expected.json"), "expected.json")
local image = tally.demo .. "/image.png"

local function built(name, ...)
  local fw = ("%s/%s"):format(work, name)
  tally.must { tally.program, "build", tally.head, "--dialect", head.dialect, "-o", fw, ... }
  return fw
end

local function bundle(fw, name, ...)
  local out = ("%s/%s"):format(work, name)
  tally.must { tally.program, "evidence", fw, "-o", out, ... }
  return out
end

-- ---- docs/verification-record.md ----

local example = tally.source .. "/docs/verification-record.md"
-- In two pieces: not this file's line.
local PREFACE = "<!-- SPDX-License-" .. "Identifier: Apache-2.0 -->\n# Worked example of a verification record\n\n"
  .. "`record.md` as `msagen evidence --misra --coverage --boards x86-64-sse42,cortex-a7` wrote it of the\n"
  .. "fetal-head demo for the Cortex-M7 ([evidence.md](evidence.md)). `make accept-record` writes it anew.\n\n---\n\n"

local EXAMPLE = { "--misra", "--coverage", "--boards", "x86-64-sse42,cortex-a7" }

local function bundle_of_m7(name, ...)
  return bundle(built("m7-" .. name, "--board", "cortex-m7"), "of-m7-" .. name, "--checkpoint", tally.head, "--image",
    image, ...)
end

if arg[1] == "--accept" then
  sys.write_file(example, PREFACE .. sys.read_file(bundle_of_m7("record", table.unpack(EXAMPLE)) .. "/record.md"))
  print(example)
  return 0
end

-- Rows that another bundle of the same build has alike: those without what takes long, and the number of checks.
local function alike(text)
  local rows = {}
  for line in text:gmatch "[^\n]+" do
    local other = line:find "%d+ checks: "
    for _, id in ipairs { "STA-04", "COV-01", "DIG-02" } do other = other or line:find(("`%s`"):format(id), 1, true) end
    if not other then rows[#rows + 1] = line end
  end
  return rows
end

-- The page is the record of this bundle; one of another compiler is not compared.
local function page_is_current(out, whole)
  local found, page = PREFACE .. sys.read_file(out .. "/record.md"), sys.read_file(example)
  local compiler = page:match "\n| compiler | ([^|]-),"
  if found:match "\n| compiler | ([^|]-)," ~= compiler then
    return tally.skip("docs/verification-record.md", "it is of " .. compiler .. ", which is not here")
  end
  if whole then return assert(found == page, "docs/verification-record.md is of another build: make accept-record") end
  local a, b = alike(found), alike(page)
  for i = 1, math.max(#a, #b) do
    assert(a[i] == b[i], ("docs/verification-record.md: make accept-record: expected %s, found %s"):format(a[i], b[i]))
  end
  assert(#a > 60, "rows are found")
end

-- A command that is refused in a line, by what it says. @param out of -o
local function refused_into(out, wanted, fw, ...)
  local status, output = sys.spawn { tally.program, "evidence", fw, "-o", out, stdin = "/dev/null",
    stdout = "capture", stderr = "capture", ... }
  assert(status == 1 or status == 2, "exit " .. status)
  assert(output:find(wanted, 1, true) and select(2, output:gsub("\n", "")) == 1, output)
end

local function refused(wanted, fw, ...)
  refused_into(work .. "/none", wanted, fw, ...)
  assert(not sys.exists(work .. "/none"), "something was written")
end

-- trace.csv as records.
local function traced(out)
  local rows = csv.rows(sys.read_file(out .. "/trace.csv"), "trace.csv")
  local list = {}
  for i = 2, #rows do
    list[i - 1] = {}
    for k, name in ipairs(rows[1]) do list[i - 1][name] = rows[i][k] end
  end
  return list
end

local function checks_of(out)
  local about, by = json.decode(sys.read_file(out .. "/evidence.json"), "evidence.json"), {}
  for _, one in ipairs(about.checks) do by[one.id] = one end
  return about, by
end

-- Every check passes, and the sums are those of the files.
local function all_pass(out)
  local _, by = checks_of(out)
  for _, id in ipairs { "INT-01", "TEN-01", "TRC-01", "STA-01", "STA-02", "STA-03", "STA-05", "MEM-01",
    "DIG-01", "NUM-01", "NUM-02", "SBM-01" } do
    assert(by[id] and by[id].status == "pass", ("%s: %s"):format(id, by[id] and by[id].found or "missing"))
  end
  local count = 0
  for hash, name in sys.read_file(out .. "/SHA256SUMS"):gmatch "(%x+)  ([^\n]+)\n" do
    assert(sha256.file(out .. "/" .. name) == hash, name)
    count = count + 1
  end
  assert(count == #sys.list(out) - 1, "a file without a sum")
  return by
end

-- Each function that the compiler has put into the library is traced, where its text stands.
local function functions_are_there(fw, out)
  local known, lines = {}, {}
  for _, row in ipairs(traced(out)) do
    if row["function"] ~= "" then
      known[row["function"]] = true
      if not lines[row.file] then
        lines[row.file] = {}
        for line in (sys.read_file(("%s/%s"):format(fw, row.file)) .. "\n"):gmatch "([^\n]*)\n" do
          table.insert(lines[row.file], line)
        end
      end
      local first, last = math.tointeger(tonumber(row.first_line)), math.tointeger(tonumber(row.last_line))
      assert(lines[row.file][first]:find(row["function"] .. "(", 1, true), row["function"])
      assert(lines[row.file][last]:find "}$", row["function"])
    end
  end
  local count = 0
  assert(not sys.exists(fw .. "/libmsa_model.a"), "evidence has compiled something in the build's folder")
  tally.must { "make", "-C", fw, "-s", "lib", env = { MAKEFLAGS = false } }
  for name in tally.must { "nm", fw .. "/libmsa_model.a" }:gmatch " [Tt] ([%w_]+)" do
    assert(known[name], name .. " is in the library and not traced")
    count = count + 1
  end
  assert(count > 100, "too few symbols")
  return count
end

-- Each definition has a row of its own, what #if or the linker chooses one of among them; the known answers that are
-- said to call a function do: a block's function is called by none.
local function definitions_are_there(fw, out)
  local rows, count = {}, 0
  for _, row in ipairs(traced(out)) do rows[("%s:%s:%s"):format(row.file, row["function"], row.first_line)] = row end
  for _, f in ipairs(texts.read(require("run.folder").open(fw)).functions) do
    assert(rows[("%s:%s:%d"):format(f.file, f.name, f.first)], f.key .. ": a definition is not traced")
    count = count + 1
  end
  local _, by = checks_of(out)
  assert(by["TRC-01"].found:find(("all %d functions, 26 layers"):format(count), 1, true), by["TRC-01"].found)
  for _, row in pairs(rows) do
    if row["function"] == "msa_block_00_mlp" then
      assert(row.known_answers == "" and row.known_answers_below:find "test_mlp", "a block's answers")
    end
  end
  return count
end

-- Multiply-adds in vectors of 8 are those of the network, and those of norms, softmax and padding.
local function operations_are_right(out)
  local rows, seen = csv.rows(sys.read_file(out .. "/operations.csv"), "operations.csv"), 0
  local place = {}
  for i, name in ipairs(rows[1]) do place[name] = i end
  for r = 2, #rows do
    local share = 8 * tonumber(rows[r][place.msa_vfma]) / tonumber(rows[r][place.multiply_adds])
    if rows[r][place.phase] == "encode" then
      seen = seen + 1
      assert(share >= 1 and share < 1.08, ("%s: %.3f"):format(rows[r][place.layer], share))
    end
  end
  assert(seen == 14, seen)
end

-- Instructions at most are not fewer than vectors of multiply-adds, and no more than five times as many.
local function instructions_are_right(out, macs)
  local rows = csv.rows(sys.read_file(out .. "/instructions.csv"), "instructions.csv")
  for _, row in ipairs(rows) do
    if row[1] == "msa_encode" then
      local share = tonumber(row[2]) / (macs / 8)
      assert(share > 1 and share < 5, share)
      return
    end
  end
  error "no bound of msa_encode"
end

-- A vector of the checkpoint lies where the trace says, and its hash is that of its bytes.
local function tensors_are_there(fw, out)
  local name = "image_encoder.patch_embed.proj.bias"
  local bytes = safetensors.open(tally.head):tensor(name):tobytes()
  for _, row in ipairs(traced(out)) do
    if row.tensors == name then
      local blob = sys.read_file(fw .. "/msa_weights.bin")
      local at = math.tointeger(tonumber(row.offset))
      assert(blob:sub(at + 1, at + #bytes) == bytes, "other bytes")
      assert(row.tensors_sha256 == sha256.hex(bytes), "another hash")
      return
    end
  end
  error "the tensor is not traced"
end

-- The error of the logits is within what the embedding's can grow to, and the mask's margins are larger.
local function margins_are_right(out)
  local rows, value = csv.rows(sys.read_file(out .. "/condition.csv"), "condition.csv"), {}
  for i, name in ipairs(rows[1]) do value[name] = tonumber(rows[2][i]) or rows[2][i] end
  assert(#rows == 2 and value.image == "image.png" and value.pixels == 64 * 64)
  assert(value.condition > 1 and value.condition < 1000, value.condition)
  assert(math.abs(value.bound_by_embedding / (value.condition * value.embedding_error) - 1) < 2e-3)
  assert(value.logits_error < value.bound_by_embedding, "first order is not enough")
  assert(value.largest_error < value.smallest_margin and value.pixels_within_error == 0 and value.pixels_other == 0)
end

tally.test("a build of this computer: what is said is there", function()
  local fw = built("host", "--board", "x86-64-avx2")
  local out = bundle(fw, "first", "--checkpoint", tally.head, "--image", image, "--misra", "--truth",
    tally.demo .. "/truth.png", "--profile")
  local by = all_pass(out)
  assert(by["STA-04"].status == "pass" and by["STA-04"].found:find "^%d%d%d+ findings", by["STA-04"].found)
  functions_are_there(fw, out)
  local count = definitions_are_there(fw, out)
  tensors_are_there(fw, out)
  operations_are_right(out)
  instructions_are_right(out, math.tointeger(tonumber(sys.read_file(fw .. "/msa_model.h"):match "MACS_ENCODE (%d+)")))
  assert(sys.read_file(out .. "/digests.csv"):find("image.png", 1, true), "no digest")
  margins_are_right(out)
  local page = sys.read_file(out .. "/index.html")
  local dice = tonumber(page:match 'src="data:image/png;base64,[^"]+" .-dotted: the expert.-Dice (0%.%d+)')
  assert(dice and dice > 0.9, "no picture with the expert's mask")
  local of = checks_of(out).images[1]
  assert(math.abs(of.dice - dice) < 1e-4 and of.truth_sha256 == sha256.file(tally.demo .. "/truth.png"), of.dice)
  assert(sys.read_file(out .. "/record.md"):find(("%s; Dice %.4f"):format(of.truth_sha256, dice), 1, true), "no Dice")
  assert(page:find("Measured on a synthetic image", 1, true), "no times")
  local profile = json.decode(sys.read_file(out .. "/profile.json"), "profile.json")
  assert(#profile.layers == 26 and profile.layers[1].ms > 0, "no profile")
  return ("%d functions; %s"):format(count, by["NUM-01"].found)
end)

tally.test("in int8 its error is larger, everything else holds", function()
  local out = bundle(built("int8", "--board", "x86-64-avx2", "--precision", "int8"), "of-int8", "--checkpoint",
    tally.head, "--image", image)
  all_pass(out)
  local function worst(path)
    local most = 0
    for error in sys.read_file(path .. "/numerics.csv"):gmatch "\n[%w_]+,([%d.e+-]+)," do
      most = math.max(most, tonumber(error))
    end
    return most
  end
  local f32, int8 = worst(work .. "/first"), worst(out)
  assert(f32 > 1e-8 and f32 < 2e-6, f32)
  assert(int8 > 1e-3 and int8 < 0.02, int8)
  return ("%.1e in float32, %.1e in int8"):format(f32, int8)
end)

local function missing(board)
  for _, program in ipairs { board.compiler, board.emulator[1] } do
    if not pcall(sys.spawn, { program, "--version", stdin = "/dev/null", stdout = "/dev/null", stderr = "/dev/null" })
    then return "there is no " .. program end
  end
end

local function on_bare_metal()
  local out = bundle_of_m7("plain", table.unpack(tally.full and EXAMPLE or { "--boards", "x86-64-sse42" }))
  local _, by = checks_of(out)
  local emulator
  assert(by["STA-01"].status == "pass" and by["STA-01"].found:find "arm%-none%-eabi%-gcc", by["STA-01"].found)
  assert(by["DIG-01"].status == "pass" and by["DIG-01"].found:find "under the emulator", by["DIG-01"].found)
  assert(by["TRC-01"].status == "pass", by["TRC-01"].found)
  definitions_are_there(work .. "/m7-plain", out)
  for _, one in ipairs(checks_of(out).tools) do emulator = one.name:find "^qemu" and one.version or emulator end
  assert(emulator and emulator:find "^%d+%.%d", "no version of the emulator")
  page_is_current(out, tally.full)
  assert(by["DIG-02"].status == "pass" and by["DIG-02"].found:find "^%d board", by["DIG-02"].found)
  local rows = csv.rows(sys.read_file(out .. "/boards.csv"), "boards.csv")
  local digest = sys.read_file(out .. "/digests.csv"):match ",(%x+)\n$"
  assert(rows[2][1] == "x86-64-sse42" and rows[2][2] == "f32-muladd-1" and rows[2][4] == "natively", rows[2][4])
  assert(rows[2][6] ~= digest and rows[2][6] == rows[2][7] and rows[2][8] == "yes", "a digest of its own class")
  assert(by["STA-05"].status == "pass" and by["STA-05"].found:find "msa_encode %d+, msa_segment %d+",
    by["STA-05"].found)
  return by["STA-01"].found
end

local lacks = missing(require("target.boards").named "cortex-m7")
if lacks then tally.skip("on the Cortex-M7, bare metal", lacks)
else tally.test("on the Cortex-M7, bare metal, under its emulator", on_bare_metal) end

tally.deep("all boards whose tools are here give the digest of their class", function()
  local out = bundle(work .. "/host", "of-all", "--checkpoint", tally.head, "--image", image, "--boards", "all")
  local _, by = checks_of(out)
  assert(by["DIG-02"].status == "pass", by["DIG-02"].found)
  local rows, classes = csv.rows(sys.read_file(out .. "/boards.csv"), "boards.csv"), {}
  for i = 2, #rows do
    local class, digest = rows[i][2], rows[i][6]
    assert(class == "" or (classes[class] or digest) == digest, rows[i][1])
    classes[class] = digest
  end
  assert(classes["f32-fma-1"] and #rows > 13, "boards were run")
  return by["DIG-02"].found
end)

-- A copy of a bundle.
local function copied(name, copy)
  sys.mkdir_p(work .. "/" .. copy)
  for _, one in ipairs(sys.list(("%s/%s"):format(work, name))) do
    sys.write_file(("%s/%s/%s"):format(work, copy, one), sys.read_file(("%s/%s/%s"):format(work, name, one)))
  end
end

tally.test("without a checkpoint what needs it is not measured, and said so; twice the same bytes, an earlier bundle "
  .. "in that folder or not", function()
  local _, by = checks_of(bundle(work .. "/host", "plain"))
  copied("first", "again")
  assert(sys.exists(work .. "/again/misra.csv") and not sys.exists(work .. "/plain/misra.csv"))
  bundle(work .. "/host", "again")
  assert(table.concat(sys.list(work .. "/plain"), " ") == table.concat(sys.list(work .. "/again"), " "), "other files")
  assert(sys.read_file(work .. "/plain/SHA256SUMS") == sys.read_file(work .. "/again/SHA256SUMS"), "other bytes")
  for id, wanted in pairs { ["INT-01"] = "pass", ["TRC-01"] = "pass", ["STA-01"] = "pass",
    ["TEN-01"] = "not measured", ["DIG-01"] = "not measured", ["DIG-02"] = "not measured",
    ["NUM-01"] = "not measured", ["NUM-02"] = "not measured" } do
    assert(by[id].status == wanted, ("%s: %s"):format(id, by[id].status))
  end
end)

-- What a record is made of, without what needs a compiler. @param checks of the bundle
local function recorded(checks)
  local folder = require("run.folder").open(work .. "/host")
  local of = texts.read(folder)
  return { folder = folder, text = of, trace = trace.of(folder, of), checks = checks, resources = { arena = 1 },
    images = {} }
end

local function row_of(self, clause)
  for _, standard in ipairs(require("evidence.record").standards(self)) do
    for _, row in ipairs(standard.rows) do
      if row.clause == clause then return row, standard end
    end
  end
end

tally.test("the record: its files are there, its verdicts are the checks', no check is left out", function()
  local text, about = sys.read_file(work .. "/first/record.md"), checks_of(work .. "/first")
  for name in text:gmatch "`([%w_.]+%.%w+)`" do
    assert(sys.exists(work .. "/first/" .. name) or name == "NUM-01", name .. ": no such file in the bundle")
  end
  for _, one in ipairs(about.checks) do
    assert(text:find(("`%s` %s: %s"):format(one.id, one.status, one.found:sub(1, 30)), 1, true), one.id)
  end
  assert(not text:find("| not measured |", 1, true) and not text:find("| fail |", 1, true), "something failed")
  local function check(id, status) return { id = id, title = "title", status = status, found = "found" } end
  for wanted, list in pairs { fail = { check("DIG-01", "pass"), check("TRC-01", "fail") },
    ["in part"] = { check("DIG-01", "pass"), check("TRC-01", "not measured") }, pass = { check("DIG-01", "pass") },
    ["not measured"] = {} } do
    local row = row_of(recorded(list), "5.5.3")
    assert(row.verdict == wanted and #row.checks == #list, ("%s, not %s"):format(row.verdict, wanted))
  end
  assert(row_of(recorded {}, "5.3, 5.4").verdict == "maker" and row_of(recorded {}, "5.5.4 a").verdict == "traced")
  assert(row_of(recorded {}, "5.5.4 e").facts[1].text == "statics: not measured")
  local row, where = row_of(recorded { check("XYZ-09", "fail") }, "XYZ-09")
  assert(row.verdict == "fail" and where.id == "further")
end)

-- The generator's compiler and libraries are named, those that are loaded with the hash of their file.
local function libraries_are_there(doc, names)
  local related = {}
  for _, one in ipairs(doc.relationships) do
    if one.relatedSpdxElement == "SPDXRef-generator" then related[one.spdxElementId] = one.relationshipType end
  end
  for _, name in ipairs { "lua", "libzip", "libpng", "zlib", "libtiff", "jansson", "nettle", "libunistring" } do
    local one = names[name] or error(name .. ": not listed")
    assert(one.versionInfo:find "^%d+%.%d" and one.licenseConcluded ~= "NOASSERTION", name)
    assert(related[one.SPDXID] == "DEPENDENCY_OF", name)
    local file, hash = one.comment:match "hashed: (%S+)$", one.checksums[1].checksumValue
    local path = tally.must({ "ldd", tally.program }):match("=> (/%S+/" .. file:match "^lib[%a]+" .. "[%d.]*%.so%S*)")
    assert(sha256.file(path) == hash, path)
  end
  assert(related["SPDXRef-generator-compiler"] == "BUILD_TOOL_OF")
  if require("scans.dicom.helper").path() then
    assert(names.dcmtk.versionInfo:find "^3%.%d" and names.openjpeg, "dcmtk")
  end
end

-- The bill of materials names every file, by its hash, and where the weights come from.
-- A copy of a build, one file of it changed.
local function changed(name, file, edit)
  local copy = ("%s/%s"):format(work, name)
  sys.mkdir_p(copy .. "/runner")
  for _, one in ipairs(require("run.made").list(work .. "/host")) do
    local text = sys.read_file(("%s/host/%s"):format(work, one))
    sys.write_file(("%s/%s"):format(copy, one), one == file and edit(text) or text)
  end
  return copy
end

tally.test("of the product's own compiler and flags, whatever lies compiled in the folder", function()
  local fw = changed("product", "none")
  sys.write_file(fw .. "/msa_model.o", "no object")
  sys.write_file(fw .. "/runner/msa_run", "no program")
  local out = bundle(fw, "of-product", "--checkpoint", tally.head, "--image", image, "--cc", "clang-19", "--cflags=-O3")
  local about, by = checks_of(out)
  assert(about.compiler.name == "clang-19" and about.compiler.flags:find("-O3", 1, true)
    and about.compiler.instead_of == "gcc -O2", about.compiler.flags)
  assert(by["STA-01"].found:find "by clang%-19 %d", by["STA-01"].found)
  assert(by["DIG-01"].status == "pass" and by["STA-05"].status == "pass", by["STA-05"].found)
  local bounds = sys.read_file(out .. "/instructions.csv")
  assert(tonumber(bounds:match "\nmsa_encode,(%d+)") > 1e8, "a bound of what clang makes")
  assert(sys.read_file(out .. "/record.md"):find("-O3, instead of the Makefile's gcc -O2", 1, true), "no compiler")
  assert(sys.read_file(fw .. "/msa_model.o") == "no object" and sys.read_file(fw .. "/runner/msa_run") == "no program",
    "something is compiled there")
  refused("nonesuch: expected the board's compiler, or --cc with another", fw, "--cc", "nonesuch")
  refused(fw .. ": expected C that compiles, found: ", fw, "--cflags=-Ono", "--profile")
end)

tally.test("the bill of materials has every file, the compiler, the checkpoint and its data", function()
  local doc = json.decode(sys.read_file(work .. "/first/sbom.spdx.json"), "sbom")
  assert(doc.spdxVersion == "SPDX-2.3")
  for _, file in ipairs(doc.files) do
    local path = ("%s/host/%s"):format(work, file.fileName)
    assert(sha256.file(path) == file.checksums[1].checksumValue, file.fileName)
    assert(file.checksums[2].algorithm == "SHA1", "SPDX 2.3 has every file by its SHA-1")
    assert(tally.must { "sha1sum", path }:match "^%x+" == file.checksums[2].checksumValue, file.fileName)
  end
  local names = {}
  for _, one in ipairs(doc.packages) do names[one.name] = one end
  local data = names["training data"].checksums[1].checksumValue
  assert(data == safetensors.open(tally.head).metadata.data_sha256 and names.gcc.versionInfo ~= "NOASSERTION")
  local said = tally.must { "cppcheck", "--version" }
  assert(said:find(names.cppcheck.versionInfo, 1, true) and names.cppcheck.versionInfo:find "^%d+%.%d", said)
  local other = json.decode(sys.read_file(work .. "/plain/sbom.spdx.json"), "sbom")
  assert(doc.documentNamespace ~= other.documentNamespace and doc.name == other.name, "two documents of one name")
  libraries_are_there(doc, names)
end)

-- Another compiler of the same flags, by its version, is shown; nothing else is changed by it.
tally.test("a compiler that is another is named in evidence.json, the record and the bill of materials", function()
  local bin, gcc = work .. "/other", tally.compiler "gcc"
  sys.mkdir_p(bin)
  sys.write_file(bin .. "/gcc", ('#!/bin/sh\n[ "$*" != -dumpfullversion ] || { echo 99.1.0; exit; }\nexec %s "$@"\n')
    :format(gcc))
  tally.must { "chmod", "+x", bin .. "/gcc" }
  local version = require("report.tools").version
  assert(version(bin .. "/gcc") == "gcc", "a compiler that is what it is called")
  sys.write_file(bin .. "/cc", '#!/bin/sh\n[ "$1" = --version ] && echo "Debian clang version 14.0.6" || echo 14.0.6\n')
  tally.must { "chmod", "+x", bin .. "/cc" }
  assert(version(bin .. "/cc") == "clang called cc", "clang by another name")
  tally.must { tally.program, "evidence", work .. "/host", "-o", work .. "/of-other",
    env = { PATH = bin .. ":" .. os.getenv "PATH" } }
  local before, after = checks_of(work .. "/plain").compiler, checks_of(work .. "/of-other").compiler
  assert(before.version ~= "99.1.0" and after.version == "99.1.0" and after.name == "gcc", after.version)
  assert(after.flags == before.flags and after.flags:find("-mavx2", 1, true) and after.flags:find("-O2", 1, true))
  for _, name in ipairs { "evidence.json", "sbom.spdx.json", "record.md", "index.html" } do
    local function text(folder)
      return (sys.read_file(("%s/%s/%s"):format(work, folder, name)):gsub('"documentNamespace": "[^"]*"', ""))
    end
    local old, new = text "plain", text "of-other"
    assert(old ~= new and new:gsub("99%.1%.0", before.version) == old, name .. " says nothing of it, or more")
  end
end)

-- What msagen diff says of two bundles. @return its status, its JSON
local function compared(old, new)
  local status, text = sys.spawn { tally.program, "diff", ("%s/%s"):format(work, old), ("%s/%s"):format(work, new),
    "--json", stdin = "/dev/null", stdout = "capture", stderr = "capture" }
  return status, status ~= 1 and json.decode(text, "diff") or text
end

tally.test("bundles are compared: identical, another compiler, other findings, another build, by hand", function()
  local status, found = compared("plain", "again")
  assert(status == 0 and found.verdict == "identical" and found.plan[1].what == "stands")
  status, found = compared("plain", "of-other")
  assert(status == 3 and found.verdict == "another compiler" and #found.inputs == 1, found.verdict)
  assert(found.inputs[1].what == "compiler version" and found.inputs[1].new == "99.1.0")
  assert(#found.checks == 1 and found.checks[1].what == "STA-01" and #found.sizes == 0 and #found.names == 4)
  status, found = compared("plain", "first")
  assert(status == 3 and found.verdict == "other findings" and found.inputs[1].what == "image image.png")
  status, found = compared("first", "of-int8")
  local seen = {}
  for _, one in ipairs(found.inputs) do seen[one.what] = one.new end
  assert(status == 3 and found.verdict == "another build" and seen.precision == "int8" and #found.sizes > 2)
  sys.write_file(work .. "/again/stack.csv", "by hand\n")
  status, found = compared("plain", "again")
  assert(status == 3 and found.new.changed_by_hand[1] == "stack.csv" and found.verdict == "other findings")
  sys.write_file(work .. "/again/evidence.json", '{"generator": "msagen evidence", "checks": 7}')
  for old, new in pairs { plain = "again", host = "plain" } do
    local code, said = compared(old, new)
    assert(code == 1 and said:find "^msagen: [^\n]+: expected [^\n]+\n$", said)
  end
end)

-- A command as another user where this one may become another, who can read what it needs.
local function as_another(command)
  local become = { "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups" }
  local trial = table.move({ "test", "-r", tally.head, "-a", "-x", tally.program, "-a", "-r",
    msagen.datadir .. "/lua/cli.lua" }, 1, 9, #become + 1, table.move(become, 1, #become, 1, {}))
  trial.stdin, trial.stdout, trial.stderr = "/dev/null", "/dev/null", "/dev/null"
  local ok, status = pcall(sys.spawn, trial)
  if not ok or status ~= 0 then return command, false end
  return table.move(command, 1, #command, #become + 1, become), true
end

tally.test("another path, time, locale, home, mask and user: the same bytes, objects and archive too", function()
  local first, other = work .. "/one/fw", work .. "/a longer name/of another/fw"
  tally.must { tally.program, "build", tally.head, "--dialect", head.dialect, "--board", "x86-64-avx2", "-o", first }
  tally.must { "make", "-C", first, "lib", env = { MAKEFLAGS = false } }
  local above = other:match "^(.*)/"
  sys.mkdir_p(above)
  tally.must { "chmod", "-R", "a+rwX", work }
  local env = { TZ = "Asia/Tokyo", LC_ALL = "C.UTF-8", LANG = "tr_TR.UTF-8", HOME = "/nonexistent", USER = "nobody",
    MAKEFLAGS = false, TMPDIR = above }
  local script = 'umask 027; sleep 1; "$1" build "$2" --dialect "$3" --board x86-64-avx2 -o "$4" '
    .. '&& make -C "$4" -j2 lib'
  local command, another = as_another { "sh", "-c", script, "sh", tally.program, tally.head, head.dialect, other }
  command.env = env
  tally.must(command)
  local count = 0
  for _, name in ipairs(require("run.made").list(first)) do
    assert(sha256.file(first .. "/" .. name) == sha256.file(other .. "/" .. name), name .. ": other bytes")
    count = count + 1
  end
  assert(#require("run.made").list(other) == count and count > 60, count)
  return ("%d files%s"):format(count, another and ", by two users" or "")
end)

tally.test("what is not msagen's is refused by name", function()
  refused("msa_kernels.c: expected what msagen wrote", changed("edited", "msa_kernels.c", function(text)
    return text .. "/* by hand */\n"
  end))
  refused("msa_weights.bin: expected the build's weights", changed("swapped", "msa_weights.bin", function(bytes)
    return bytes:sub(1, 5000) .. string.char(bytes:byte(5001) ~ 1) .. bytes:sub(5002)
  end))
  refused("manifest.json: expected what msagen wrote", changed("told", "manifest.json", function(text)
    return (text:gsub('"board": "[^"]*"', '"board": "other"', 1))
  end))
  refused("expected the checkpoint that", work .. "/host", "--checkpoint", tally.volume)
  refused("--boards: expected with --image", work .. "/host", "--checkpoint", tally.head, "--boards", "all")
  refused("--boards: expected one of", work .. "/host", "--checkpoint", tally.head, "--image", image, "--boards", "z80")
  refused("--image: expected with --checkpoint", work .. "/host", "--image", image)
  refused("--truth: expected one for each --image, 2, found 1", work .. "/host", "--checkpoint", tally.head, "--image",
    image, "--image", image, "--truth", image)
  refused("expected a folder that msagen build wrote", work .. "/nothing")
  refused_into(work .. "/first/../host", "expected another folder than the build's", work .. "/host")
  refused_into(work .. "/host/Makefile", "expected a folder, found a file", work .. "/host")
  copied("plain", "signed")
  sys.write_file(work .. "/signed/SHA256SUMS.asc", "signature")
  refused_into(work .. "/signed", "alone, found SHA256SUMS.asc in it", work .. "/host")
end)

tally.test("a manifest of other kinds, with a hash of its own, is refused in a line", function()
  for field, text in pairs { role = "7", offset = '"far"', tensors = "3", phase = '"sideways"' } do
    refused("manifest.json: ", changed("other-" .. field, "manifest.json", function(old)
      local new, count = old:gsub(('("%s": )[^\n]-(,?)\n'):format(field), "%1" .. text .. "%2\n", 1)
      assert(count == 1, field)
      if field == "tensors" then new = old:gsub('"tensors": %[.-%]', '"tensors": 3', 1) end
      return require("emit.manifest_seal").put((new:gsub('"manifest_sha256": "%x+"', '"manifest_sha256": ""')))
    end))
  end
end)

tally.test("networks of other families are traced and bounded, too", function()
  local cases, loops, count = require "cases", require "evidence.loops", 0
  for _, name in ipairs { "lite-medsam-2d", "mobile-sam-2d", "sam-med2d-2d", "msa-efficient-2025-2d", "msa-2025-3d" } do
    local case = json.decode(sys.read_file(("%s/%s/case.json"):format(cases.folder, name)), name)
    tally.must(cases.build(name, case, "x86-64-avx2", work .. "/" .. name))
    local folder = require("run.folder").open(work .. "/" .. name)
    local of = texts.read(folder)
    local problems = trace.of(folder, of).problems
    assert(#problems == 0, ("%s: %s"):format(name, problems[1]))
    for _, one in ipairs(loops.of(of, trace.OF_NETWORK)) do
      count = count + 1
      assert(one.trips, ("%s: %s:%d %s"):format(name, one.file, one.line, one.header))
    end
  end
  return count .. " loops"
end)

local OF_MACROS = "msa_self_test" -- it calls what its C names by a macro alone, where masks are of probabilities

tally.deep("bundles of networks of other families, by their golden cases, pass", function()
  local cases, count = require "cases", 0
  for _, name in ipairs { "lite-medsam-2d", "mobile-sam-2d", "sam-med2d-2d", "efficient-sam-2d",
    "msa-efficient-2025-2d", "msa-2025-3d", "msa-2023-3d-two-chunks", "msa-2025-2d-two-class", "hf-sam-2d" } do
    local folder = ("%s/%s"):format(cases.folder, name)
    local case = json.decode(sys.read_file(folder .. "/case.json"), name)
    tally.must(cases.build(name, case, "x86-64-avx2", ("%s/case-%s"):format(work, name)))
    local file = sys.exists(folder .. "/checkpoint.pth") and "/checkpoint.pth" or "/model.safetensors"
    local by = all_pass(bundle(("%s/case-%s"):format(work, name), "of-" .. name, "--checkpoint", folder .. file,
      "--image", folder .. "/image.npy"))
    local without = by["STA-05"].found:match "no bound of (.*)" or OF_MACROS
    assert(without == OF_MACROS, ("%s: %s"):format(name, without))
    local _, rows = sys.read_file(("%s/of-%s/condition.csv"):format(work, name)):gsub("\n", "")
    local depth = require("run.folder").open(("%s/case-%s"):format(work, name)).depth
    assert(rows == depth + 1, ("%s: condition of %d of %d slices"):format(name, rows - 1, depth))
    count = count + 1
  end
  -- MedSAM's names are SAM's, its pictures are resized by splines.
  local case = cases.read "sam-2d"
  case.dialect = "medsam"
  tally.must(cases.build("sam-2d", case, "x86-64-avx2", work .. "/medsam"))
  all_pass(bundle(work .. "/medsam", "of-medsam", "--checkpoint", cases.checkpoint "sam-2d", "--image",
    cases.folder .. "/sam-2d/image.npy"))
  return count + 1 .. " bundles"
end)

tally.test("what is not traced is said: a function that nobody calls, a part, a tensor, a test", function()
  local function problems(edit, file, text)
    local folder = require("run.folder").open(changed("untraced", file or "", function(old) return old .. text end))
    if edit then edit(folder) end
    return table.concat(trace.of(folder, texts.read(folder)).problems, "\n")
  end
  assert(problems() == "", problems())
  local rogue = problems(nil, "msa_kernels.c", "\nvoid msa_rogue(float *x)\n{\n    x[0] = 1.0f;\n}\n")
  assert(rogue:find("msa_rogue: no layer and no call", 1, true), rogue)
  assert(problems(function(folder) folder.layers[2].kind = "magic" end):find("its kind magic is of no requirement", 1,
    true))
  assert(problems(function(folder) folder.layers[2].operations = {} end):find("it has no operation", 1, true))
  assert(problems(function(folder) table.remove(folder.parts, 3) end):find("in no part of the blob", 1, true))
  assert(problems(function(folder) folder.parts[5].bytes = folder.parts[5].bytes // 2 end):find("are of no part", 1,
    true))
  local folder = require("run.folder").open(work .. "/host")
  local of = texts.read(folder)
  for i = #of.functions, 1, -1 do
    local name = of.functions[i].name
    if name == "test_decoder" or name == "test_prompt" then table.remove(of.functions, i) end
  end
  local unanswered = table.concat(trace.of(folder, of).problems, "\n")
  assert(unanswered:find("no known answer of the self-test runs it", 1, true), unanswered)
  local datadir = msagen.datadir
  msagen.datadir = work .. "/tree"
  sys.mkdir_p(work .. "/tree/tests/golden")
  sys.write_file(work .. "/tree/tests/tally.lua", "")
  sys.write_file(work .. "/tree/tests/golden/digests.json", '{"f32-fma-1": {"sam-2d": "00"}}')
  local ok, found = pcall(problems)
  msagen.datadir = datadir
  assert(ok and found:find("NET-01: its test run_golden.lua is not there", 1, true), found)
  assert(found:find("the golden case sam-2d is not there, whose digest golden/digests.json has", 1, true), found)
end)

return tally.finish()
