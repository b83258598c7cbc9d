-- SPDX-License-Identifier: Apache-2.0
--- Two folders that `msagen build` wrote, two bundles of `msagen evidence`, or two files that `msagen train` wrote:
-- what differs between them, as facts.
local asked = require "change.asked"
local bundles = require "change.bundles"
local fail = require "support.fail"
local folder = require "change.folder"
local plan = require "change.plan"
local sys = require "msagen.sys"
local texts = require "change.texts"
local trainings = require "change.trainings"
local weights = require "change.weights"

local differences = {}

--- Verdicts of two folders, the weakest first (docs/change.md).
differences.verdicts = { "identical", "only the test bench", "only weights", "code", "interface" }

--- The verdict. @param files of texts.compare @param same whether the weights are the same bytes @param by_hand whether
-- a file of either folder is not as msagen wrote it
function differences.verdict(files, same, by_hand)
  local rank, strongest, bench = texts.rank, by_hand and texts.rank.code or 0, false
  for _, one in ipairs(files) do
    if one.part == "product" then strongest = math.max(strongest, rank[one.class])
    else bench = true end
  end
  if strongest >= rank.interface then return "interface" end
  if strongest >= rank.code then return "code" end
  if strongest > rank["build id"] or not same then return "only weights" end
  return (bench or strongest > 0) and "only the test bench" or "identical"
end

local function known_answers(old, new)
  local lists = {}
  for i, side in ipairs { old, new } do
    local text = side:text(side.manifest.prefix .. "_known_answer.c")
    lists[i] = text and texts.answers(text)
  end
  if not lists[1] and not lists[2] then return nil end
  local equal = lists[1] and lists[2] and table.concat(lists[1], " ") == table.concat(lists[2], " ")
  return { equal = equal or false, old = lists[1], new = lists[2] }
end

local function side_of(side)
  local checkpoint = side.manifest.checkpoint or {}
  return { path = side.path, version = side.manifest.version, board = side.manifest.board, build = side.manifest.build,
    checkpoint_sha256 = checkpoint.sha256, changed_by_hand = side.changed }
end

--- Compare two folders of change.folder.
-- @return { kind = "network", "front end" or "training step"; verdict; old, new = { path, version, board, build,
-- checkpoint_sha256, changed_by_hand = names }; files, same = of texts.compare; constants, of texts.constants; sizes,
-- asked = lists of { what, old, new }; weights, of weights.compare; known_answers = { equal, old, new = texts } or nil;
-- plan, of change.plan }
function differences.of(old, new)
  if old.kind ~= new.kind then
    fail("%s: expected a folder of %s, as %s is, found one of %s", new.path, folder.kinds[old.kind], old.path,
      folder.kinds[new.kind])
  end
  local files, same = texts.compare(old, new)
  local found = { kind = old.kind == "training" and "training step" or old.kind, old = side_of(old), new = side_of(new),
    files = files, same = same, constants = texts.constants(old, new), sizes = asked.sizes(old, new),
    asked = asked.differences(old, new), weights = weights.compare(old, new),
    known_answers = known_answers(old, new) }
  found.verdict = differences.verdict(files, found.weights.equal, #old.changed + #new.changed > 0)
  found.plan = plan.of(found)
  return found
end

-- What a path is: "folder" or "file".
local function sort_of(path)
  local _, sort = sys.identity(path)
  if sort ~= "folder" and sort ~= "file" then
    fail("%s: expected a folder that msagen build wrote, or a file that msagen train wrote, found %s", path,
      sort and "neither" or "nothing")
  end
  return sort
end

--- Compare what two paths name.
-- @return the facts: of differences.of, or of bundles.compare or trainings.compare with their plan
function differences.between(old, new)
  local first, second = sort_of(old), sort_of(new)
  if first ~= second then
    fail("%s: expected a %s, as %s is: two folders of msagen build, or two files of msagen train; found a %s", new,
      first, old, second)
  end
  if bundles.is(old) or bundles.is(new) then
    if not (bundles.is(old) and bundles.is(new)) then
      fail("%s: expected a bundle of msagen evidence, as %s is, found none", bundles.is(old) and new or old,
        bundles.is(old) and old or new)
    end
    local found = bundles.compare(bundles.open(old), bundles.open(new))
    found.plan = plan.of_evidence(found)
    return found
  end
  if first == "folder" then return differences.of(folder.open(old), folder.open(new)) end
  local found = trainings.compare(trainings.open(old), trainings.open(new))
  found.plan = plan.of_training(found)
  return found
end

return differences
