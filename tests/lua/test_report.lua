-- SPDX-License-Identifier: Apache-2.0
-- Pages: what comes from outside is escaped, the same data give the same bytes, and charts show what they are given.

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
local sys = spec.host "msagen.sys"
if not sys then return end
local build_facts = require "report.build_facts"
local charts = require "report.charts"
local evaluation_page = require "report.evaluation_page"
local example = require "report_data"
local markup = require "markup"
local page = require "report.page"
local run_page = require "report.run_page"
local style = require "report.style"

local PNG = sys.read_file(msagen.datadir .. "/demo/fetal-head/truth.png")
local BAD = "<script>alert('x')</script> & \"q\" \255\0\27 \u{202E}gnp.exe"

local function folder(fields)
  local f = { path = "fw", board = "generic-c99", model_hash = "00ff", input_size = 64, depth = 1, version = "0.1.0",
    arena_bytes = 256, arena_bound_bytes = 256, weights_bytes = 4096, banks = {}, texts = {}, clock = 1e9,
    checkpoint = { sha256 = "aa11", dialect = "sam" },
    layers = {
      { name = "patch", kind = "patch", phase = "encode", number = 0, macs = 2000000, bytes = 1000,
        product_cycles = 300, other_cycles = 100 },
      { name = "mlp", kind = "mlp", phase = "encode", number = 1, macs = 6000000, bytes = 1000, product_cycles = 900,
        other_cycles = 300 },
      { name = "masks", kind = "masks", phase = "decode", number = 0, macs = 0, bytes = 4000, product_cycles = 0,
        other_cycles = 50 } },
    buffers = {
      { name = "x", offset = 0, bytes = 64, first = "encode 0", last = "encode 1" },
      { name = "scratch mlp", offset = 64, bytes = 192, first = "encode 1", last = "encode 1" },
      { name = "weights decode 0", offset = 64, bytes = 64, first = "tokens", last = "decode 0" },
      { name = "logits", offset = 128, bytes = 64, first = "decode 0", last = "results" } } }
  for key, value in pairs(fields or {}) do f[key] = value end
  return f
end

local PROFILE = { clock = "cpu", image = "given", repetitions = 3, layers = {
  { phase = "encode", number = 0, ms = 1.5 }, { phase = "encode", number = 1, ms = 4.5 },
  { phase = "decode", number = 0, ms = 0.25 } } }

local function well_formed(text) equal(markup.problems(text), {}) end

describe("a page", function()
  it("escapes every text from outside", function()
    equal(page.escape "a<b>&\"'\n", "a&lt;b&gt;&amp;&quot;&#39;\n")
    equal(page.escape "ä\255\0\127\u{202E}é\xC3", "ä\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}é\u{FFFD}")
    equal(page.element("p", { class = 'a"b', hidden = true, id = false }, "<", { "x", { markup = "<br>" }, 3 }, nil,
      false).markup, '<p class="a&quot;b" hidden>&lt;x<br>3</p>')
  end)

  it("writes numbers as people read them, and a dash for what is none", function()
    equal(page.whole(1234567), "1\u{202F}234\u{202F}567")
    equal(page.whole(-999), "\u{2212}999")
    equal(page.decimal(-0.0001, 3), "0.000")
    equal(page.decimal(-1.25, 1), "\u{2212}1.2")
    for _, value in ipairs { 0 / 0, 1 / 0, -1 / 0, "x" } do equal(page.decimal(value, 3), "–") end
    equal(page.decimal(nil, 3), "–")
    equal(page.whole(0.5), "–")
    equal({ page.bytes(1023), page.bytes(1536), page.bytes(3 << 30) },
      { "1\u{202F}023\u{A0}B", "1.5\u{A0}KiB", "3.0\u{A0}GiB" })
  end)

  it("holds a picture's bytes in base 64, with its size and an alternative text", function()
    local head = PNG:sub(1, 24)
    for more, ending in pairs { [""] = "", ["f"] = "Zg==", ["fo"] = "Zm8=", ["foo"] = "Zm9v" } do
      local text = page.pictures { { title = "a", caption = "b", png = head .. more } }.markup
      equal(text:match "base64,([%w+/=]+)":sub(33), ending)
      local width, height = (">I4I4"):unpack(PNG, 17)
      holds(text, ('width="%d"'):format(width), ('height="%d"'):format(height), 'alt="a. b"')
    end
  end)

  it("has texts of a contrast of 4.5 and more, light and dark", function()
    local function luminance(colour)
      local sum = 0
      for i, weight in ipairs { 0.2126, 0.7152, 0.0722 } do
        local c = tonumber(colour:sub(2 * i, 2 * i + 1), 16) / 255
        sum = sum + weight * (c <= 0.04045 and c / 12.92 or ((c + 0.055) / 1.055) ^ 2.4)
      end
      return sum
    end
    for name, colours in pairs { light = style.light, dark = style.dark } do
      for _, pair in ipairs(style.texts) do
        local a, b = luminance(colours[pair[1]]), luminance(colours[pair[2]])
        local ratio = (math.max(a, b) + 0.05) / (math.min(a, b) + 0.05)
        if ratio < 4.5 then error(("%s: %s on %s: %.2f"):format(name, pair[1], pair[2], ratio)) end
      end
      for variable in style.text:gmatch "var%(%-%-([%w-]+)%)" do
        assert(colours[variable:gsub("-", "_")], "no colour " .. variable)
      end
    end
  end)

  it("is told apart from what is no page", function()
    local function problem(body) return markup.problems("<!DOCTYPE html>\n" .. body)[1] end
    equal(problem "<p>a", "<p> is not closed")
    equal(problem "<p><b>a</p></b>", "expected </b>, found </p>")
    equal(problem "<p>a & b</p>", "a bare & before  b")
    equal(problem "<img src=\"x.png\">", "img src leads to x.png")
    equal(problem "<script></script>", "an element script")
    equal(problem "<p onclick=\"a\"></p>", "p has onclick")
    equal(problem "<style>a>b{background:url(x)}</style>", "the style loads something")
    equal(problem "<style>a>b{color:red}</style>", nil)
  end)
end)

