-- SPDX-License-Identifier: Apache-2.0
--- The devices that a command line describes: options that `build` and `plan` share, and build scripts.
local boards = require "target.boards"
local closed = require "support.closed"
local fail = require "support.fail"
local sandbox = require "support.sandbox"
local sys = require "msagen.sys"

local options = {}

local function integer(text)
  local n = math.tointeger(tonumber(text))
  if not n or n < 1 then return nil, ("expected a whole number above 0, found %s"):format(text) end
  return n
end

local function block_list(text)
  local list = {}
  for piece in (text .. ","):gmatch("([^,]*),") do
    local n = math.tointeger(tonumber(piece))
    if not n or n < 0 then return nil, ("expected block numbers separated by commas, found %s"):format(text) end
    list[#list + 1] = n
  end
  return list
end

local function one_of(...)
  local allowed = { ... }
  return function(text)
    for _, a in ipairs(allowed) do
      if a == text then return text end
    end
    return nil, ("expected %s, found %s"):format(table.concat(allowed, " or "), text)
  end
end

--- Declare the options that say which of a file's tensors count.
function options.of_tensors(command)
  command:option("--weights-key", "Which set of weights is meant, where a training file holds several: the key, or the "
    .. "names' prefix, under which it lies."):argname("KEY"):target("weights_key")
  command:option("--ignore",
    "Drop the tensors whose names begin so, which are known to be of no use; repeated."):argname("PREFIX"):count("*")
end

--- Declare the argument and the options that describe a device.
function options.setup(command)
  command:argument("input", "A build script (.lua), or a checkpoint (.pth, .safetensors); may be left out where there "
    .. "are banks."):argname("SCRIPT.lua|CHECKPOINT"):args "?"
  command:option("--board", "What to compile for: one that msagen boards lists, or a board's file of your own. "
    .. "Default: the best board for this CPU."):argname "NAME|FILE.lua"
  command:option("--resolution",
    "Side of the square that images are resized to, pixels. Default: the file's own."):argname("PX"):convert(integer)
  command:option("--depth", "Slices of a volume. Default: 1."):argname("D"):convert(integer)
  command:option("--precision", "Arithmetic of the build: f32."):argname("NAME"):convert(one_of "f32")
  command:option("--dialect",
    "Which program trained the file; needed only where the tensors do not tell."):argname "NAME"
  command:option("--classes",
    "Classes that a 2024 or 2025 file was trained for. Default: 1."):argname("N"):convert(integer)
  command:option("--cores",
    "Cores that share the work, 1 to 8; the bits are the same. Default: 1."):argname("N"):convert(integer)
  command:option("--chunk", "Slices that the depth branch takes at a time, or none. Default: the depth.")
    :argname("N|none"):convert(function(text)
    if text == "none" then return text end
    local slices = integer(text)
    return slices, not slices and ("expected a whole number above 0, or none, found %s"):format(text) or nil
  end)
  command:option("--decoder-heads",
    "Attention heads of the mask decoder. Default: 8."):argname("N"):target("decoder_heads"):convert(integer)
  command:option("--global-blocks", "Encoder blocks with global attention, from 0; needed only where no tensor tells.")
    :argname("LIST"):target("global_blocks"):convert(block_list)
  command:option("--click-order", "How the weights expect clicks: xy (default) or rc (row, column).")
    :argname("ORDER"):target("click_order"):convert(one_of("xy", "rc"))
  command:option("--base",
    "The backbone (a SAM checkpoint) of files that hold adapters only, or differences."):argname "FILE"
  command:option("--bank", "A target of its own on a common backbone; repeated. msagen run --bank NAME chooses.")
    :argname("NAME=FILE"):target("banks"):count("*"):convert(function(text)
    local name, path = text:match("^([^=]+)=(.+)$")
    if not name then return nil, ("expected NAME=FILE, found %s"):format(text) end
    return { name = name, checkpoint = path }
  end)
  command:option("--text-prompts", "Embeddings of phrases, one of which may be a prompt: a matrix [n, E], or [n, t] "
    .. "with a projection [E, t], and names."):argname("FILE.safetensors"):target("text_prompts")
  command:option("--weights", "mapped (default), or stream: the layers fetch their weights through hooks of the "
    .. "product, each while the one before works."):argname("HOW"):convert(one_of("mapped", "stream"))
  command:option("--stream-buffer", "With --weights stream: bytes that each of the two buffers may have at most. "
    .. "Default: as large as the layers' weights."):argname("BYTES"):target("stream_buffer"):convert(integer)
  command:flag("--trust", "Run the build script with all of Lua: files, programs, modules. Without it a script reaches "
    .. "none of them, and has a second and 256 MiB.")
  options.of_tensors(command)
  command:option("--prefix",
    "Prefix of all names, so that one program can hold several models. Default: msa."):argname "NAME"
end

local FIELDS = { "board", "resolution", "depth", "precision", "cores", "dialect", "classes", "chunk", "decoder_heads",
  "global_blocks", "click_order", "prefix", "base", "text_prompts", "weights", "stream_buffer", "weights_key" }

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

-- Run a build script: a program of the user's own that returns a device, or a list of them with names.
-- @param trust with all of Lua
local function run_script(path, trust)
  local result = (trust and run_trusted or run_sandboxed)(path)
  if type(result) ~= "table" then
    fail("%s: expected the script to return msagen.device {...} or a list of them, found %s", path, type(result))
  end
  -- Paths in a script are relative to the script.
  local folder = path:match("^(.*)/[^/]*$")
  local devices = #result > 0 and result or { result }
  for i, device in ipairs(devices) do
    if type(device) ~= "table" then fail("%s: device %d: expected a table, found %s", path, i, type(device)) end
    local function relative(t, field)
      if folder and type(t[field]) == "string" and t[field]:sub(1, 1) ~= "/" then
        t[field] = folder .. "/" .. t[field]
      end
    end
    for _, field in ipairs { "checkpoint", "base", "text_prompts" } do relative(device, field) end
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
    for _, field in ipairs(FIELDS) do
      if args[field] ~= nil then device[field] = args[field] end
    end
    if banks then device.banks = banks end
    if args.ignore and #args.ignore > 0 then device.ignore = args.ignore end
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

return options
