-- SPDX-License-Identifier: Apache-2.0
-- Pages as a browser shows them, on a phone and on a desk, light and dark: nothing overflows, labels lie where they
-- belong, texts can be read. run_pages.lua [FOLDER]: pages and screenshots stay there.
local sys = require "msagen.sys"
local json = require "msagen.json"
local tally = require "tally"
local build_facts = require "report.build_facts"
local evaluation_page = require "report.evaluation_page"
local example = require "report_data"
local markup = require "markup"
local page = require "report.page"
local run_page = require "report.run_page"

local scratch = tally.folder "pages"
local work = arg[1] or scratch
local SCREENS = { { "desk", 1280, 2400 }, { "phone", 360, 2400 } }
local LEAST_PICTURE = 20000 -- bytes of a screenshot; one of an empty page has a few thousand

-- ---- pages ----

local function built(name, file, ...)
  local out = ("%s/%s"):format(scratch, name)
  tally.must { tally.program, "build", file, "-o", out, ... }
  return require("run.folder").open(out)
end

-- A profile of made-up times, as run --profile writes it.
local function profile_of(folder)
  local p = { clock = "cpu", image = "synthetic", repetitions = 3, layers = {} }
  for i, L in ipairs(folder.layers) do
    p.layers[i] = { phase = L.phase, number = L.number, ms = L.macs / 50e6 + 0.01 }
  end
  return p
end

local pages = {}
local beside = {} -- files of the evidence's bundle

