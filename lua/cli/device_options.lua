-- SPDX-License-Identifier: Apache-2.0
--- The devices that a command line describes: options that `build` and `plan` share, and build scripts.
local boards = require "target.boards"
local closed = require "support.closed"
local fail = require "support.fail"
local sandbox = require "support.sandbox"
local sys = require "msagen.sys"
local terminal = require "support.terminal"
local table_of = require "compiler.options"

local options = {}

-- Declare one of the compiler's options.
local function declare(command, field)
  local one = table_of.of(field)
  local option = command:option(one.option, one.help):argname(one.argument):target(one.field)
  if one.convert then option:convert(one.convert) end
  if one.repeated then option:count "*" end
end

--- Declare the options that say which of a file's tensors count.
function options.of_tensors(command)
  for _, field in ipairs { "weights_key", "ignore" } do declare(command, field) end
end

--- Declare the option that says which set of weights counts.
function options.of_set(command) declare(command, "weights_key") end

--- Declare the argument and the options that describe a device. @param training those of training builds, too
function options.setup(command, training)
  command:argument("input", "A build script (.lua), or a checkpoint (.pth, .safetensors); may be left out where there "
    .. "are banks."):argname("SCRIPT.lua|CHECKPOINT"):args "?"
  for _, one in ipairs(table_of.list) do
    if one.option and (training or not one.training) then declare(command, one.field) end
  end
  command:flag("--trust", "Run the build script with all of Lua: files, programs, modules. Without it a script reaches "
    .. "none of them, and has a second and 256 MiB.")
end

-- Of Lua, what a build script sees.
local SEES = { "_VERSION", "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget",
  "rawlen", "rawset", "select", "setmetatable", "tonumber", "tostring", "type",
  "xpcall", "math", "string", "table", "utf8" }
local WITHHELD = {}
for name in ("_G collectgarbage coroutine debug dofile getfenv io load loadfile loadstring module os package require "
  .. "setfenv unpack warn"):gmatch "%S+" do
  WITHHELD[name] = true
end

local function unknown(name)
  if WITHHELD[name] then
    return ("%s: not available in build scripts; --trust runs the script with all of Lua"):format(name)
  end
  local names = table.move(SEES, 1, #SEES, 3, { "msagen", "print" })
  return ("expected a name that the script sets, or one of Lua's or msagen's, found %s%s"):format(name,
    closed.hint(name, names))
end

local function run_sandboxed(path)
  return sandbox.run(path, { script = true, names = SEES,
    data = { msagen = { version = msagen.version, datadir = msagen.datadir, boards = boards.names() } },
    unknown = unknown })
end

-- With all of Lua, in this process.
local function run_trusted(path)
  local environment = setmetatable({ msagen = setmetatable({ boards = boards.names(), device = function(t)
    if type(t) ~= "table" then error("msagen.device: expected a table, found " .. type(t), 2) end
    return t
  end }, { __index = msagen }) }, { __index = _G })
  -- Whatever it calls, now or later: a build that did not happen has no status 0.
  -- luacheck: ignore
  os.exit = function() error("os.exit: expected the script to return its devices, found it ending the program", 2) end
  local chunk, message = load(sys.read_file(path), "@" .. path, "t", environment)
  local ok, result = chunk ~= nil, message
  if chunk then ok, result = pcall(chunk) end
  if not ok then
    if type(result) == "table" and result.msagen then error(result, 0) end
    local text = type(result) == "string" and result:gsub("%c", " ")
      or "expected an error's text, found a " .. type(result)
    local placed = text:match "^.-:(%d+: .*)$"
    fail("%s", placed and ("%s:%s"):format(path, placed) or ("%s: %s"):format(path, text))
  end
  local copy, problem = sandbox.copy(result)
  if problem then fail("%s: %s", path, problem) end
  return copy
end

--- What a script returns: a program of the user's own. @param trust with all of Lua
function options.result(path, trust) return (trust and run_trusted or run_sandboxed)(path) end

--- A path of a script's, relative to the script.
function options.beside(script, path)
  local folder = script:match "^(.*)/[^/]*$"
  if not folder or type(path) ~= "string" or path:sub(1, 1) == "/" then return path end
  return folder .. "/" .. path
end

-- Run a build script: it returns a device, or a list of them with names.
-- @param trust with all of Lua
local function run_script(path, trust)
  local result = options.result(path, trust)
  if type(result) ~= "table" then
    fail("%s: expected the script to return msagen.device {...} or a list of them, found %s", path, type(result))
  end
  -- Paths in a script are relative to the script.
  local folder = path:match("^(.*)/[^/]*$")
  local devices = #result > 0 and result or { result }
  for i, device in ipairs(devices) do
    if type(device) ~= "table" then fail("%s: device %d: expected a table, found %s", path, i, type(device)) end
    local function relative(t, field) t[field] = options.beside(path, t[field]) end
    for _, one in ipairs(table_of.list) do
      if one.path then relative(device, one.field) end
    end
    if type(device.board) == "string" and boards.is_file(device.board) then relative(device, "board") end
    if type(device.board) == "table" then
      device.board = boards.named(device.board, ("%s: board"):format(path), folder)
    end
    for _, bank in ipairs(type(device.banks) == "table" and device.banks or {}) do
      if type(bank) == "table" then relative(bank, "checkpoint") end
    end
  end
  return devices, #result > 0
end

--- The devices asked for, in order: {{ device =, name = nil or its name in a list }...}, options put over the script's
-- fields;
-- nil and a usage error's text where there is nothing to compile.
function options.devices(args)
  local banks = args.banks and #args.banks > 0 and args.banks or nil
  if not args.input and not banks then return nil, "expected a script, a checkpoint or --bank NAME=FILE, found none" end
  local devices, several = { { checkpoint = args.input } }, false
  if args.input and args.input:match("%.lua$") then devices, several = run_script(args.input, args.trust) end
  local list, seen = {}, {}
  for i, device in ipairs(devices) do
    for _, one in ipairs(table_of.list) do
      local given = one.option and args[one.field]
      if one.repeated and given and #given == 0 then given = nil end
      if given then device[one.field] = given end
    end
    list[i] = { device = device }
    if several then
      local name = device.name or type(device.board) == "table" and device.board.name or device.board
      if not device.name and type(name) == "string" and boards.is_file(name) then name = name:match "([^/]*)%.lua$" end
      if type(name) ~= "string" or not name:match("^[%w_.-]+$") or name:match("^%.+$") then
        fail("%s: name: expected letters, digits, -, _ and . for each device of a list, found %s", args.input,
          tostring(name))
      end
      if seen[name] then
        fail("%s: name: expected a different one for each device, found %s twice", args.input, name)
      end
      seen[name] = true
      list[i].name = name
    end
  end
  return list
end

--- The same for a verb; nil where there is nothing to compile, which is said: its status is 2 then.
function options.asked(args, verb)
  local devices, problem = options.devices(args)
  if not devices then terminal.say("error", ("%s: %s; see msagen %s --help"):format(verb, problem, verb)) end
  return devices
end

return options