describe("facts of a build", function()
  it("are the arena's buffers over the moments of the plan", function()
    local memory = build_facts.memory(folder())
    equal(memory.moments, { "encode 0", "encode 1", "tokens", "decode 0", "results" })
    equal(memory.layers, { "patch", "mlp", nil, "masks" })
    local kinds = {}
    for i, b in ipairs(memory.buffers) do kinds[i] = ("%s %d %d"):format(b.kind, b.first, b.last) end
    equal(kinds, { "value 1 2", "scratch 2 2", "weights 3 4", "result 4 5" })
    equal(memory.phases, { { name = "encode", first = 1, last = 2 }, { name = "decode", first = 3, last = 5 } })
  end)

  it("refuse a manifest without them", function()
    refuses(function() build_facts.memory(folder { buffers = {} }) end, "manifest.json: buffers", "build the folder")
    for field, value in pairs { first = "decode 7", last = "encode 0", offset = 200, name = 3, bytes = -1 } do
      local f = folder()
      f.buffers[2][field] = value
      refuses(function() build_facts.memory(f) end, "buffer 2")
    end
    refuses(function() build_facts.layers(folder(), { layers = {} }) end, "a profile of this build")
  end)

  it("say times as they are known: measured, predicted, or none", function()
    local layers = build_facts.layers(folder(), PROFILE)
    equal({ layers.basis, layers.encode[2].ms, layers.decode[1].ms }, { "measured", 4.5, 0.25 })
    layers = build_facts.layers(folder())
    equal({ layers.basis, layers.encode[2].other_cycles, layers.hz }, { "predicted", 300, 1000000000 })
    local old = folder()
    old.layers[3].other_cycles = nil
    equal(build_facts.layers(old).basis, "macs")
  end)

  it("are those of a folder that is built: no two buffers lie over each other", function()
    local tiny = require "tiny_model"
    local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-report-")
    sys.cleanup(work)
    local device = tiny.device(work, "adapted")
    device.board, device.weights = "generic-c99", "stream"
    tiny.build(device, work .. "/fw")
    local opened = require("run.folder").open(work .. "/fw")
    local memory, seen = build_facts.memory(opened), {}
    for i, a in ipairs(memory.buffers) do
      seen[a.kind] = true
      for k = 1, i - 1 do
        local b = memory.buffers[k]
        local apart = a.last < b.first or b.last < a.first or a.offset + a.bytes <= b.offset
          or b.offset + b.bytes <= a.offset
        if not apart then error(("%s and %s"):format(a.name, b.name)) end
      end
    end
    equal(seen, { value = true, scratch = true, result = true, weights = true })
    equal(build_facts.layers(opened).basis, "predicted")
    well_formed(run_page.make { folder = opened })
  end)
end)

