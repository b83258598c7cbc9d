-- SPDX-License-Identifier: Apache-2.0
--- Where `run` writes: names that it can write, and that take nothing of the user's away. Checked before the work.
local closed = require "support.closed"
local fail = require "support.fail"
local sys = require "msagen.sys"

local outputs = {}

-- The endings that say what is written; of a volume's masks those behind the first.
local MASKS = { ".png", ".npy", ".nii", ".nii.gz" }
local ENDINGS = {
  mask_out = MASKS, labels_out = MASKS, overlay_out = { ".png" },
  resized_out = { ".npy" }, upsampled_out = { ".npy" },
  profile = { ".json" }, report_out = { ".html" },
}
local FILES = { "mask_out", "labels_out", "overlay_out", "resized_out", "upsampled_out", "profile",
  "report_out" }
outputs.MARK = "run.json" -- in a folder of results: which files are ours

local function option_of(field) return "--" .. field:gsub("_", "-") end

local function split(path)
  local parent, name = path:match "^(.*)/([^/]*)$"
  if not parent then return ".", path end
  return parent == "" and "/" or parent, name
end

--- The one name of a path, whatever links, `.` and `..` lead to it; what does not exist yet is named from what does.
function outputs.canonical(path)
  local real = sys.realpath(path)
  if real then return real end
  local parent, name = split((path:gsub("(.)/+$", "%1")))
  if name == "" or name == "." then return outputs.canonical(parent) end
  local base = outputs.canonical(parent)
  if name == ".." then return (split(base)) end
  return (base == "/" and "" or base) .. "/" .. name
end

--- The ending that a name has: ".png", ".nii.gz".
function outputs.ending(path)
  local _, name = split(path)
  return name:lower():match "%.%w+%.gz$" or name:lower():match "%.%w+$" or "none"
end

local function check_ending(field, path, volume)
  local option, found = option_of(field), outputs.ending(path)
  if ENDINGS[field] == MASKS and volume then
    if found == MASKS[1] then
      fail("%s %s: expected the name of an NPY or NIfTI file (%s), as the masks of a volume are, found %s", option,
        path, closed.list({ table.unpack(MASKS, 2) }), found)
    end
  end
  for _, good in ipairs(ENDINGS[field]) do
    if found == good then return end
  end
  fail("%s %s: expected a name that ends in %s, found %s", option, path, closed.list(ENDINGS[field]), found)
end

-- What a run reads: { [identity] = option and path }.
local function inputs_of(args, list, images)
  local known = {}
  local function add(option, path)
    local id = path and sys.identity(path)
    if id and not known[id] then known[id] = ("%s %s"):format(option, path) end
  end
  for _, path in ipairs(images) do add("--image", path) end
  for _, field in ipairs { "image", "truth", "mask_in", "prompts" } do add(option_of(field), args[field]) end
  for _, prompt in ipairs(list) do add("--prompts: mask", prompt.mask and prompt.mask.path) end
  return known
end