local function evaluation(folder, profile, classes, count, pictures)
  local rows, cases = example.evaluation(classes, count, { 1, 3, 10 })
  local png = sys.read_file(tally.source .. "/docs/overlay.png")
  local data = { title = "An evaluation with a long title_that_does_not_end_anywhere_near_the_edge_of_a_phone",
    rows = rows, cases = cases, pictures = {}, model = build_facts.model(folder), memory = build_facts.memory(folder),
    layers = build_facts.layers(folder, profile), made = build_facts.made(folder) }
  for i = 1, pictures do
    data.pictures[i] = { title = "Dice 0.123", caption = ("%s_"):format(example.classes[3]):rep(3), png = png }
  end
  data.made[#data.made + 1] = { name = "Command", value = "msagen evaluate --data " .. ("x"):rep(300) }
  return evaluation_page(data)
end

tally.test("pages of the demos are made", function()
  local plain = built("fetal-head", tally.head, "--dialect", "msa-paper")
  local volume = built("hippocampus", tally.volume, "--dialect", "msa-2023", "--depth", "4", "--weights", "stream",
    "--cores", "2")
  pages["evaluation"] = evaluation(plain, profile_of(plain), example.classes, 200, 5)
  pages["evaluation-small"] = evaluation(volume, nil, {}, 24, 1)
  pages["evaluation-empty"] = evaluation_page { title = "Nothing", model = build_facts.model(plain) }
  pages["run"] = run_page.make { folder = volume, image = { name = "volume.npy", width = 35, height = 51, slices = 36 },
    results = { { name = "point 247,261 inside", predicted_iou = 0.93, dice = 0.96, pixels = 123456, area = 4123.5,
      extent = "100,120 to 560,420", centroid = "330.5, 270.1" } } }
  tally.must { tally.program, "evidence", plain.path, "-o", scratch .. "/bundle", "--checkpoint", tally.head, "--image",
    tally.demo .. "/image.png", "--truth", tally.demo .. "/truth.png" }
  pages["evidence"] = sys.read_file(scratch .. "/bundle/index.html")
  for _, name in ipairs(sys.list(scratch .. "/bundle")) do beside[name] = true end
  local size = 0
  for name, text in pairs(pages) do
    sys.write_file(("%s/%s.html"):format(work, name), text)
    size = size + #text
  end
  return ("%d KB"):format(size // 1000)
end)

for _, name in ipairs { "evaluation", "evaluation-small", "evaluation-empty", "run", "evidence" } do
  tally.test(name .. ": every element is closed, and nothing comes from elsewhere", function()
    local problems = markup.problems(pages[name], name == "evidence" and beside)
    assert(#problems == 0, problems[1])
  end)
end

-- ---- the browser ----

local function browser()
  for _, name in ipairs { "chromium-headless-shell", "chromium" } do
    if pcall(sys.spawn, { name, "--version", stdin = "/dev/null", stdout = "/dev/null", stderr = "/dev/null" }) then
      return name
    end
  end
end

local program = browser()

-- What the browser prints. The sandbox is no use to a page of our own, and root cannot have it.
local function browse(scheme, ...)
  return tally.must { "timeout", "120", program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
    "--disable-dev-shm-usage", "--no-first-run", "--user-data-dir=" .. scratch .. "/browser",
    ("--blink-settings=preferredColorScheme=%d"):format(scheme == "dark" and 0 or 1), stderr = "/dev/null", ... }
end

-- A page of frames that measures others.
local function bench(texts)
  local names, frames = {}, {}
  for name in pairs(texts) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    frames[i] = page.element("iframe", { name = name, srcdoc = texts[name], height = 800 }).markup
  end
  return ("<!DOCTYPE html>\n<meta charset=\"utf-8\"><script>%s</script><pre></pre>%s\n"):format(
    sys.read_file(tally.tests .. "/pages.js"), table.concat(frames)), names
end

-- What the script in it says. @return name -> { scheme, elements, labels by width, ... lines of what is wrong }
local function measure(scheme, texts)
  local path = scratch .. "/bench.html"
  local text, names = bench(texts)
  sys.write_file(path, text)
  local output = browse(scheme, "--window-size=1400,1000", "--dump-dom", "file://" .. path)
  local found, wrong = {}, {}
  for line in (output:match "<pre>(.-)</pre>" or ""):gmatch "[^\n]+" do
    local name, is, elements, labels = line:match "^measured (%S+) (%S+) (%d+) (.*)$"
    if name then
      found[name] = table.move(wrong, 1, #wrong, 1, { scheme = is, elements = tonumber(elements), labels = labels })
      wrong = {}
    else wrong[#wrong + 1] = line end
  end
  for _, name in ipairs(names) do assert(found[name], name .. " was not measured") end
  return found
end

-- A page that is too wide on a phone, with a text that is too pale.
local BAD = page.document { title = "bad", sections = {} }:gsub("<main>", "%0"
  .. '<h1 style="width:500px">wide</h1><p style="color:#999">pale</p>')

-- A page as the browser prints it. @return the PDF's bytes, how many sheets
local function sheets(name)
  local path, most = ("%s/%s.pdf"):format(work, name), 0
  browse("dark", "--no-pdf-header-footer", "--print-to-pdf=" .. path, ("file://%s/%s.html"):format(work, name))
  local pdf = sys.read_file(path)
  assert(pdf:sub(1, 5) == "%PDF-" and pdf:find("%%EOF", -16, true), "no PDF")
  for count in pdf:gmatch "/Type /Pages%s.-/Count (%d+)" do most = math.max(most, tonumber(count)) end
  return pdf, most, path
end

-- Several sheets, with what is closed on the screen; where pdftotext is at hand, the words of its summary.
local function printed(name)
  local pdf, most, path = sheets(name)
  assert(most > 1, ("%d pages"):format(most))
  local text_of_page, closed = sys.read_file(("%s/%s.html"):format(work, name)):gsub("<details>", "<details open>")
  if closed > 0 then
    sys.write_file(("%s/%s-open.html"):format(work, name), text_of_page)
    local _, open = sheets(name .. "-open")
    assert(open == most, ("%d pages, %d where all is open"):format(most, open))
  end
  local ok, status, text = pcall(sys.spawn, { "pdftotext", path, "-", stdin = "/dev/null", stdout = "capture",
    stderr = "/dev/null" })
  if ok then
    local word = name == "evidence" and "not measured." or "Results"
    assert(status == 0 and text:find(word, 1, true), "its words are missing")
  end
  return ("%d pages, %d KB%s"):format(most, #pdf // 1000, ok and ", its words are there" or "")
end

local function test_in_browser()
  for _, scheme in ipairs { "light", "dark" } do
    tally.test(("at seven widths, %s, nothing overflows and texts can be read"):format(scheme), function()
      local texts = { bad = BAD }
      for name, text in pairs(pages) do texts[name] = text end
      local found, labels = measure(scheme, texts), {}
      local bad = table.concat(found.bad, "\n")
      assert(bad:find("at 360: the page is 5", 1, true) and not bad:find("at 1280", 1, true), bad)
      assert(bad:find("a contrast of 2.8", 1, true) or scheme == "dark", bad)
      for name in pairs(pages) do
        assert(#found[name] == 0, ("%d things, first: %s"):format(#found[name], found[name][1]))
        assert(found[name].scheme == scheme, found[name].scheme)
      end
      for count in found.run.labels:gmatch "%d+" do labels[#labels + 1] = tonumber(count) end
      assert(found.evaluation.elements > 500 and labels[1] > 0 and labels[#labels] > labels[1])
      return ("%d elements; labels of the map: %s"):format(found.evaluation.elements, found.run.labels)
    end)
  end
  for _, name in ipairs { "evaluation", "evidence" } do
    tally.test(name .. ": printed as PDF", function() return printed(name) end)
  end
  for _, name in ipairs { "evaluation", "run", "evidence" } do
    for _, screen in ipairs(SCREENS) do
      tally.test(("%s: screenshot, %s"):format(name, screen[1]), function()
        local path = ("%s/%s-%s.png"):format(work, name, screen[1])
        browse("light", ("--window-size=%d,%d"):format(screen[2], screen[3]), "--screenshot=" .. path,
          ("file://%s/%s.html"):format(work, name))
        local png = sys.read_file(path)
        local width, height = (">I4I4"):unpack(png, 17)
        assert(width == screen[2] and height == screen[3], ("%d x %d"):format(width, height))
        assert(#png > LEAST_PICTURE, ("%d bytes"):format(#png))
        return ("%d KB"):format(#png // 1000)
      end)
    end
  end
end

if not program then
  tally.skip("pages in a browser", "there is no chromium-headless-shell, nor chromium")
elseif next(pages) then test_in_browser() end

return tally.finish()
