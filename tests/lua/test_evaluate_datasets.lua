-- SPDX-License-Identifier: Apache-2.0
-- Data sets as people have them: every layout read, what is missing said, what is wrong refused in a line.

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
local sys = spec.host "msagen.sys"
if not sys then return end

local csv, datasets, deal = require "evaluate.csv", require "evaluate.datasets", require "evaluate.deal"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-datasets-")
sys.cleanup(work)

local count = 0
-- A folder with files; { [name] = text }.
local function made(files)
  count = count + 1
  local root = ("%s/%d"):format(work, count)
  sys.mkdir_p(root)
  for name, text in pairs(files) do
    sys.mkdir_p(root .. "/" .. (name:match "^(.*)/" or "."))
    sys.write_file(root .. "/" .. name, text)
  end
  return root
end

local function names(set)
  local list = {}
  for i, case in ipairs(set.cases) do list[i] = case.name end
  return table.concat(list, " ")
end

local function classes(case)
  local list = {}
  for i, class in ipairs(case.classes) do
    local values = {}
    for r, range in ipairs(class.ranges or {}) do values[r] = range[1] end
    list[i] = class.name .. "=" .. table.concat(values, "+")
  end
  return table.concat(list, " ")
end

describe("CSV", function()
  it("takes quotes, commas and lines within fields, CRLF and a byte order mark", function()
    local rows = csv.rows('\xEF\xBB\xBFa,"b ""c"", d"\r\n\r\n"two\nlines",\r\nlast,1', "x.csv")
    equal(#rows, 3)
    equal({ rows[1][1], rows[1][2], rows[2][1], rows[2][2], rows[3][2], rows[3].line },
      { "a", 'b "c", d', "two\nlines", "", "1", 5 })
    equal(csv.line { 'a"b', "c,d", false, 7 }, '"a""b","c,d",,7\n')
  end)
  it("refuses what is none, with the line", function()
    refuses(function() csv.rows('a,b\n"c,d', "x.csv") end, "x.csv:2", "end of the file")
    refuses(function() csv.rows('a"b,c', "x.csv") end, "x.csv:1", "quotes around")
    refuses(function() csv.rows('"a"b,c', "x.csv") end, "x.csv:1", "comma")
    refuses(function() csv.rows("a\rb", "x.csv") end, "carriage return")
  end)
end)

describe("a CSV of cases", function()
  local function read(text, options)
    local root = made { ["d.csv"] = text, ["a.png"] = "A", ["m.png"] = "M", ["b.png"] = "BB", ["p.json"] = "[]" }
    return datasets.open(root .. "/d.csv", options), root
  end
  it("has cases, patients, classes and prompts", function()
    local set, root = read('image,label,case,patient,class,prompt\nb.png,m.png,two,P1,liver=6,p.json\n'
      .. 'a.png,m.png,one,P1,lumen,"3,4 5,6,0"\nb.png,m.png,two,,spleen=1,\n')
    equal({ set.layout, names(set) }, { "csv", "one two" })
    equal({ classes(set.cases[1]), classes(set.cases[2]) }, { "lumen=", "spleen=1 liver=6" })
    equal({ set.cases[1].patient, set.cases[1].bytes, set.cases[2].bytes }, { "P1", 1, 2 })
    equal({ set.cases[1].classes[1].prompt, set.cases[1].classes[1].prompt_file }, { "3,4 5,6,0" })
    equal(set.cases[2].classes[2].prompt_file, root .. "/p.json")
    equal(datasets.class_names(set), { "lumen", "spleen", "liver" })
  end)
  it("is refused by its line where it is wrong", function()
    for text, words in pairs {
      ["image,label\n"] = { "images with masks" }, ["image\na.png\n"] = { ":1", "column label" },
      ["image,label,clas\n"] = { ":1", "clas", "did you mean class" },
      ["image,label\na.png,none.png\n"] = { ":2", "label", "none.png" },
      ["image,label\na.png\n"] = { ":2", "2 fields" }, ["image,label\na.png,\n"] = { ":2", "label" },
      ["image,label,class\na.png,m.png,x\na.png,m.png,y\n"] = { ":3", "NAME=VALUE" },
      ["image,label,class\na.png,m.png,x=1\na.png,m.png,x=1\n"] = { ":3", "once" },
      ["image,label,case\na.png,m.png,x\nb.png,m.png,x\n"] = { ":3", "one image for case x" },
      ['image,label,case\na.png,m.png,"x\ny"\n'] = { "name in one line" },
    } do refuses(function() read(text) end, table.unpack(words)) end
    refuses(function() read("image,label,split\na.png,m.png,train\n", { split = "trein" }) end, "did you mean train")
  end)
end)

describe("folders", function()
  it("pair by their names, and what has no partner is counted", function()
    local root = made { ["images/b.png"] = "", ["images/a.jpg"] = "", ["images/c.png"] = "", ["masks/a.png"] = "",
      ["masks/b.npy"] = "", ["masks/.DS_Store"] = "", ["masks/z.png"] = "" }
    local set = datasets.open(root)
    equal({ set.layout, names(set), set.cases[1].patient }, { "folders", "a b", "a" })
    equal(#set.notes, 2)
    holds(set.notes[1], "1 images without a mask", "c")
    holds(set.notes[2], "1 masks without an image", "z")
    local options = { classes = datasets.classes_option "tumour=2+3, liver=1" }
    equal(classes(datasets.open(root, options).cases[1]), "liver=1 tumour=2+3")
  end)
  it("are refused where there is no pair, or two of a name", function()
    refuses(function() datasets.open(made { ["images/a.png"] = "", ["masks/b.png"] = "" }) end, "found none")
    refuses(function() datasets.open(made { ["images/a.png"] = "", ["images/a.jpg"] = "", ["masks/a.png"] = "" }) end,
      "one file a", "two")
    refuses(function() datasets.open(made { ["x.png"] = "" }) end, "dataset.json", "images/")
    refuses(function() datasets.open(work .. "/none") end, "folder or a CSV", "nothing")
  end)
end)

describe("dataset.json", function()
  local function decathlon(text)
    return made { ["dataset.json"] = text, ["imagesTr/h_2.nii.gz"] = "", ["imagesTr/h_1.nii.gz"] = "",
      ["labelsTr/h_1.nii.gz"] = "", ["labelsTr/h_2.nii.gz"] = "" }
  end
  local both = '"training": [{"image": "./imagesTr/h_2.nii.gz", "label": "./labelsTr/h_2.nii.gz"},'
    .. '{"image": "imagesTr/h_1.nii.gz", "label": "labelsTr/h_1.nii.gz"}]'
  it("of the Decathlon", function()
    local root = decathlon('{"labels": {"2": "back", "0": "background", "1": "front"}, "modality": {"0": "MR"},'
      .. both .. "}")
    local set = datasets.open(root)
    equal({ set.layout, names(set), classes(set.cases[1]) }, { "decathlon", "h_1 h_2", "front=1 back=2" })
    refuses(function() datasets.open(root, { split = "test" }) end, "test images have none")
    local several = decathlon('{"labels": {"1": "x"}, "modality": {"0": "T1", "1": "T2"},' .. both .. "}")
    refuses(function() datasets.open(several) end, "modality", "--channel")
    equal(datasets.open(several, { channel = 1 }).cases[1].channel, 1)
  end)
  it("of nnU-Net v2, with folds, regions and channels", function()
    local root = made { ["dataset.json"] = '{"channel_names": {"0": "T1", "1": "T2"}, "file_ending": ".nii.gz",'
      .. '"labels": {"background": 0, "core": [2, 3], "whole": [1, 2, 3]}}', ["imagesTr/a_0000.nii.gz"] = "",
      ["imagesTr/a_0001.nii.gz"] = "", ["labelsTr/a.nii.gz"] = "", ["imagesTr/b_0001.nii.gz"] = "",
      ["labelsTr/b.nii.gz"] = "", ["imagesTr/c_0001.nii.gz"] = "",
      ["splits_final.json"] = '[{"train": ["a"], "val": ["b"]}, {"train": ["b"], "val": ["x"]}]' }
    refuses(function() datasets.open(root) end, "channel_names", "--channel", "2")
    local set = datasets.open(root, { channel = 1 })
    equal({ set.layout, names(set), classes(set.cases[1]) }, { "nnunet", "a b", "whole=1+2+3 core=2+3" })
    holds(set.notes[1], "1 images without a mask", "c")
    equal(names(datasets.open(root, { channel = 1, split = "val:0" })), "b")
    refuses(function() datasets.open(root, { channel = 1, split = "val:1" }) end, "a case x")
    refuses(function() datasets.open(root, { channel = 1, split = "val:2" }) end, "fold from 0 to 1")
    refuses(function() datasets.open(root, { channel = 1, split = "valid" }) end, "val:FOLD")
    refuses(function() datasets.open(root, { channel = 1, split = "test" }) end, "imagesTs")
    refuses(function() datasets.open(root, { channel = 0 }) end, "b_0000")
  end)
  it("is refused in a line whatever is in it", function()
    for text, words in pairs {
      ["{"] = { "dataset.json" }, ["[]"] = { "no such" }, ["7"] = { "object" }, ["{}"] = { "training", "no such" },
      ['{"training": 3, "labels": {"1": "x"}}'] = { "training", "list" },
      ['{"training": [3], "labels": {"1": "x"}}'] = { "training 0" },
      ['{"training": [], "labels": {"1": "x"}}'] = { "found none" },
      ['{"training": [], "labels": {"0": "x"}}'] = { "labels", "class" },
      ['{"training": [], "labels": {"-1": "x"}}'] = { "labels", "whole number" },
      ['{"training": [], "labels": {"1": "a\\nb"}}'] = { "labels", "one line" },
      ['{"training": [{"image": "a\\u0000", "label": "b"}], "labels": {"1": "x"}}'] = { "dataset.json" },
      ['{"channel_names": {}, "file_ending": "/..", "labels": {}}'] = { "file_ending" },
      ['{"channel_names": {"0": "CT"}, "file_ending": ".png", "labels": {"x": 1, "ignore": 2}}'] = { "ignore" },
      ['{"channel_names": {"0": "CT"}, "file_ending": ".png", "labels": {"x": []}}'] = { "labels: x" },
    } do refuses(function() datasets.open(decathlon(text)) end, table.unpack(words)) end
  end)
end)

describe("the hash of a set", function()
  it("is of what its files hold, wherever they are", function()
    local function hash(mask, patient)
      local text = "image,label,patient\na.png,m.png," .. patient
      local root = made { ["d.csv"] = text, ["a.png"] = "A", ["m.png"] = mask }
      return datasets.hash(datasets.open(root .. "/d.csv"), function() end)
    end
    equal(hash("M", "P"), hash("M", "P"))
    assert(hash("M", "P") ~= hash("N", "P") and hash("M", "P") ~= hash("M", "Q"), "equal where the sets differ")
  end)
end)

describe("dealing", function()
  local cases = {}
  for i = 1, 23 do cases[i] = { name = ("c%02d"):format(i), bytes = i % 5 } end
  it("gives each case to one part, whatever the number of parts", function()
    for _, n in ipairs { 1, 2, 5, 30 } do
      local seen, total = {}, 0
      for r = 1, n do
        local merges = deal.each(cases, deal.shard(("%d/%d"):format(r, n)), {}, function(case)
          assert(not seen[case.name], "twice")
          seen[case.name], total = true, total + 1
        end)
        equal(merges, n == 1)
      end
      equal(total, #cases)
    end
    equal(deal.share(cases, { rank = 1, count = 23 })[1].bytes, 4)
  end)
  it("reads what launchers set", function()
    local function env(values) return function(name) return values[name] end end
    equal(deal.shard("env", env { OMPI_COMM_WORLD_RANK = "3", OMPI_COMM_WORLD_SIZE = "5" }), { rank = 3, count = 5 })
    equal(deal.shard("env", env { PMI_RANK = "0", PMI_SIZE = "2" }), { rank = 0, count = 2 })
    equal(deal.shard("env", env { SLURM_PROCID = "1", SLURM_NTASKS = "2" }), { rank = 1, count = 2 })
    refuses(function() deal.shard("env", env {}) end, "--shard R/N")
    refuses(function() deal.shard("env", env { PMI_RANK = "2", PMI_SIZE = "2" }) end, "PMI_RANK below PMI_SIZE")
    equal(deal.shard "2/2", { rank = 1, count = 2 })
    equal(deal.shard "0/2", { rank = 1, count = 2 })
    for _, text in ipairs { "3/2", "x", "1/0", "1/99999999999999999999" } do
      equal({ (deal.shard(text)) }, {}, text)
    end
  end)
end)
