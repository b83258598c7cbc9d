-- SPDX-License-Identifier: Apache-2.0
--- The same checkpoint built for other boards and run here, each natively or under its emulator: whether every one
-- gives the digest of its class of arithmetic. A board that cannot be run here is listed with the reason.
local boards = require "target.boards"
local closed = require "support.closed"
local compiler = require "compiler.compiler"
local csv = require "evaluate.csv"
local interpretation = require "run.interpretation"
local numerics = require "evidence.numerics"
local sys = require "msagen.sys"
local tools = require "report.tools"

local others = {}

local function starts(program)
  return (pcall(sys.spawn, { program, "--version", stdin = "/dev/null", stdout = "/dev/null", stderr = "/dev/null" }))
end

--- The boards of a list of names; refused where there is no such board.
-- @param asked "all", or names or files of boards with commas between
function others.named(asked)
  if asked == "all" then return boards.all() end
  local list = {}
  for name in asked:gmatch "[^,]+" do list[#list + 1] = boards.named(name, nil, nil, "--boards") end
  if #list == 0 then require "support.fail"("--boards: expected all, or names with commas between, found none") end
  return list
end

-- Why a board's programs are neither made nor run here, or nil.
local function missing(board)
  if not starts(board.compiler) then return "there is no " .. board.compiler end
  if not boards.compiles(board) then return board.compiler .. " does not take the board's flags" end
  if boards.native(board) then return nil end
  if not board.emulator then return "this CPU does not run its code, and it has no emulator" end
  return not starts(board.emulator[1]) and "there is no " .. board.emulator[1] or nil
end

-- How a build's programs run here.
local function way(folder)
  if not folder.emulator then return "natively" end
  return ("under %s %s"):format(folder.emulator[1], tools.told(folder.emulator[1]) or "of no version")
end

-- A row's part that is of the board alone.
local function about(board, folder)
  local name, version = tools.version(board.compiler)
  return { board = board.name, arithmetic = folder.arithmetic, compiler = name .. " " .. version, way = way(folder) }
end

-- The checkpoint built for a board, in a folder of its own. @param asked see others.of
local function build(asked, board, where)
  local device = {}
  for field, value in pairs(asked.device) do device[field] = value end
  device.board = board.name
  compiler.build(device, where, "--boards " .. board.name, function() end)
  return require("run.folder").open(where)
end

-- A build's facts and digests.
local function run(asked, board, folder)
  folder:compile()
  return about(board, folder), numerics.built(folder, asked.model, asked.images, asked.prompt, asked.show)
end

-- What a body gives, or nil and the line that it failed with, without the folder that it worked in.
local function tried(work, body, ...)
  local results = table.pack(pcall(body, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  local problem = results[2]
  if type(problem) ~= "table" or not problem.msagen then error(problem, 0) end
  return nil, (problem.msagen:gsub(work:gsub("%p", "%%%0"), "the build"))
end

-- The interpreter's digests of a class, once.
local function interpreted(asked, class, known)
  if not known[class] then
    local it = interpretation.of(asked.model, class, nil, asked.device)
    known[class] = numerics.interpreted(it, asked.images, asked.prompt, asked.show)
  end
  return known[class]
end

-- Rows of a board that is there: one an image; one with the reason where it cannot be built, or fails.
local function rows_within(asked, board, known, work)
  local folder, why = tried(work, build, asked, board, work .. "/fw")
  if not folder then return { { board = board.name, why = why } } end
  local facts, built = tried(work, run, asked, board, folder)
  if not facts then return { { board = board.name, failed = built } } end
  local rows, truth = {}, interpreted(asked, folder.arithmetic, known)
  for i, image in ipairs(asked.images) do
    local digest = built[i].digest
    rows[i] = { image = image.name, digest = digest, interpreter = truth[i], same = digest == truth[i] }
    for field, value in pairs(facts) do rows[i][field] = value end
  end
  return rows
end

local function rows_of(asked, board, known)
  local why = missing(board)
  if why then return { { board = board.name, why = why } } end
  local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-evidence-")
  local ok, rows = pcall(rows_within, asked, board, known, work)
  sys.remove_tree(work)
  sys.keep(work)
  if not ok then error(rows, 0) end
  return rows
end

--- @param list of boards @param asked { device of the build, model, images, prompt, show: as evidence.numerics takes
-- them }
-- @return list of { board, image, arithmetic, compiler, way, digest, interpreter, same }, of { board, why } where it is
--   not run, of { board, failed } where the build that was made does not compile or run
function others.of(list, asked)
  local rows, known = {}, {}
  for _, board in ipairs(list) do
    local more = rows_of(asked, board, known)
    table.move(more, 1, #more, #rows + 1, rows)
  end
  return rows
end

--- boards.csv.
function others.csv(rows)
  local lines = { csv.line { "board", "arithmetic", "compiler", "run", "image", "digest", "interpreter", "same" } }
  for i, one in ipairs(rows) do
    local none = one.why and "not run: " .. one.why or one.failed and "failed: " .. one.failed
    lines[i + 1] = csv.line(none and { one.board, "", "", none, "", "", "", "" }
      or { one.board, one.arithmetic, one.compiler, one.way, one.image, one.digest, one.interpreter,
        one.same and "yes" or "no" })
  end
  return table.concat(lines)
end

--- The rows as status and sentence of a check.
function others.verdict(rows)
  local count, emulated, classes, bad, absent, seen = 0, 0, {}, {}, {}, {}
  for _, one in ipairs(rows) do
    if one.why then absent[#absent + 1] = ("%s (%s)"):format(one.board, one.why)
    elseif one.failed then bad[#bad + 1] = ("%s (%s)"):format(one.board, one.failed)
    elseif not one.same then bad[#bad + 1] = ("%s (another digest of %s)"):format(one.board, one.image)
    end
    if one.digest and not seen[one.board] then
      seen[one.board], classes[one.arithmetic] = true, true
      count, emulated = count + 1, emulated + (one.way == "natively" and 0 or 1)
    end
  end
  local said = #absent > 0 and "; not run: " .. table.concat(absent, ", ") or ""
  if #bad > 0 then return "fail", table.concat(bad, ", ") .. said end
  if count == 0 then return "not measured", said:sub(3) end
  return "pass", ("%d board%s, %d of them under an emulator; one digest an image in each of %s%s"):format(count,
    count == 1 and "" or "s", emulated, table.concat(closed.sorted(classes), ", "), said)
end

return others