-- What the build and make made: { [canonical path] = true }, { [identity] = true }.
local function generated(folder)
  local paths, ids = {}, {}
  local names = { "manifest.json", folder.runner, folder.weights }
  for _, name in ipairs(require("run.made").list(folder.path)) do
    if name:match "%.[oa]$" or name == folder.runner .. ".sums" then names[#names + 1] = name end
  end
  for name in pairs(type(folder.files) == "table" and folder.files or {}) do names[#names + 1] = tostring(name) end
  for _, name in ipairs(names) do
    local path = folder.path .. "/" .. name
    paths[outputs.canonical(path)] = true
    local id = sys.identity(path)
    if id then ids[id] = true end
  end
  return paths, ids
end

-- A file's name as such, and what is there now.
local function check_file(option, path)
  local _, name = split(path)
  local function unwritable(expected, found)
    fail("%s %s: cannot be written: expected %s, found %s", option, path, expected, found)
  end
  if path == "-" then unwritable("the name of a file", "-: results do not go to standard output") end
  if path == "" then unwritable("the name of a file", "an empty text") end
  if name == "" or name == "." or name == ".." then unwritable("the name of a file", "a folder") end
  local id, kind = sys.identity(path)
  if id and kind ~= "file" then unwritable("the name of a file", "a " .. kind) end
  if not id and kind then unwritable("a file", "a link that leads nowhere") end
  return id
end

-- Whether a name in a folder of results is one that such a folder has without anybody's saying so.
local function is_result(name)
  return name == "embedding.npy" or name == outputs.MARK or name:match "^prompt_%d+%.logits%.npy$" ~= nil
    or name:match "^prompt_%d+%.iou%.npy$" ~= nil
end

-- The names that an earlier run noted down.
local function noted(dir)
  local path = dir .. "/" .. outputs.MARK
  local names = {}
  if not sys.exists(path) then return names end
  local ok, mark = pcall(function() return require("msagen.json").decode(sys.read_file(path), path) end)
  if not ok or type(mark) ~= "table" or mark.generator ~= "msagen run" then
    fail("--out %s: expected an empty folder or one with results of msagen run, found another %s", dir, outputs.MARK)
  end
  for _, name in ipairs(type(mark.files) == "table" and mark.files or {}) do names[name] = true end
  return names
end

-- A folder of results is empty or holds nothing but results, those that this run writes anew among them.
local function check_folder(dir, inside, inputs)
  if dir == "" or dir == "-" then
    fail("--out %s: expected a folder, found %s", dir, dir == "" and "an empty text" or "-")
  end
  local id, kind = sys.identity(dir)
  if not id and kind then
    fail("--out %s: cannot be written: expected a folder, found a link that leads nowhere", dir)
  end
  if not id then return end
  if kind ~= "folder" then fail("--out %s: cannot be written: expected a folder, found a %s", dir, kind) end
  local known = noted(dir)
  for _, name in ipairs(sys.list(dir)) do
    local path = dir .. "/" .. name
    local what, form = sys.identity(path)
    if what and inputs[what] then
      fail("--out %s: expected a folder without files that this run reads, found %s", dir, inputs[what])
    end
    local ours = form == "file" and (is_result(name) or known[name] or inside[name])
    if not ours and not name:match "^%.msagen%-" then
      fail("--out %s: expected an empty folder or one with results of msagen run alone, found %s in it", dir, name)
    end
  end
end

--- Check all outputs of a run; what is wrong is an error.
-- @param args of the command line
-- @param folder the generated one
-- @param list prompts
-- @param volume whether the image is one
-- @param shared nil, or { inputs = all images' paths, used = { [place or identity] = option } of images before }, where
--   those of this one are added
-- @return of outputs that go into the folder of --out, { [field] = name }
function outputs.check(args, folder, list, volume, shared)
  shared = shared or { inputs = {}, used = {} }
  local inputs, used = inputs_of(args, list, shared.inputs), shared.used
  local made, made_ids = generated(folder)
  local out = args.out and outputs.canonical(args.out)
  local names, inside = {}, {} -- of --out: other outputs there
  for _, field in ipairs(FILES) do
    local path, option = args[field], option_of(field)
    if path then
      local id, place = check_file(option, path), outputs.canonical(path)
      if made[place] or id and made_ids[id] then
        fail("%s %s: expected a file of your own, found one that the build made", option, path)
      end
      if id and inputs[id] then
        fail("%s %s: expected another file than those that this run reads, found %s", option, path, inputs[id])
      end
      check_ending(field, path, volume)
      for _, key in ipairs { place, id } do
        if used[key] then fail("%s %s: expected a file of its own, found that of %s", option, path, used[key]) end
        used[key] = option
      end
      if out then
        local parent, name = split(place)
        if place == out or parent == out and is_result(name) then
          fail("%s %s: expected a file of its own, found one of --out", option, path)
        end
        if parent == out then names[name], inside[field] = true, name
        elseif place:sub(1, #out + 1) == out .. "/" then
          fail("%s %s: expected a file in --out %s or beside it, found one in a folder of it", option, path, args.out)
        end
      end
    end
  end
  if out then
    if out == outputs.canonical(folder.path) then
      fail("--out %s: expected a folder of its own, found the one that the build made", args.out)
    end
    check_folder(args.out, names, inputs)
  end
  return inside
end

--- The note in a folder of results: which files are ours.
function outputs.mark(names)
  local json = require "msagen.json"
  local list = json.array {}
  for i, name in ipairs(names) do list[i] = name end
  table.sort(list)
  return json.encode({ generator = "msagen run", files = list }, { indent = 1 }) .. "\n"
end

return outputs