describe("a chart", function()
  it("of Dice counts each case in its bin", function()
    local text = charts.distributions { { label = "1 click", values = { 0, 0.04, 0.5, 1, 0 / 0, 1.5, -0.1 }, mean = 0.4,
      low = 0.3, high = 2 } }.markup
    holds(text, "4 cases, median 0.270, from 0.000 to 1.000, 3 undefined", 'd="M0.3 100v-96h4.4v96z'
      .. 'M50.3 100v-48h4.4v48zM95.3 100v-48h4.4v48z"', 'd="M27 0V100"', 'd="M0 0v10M4 0v10M50 0v10M100 0v10"',
      'd="M30 5H100"', 'd="M40 5h0"')
    holds(charts.distributions { { label = "a", values = {} } }.markup, "No cases.")
    holds(charts.distributions { { label = "a", values = { 0 / 0 } } }.markup, "No value is defined (1 undefined).")
  end)

  it("of memory draws address by moment", function()
    local text = charts.memory_map(build_facts.memory(folder())).markup
    holds(text, '<rect class="value" height="25%" width="40%" x="0%" y="75%"><title>x: 64\u{A0}B at 0, from encode 0 '
      .. 'to encode 1</title>', '<rect class="result" height="25%" width="40%" x="60%" y="25%">', 'style="width:60%"')
  end)
end)

describe("the page of an evaluation", function()
  local function data(classes, count, clicks)
    local rows, cases = example.evaluation(classes, count, clicks)
    return { title = BAD, rows = rows, cases = cases, pictures = { { title = BAD, caption = BAD, png = PNG } },
      model = build_facts.model(folder()), memory = build_facts.memory(folder()),
      layers = build_facts.layers(folder(), PROFILE), made = { { name = BAD, value = BAD } } }
  end

  it("is the same for the same data, well-formed, with nothing from elsewhere", function()
    local one = evaluation_page(data(example.classes, 60, { 1, 3, 10 }))
    assert(one == evaluation_page(data(example.classes, 60, { 1, 3, 10 })))
    well_formed(one)
    holds(one, "† published by the authors on other data; not measured here", "The 20 lowest of 720 by Dice",
      "&lt;b&gt;tumour &amp; &#39;edge&#39;&lt;/b&gt;", "Measured on a given image", "Mean Dice by class")
  end)

  it("has the published rows first and marks them", function()
    local one = data({}, 3, { 1 })
    table.insert(one.rows, table.remove(one.rows, 1))
    local text = evaluation_page(one)
    holds(text, '<tr class="published"><th class="word" scope="row">MSA †</th>')
    assert(text:find("MSA †", 1, true) < text:find("this build", 1, true))
    one.rows = { one.rows[1] }
    assert(not evaluation_page(one):find("†", 1, true))
  end)

  it("lists the lowest first, the undefined last", function()
    local text = evaluation_page { title = "t", cases = { { case = "b", dice = 0 / 0 }, { case = "high", dice = 0.9 },
      { case = "low", dice = 0.1, hd95 = 3 }, { case = "c" }, { case = "same", dice = 0.1 } } }
    local order = {}
    for name in text:gmatch '<th class="name" scope="row">([^<]*)' do order[#order + 1] = name end
    equal(order, { "low", "same", "high", "b", "c" })
    holds(text, "3 cases, median 0.100, from 0.100 to 0.900, 2 undefined")
    well_formed(text)
  end)

  it("may be of no case, of one, and of nothing but a title", function()
    local none = evaluation_page { title = "t" }
    well_formed(none)
    holds(none, "No cases were evaluated.")
    well_formed(evaluation_page(data({}, 0, { 1 })))
    local one = data({ "a" }, 1, { 1 })
    one.cases[1].clicks, one.rows[2].clicks = "box", "box"
    one = evaluation_page(one)
    well_formed(one)
    holds(one, ">box</td>", "1 case, median 1.000")
  end)
end)

describe("the page of a run", function()
  it("has a column for what any result has", function()
    local text = run_page.make { folder = folder(), image = { name = BAD, width = 5, height = 4, notes = { BAD } },
      results = { { name = BAD, predicted_iou = 0.5, pixels = 12345 }, { name = "b", dice = 0.25, status = BAD } },
      pictures = { { title = "overlay", png = PNG } }, profile = PROFILE, made = { { name = "digest", value = "ab" } } }
    well_formed(text)
    holds(text, ">predicted IoU<", ">Dice<", ">0.2500<", "12\u{202F}345", "5 × 4", "aa11")
    for _, absent in ipairs { "HD95", "volume", "extent" } do assert(not text:find(absent, 1, true), absent) end
    well_formed(run_page.make { folder = folder() })
  end)

  it("says what its bars are", function()
    holds(run_page.make { folder = folder() }, "plan&#39;s prediction in cycles", "10⁶ cycles are 1 ms")
    local old = folder()
    for _, L in ipairs(old.layers) do L.product_cycles = nil end
    holds(run_page.make { folder = old }, "Bars are multiply-adds, which are not time.")
  end)
end)
