-- SPDX-License-Identifier: Apache-2.0
--- The C of a generated folder as functions: where each is, and what it calls.
local c_text = require "report.c_text"
local sys = require "msagen.sys"

local text = {}

local NO_CALL = { ["if"] = true, ["for"] = true, ["while"] = true, ["switch"] = true, ["return"] = true,
  ["sizeof"] = true, ["do"] = true, ["else"] = true }

--- Names that a function's body calls, in order, each once. @param code of report.c_text
function text.calls(code)
  local list, seen = {}, {}
  for name in code:match("{.*$"):gmatch "([%a_][%w_]*)%s*%(" do
    if not seen[name] and not NO_CALL[name] then
      seen[name] = true
      list[#list + 1] = name
    end
  end
  return list
end

-- A file's name without prefix, and without the ending of C files: "kernels", "model.h", "msa.h" for the runtime's own.
local function stem_of(name, prefix)
  if name == prefix .. ".h" or name == "msa.h" then return "msa.h" end
  return (name:gsub("^" .. prefix .. "_", ""):gsub("%.c$", ""))
end

--- @param folder of run.folder
-- @return { files = names in order, functions = list of { name, file, stem, first, last, static, text, calls = set of
--   keys, key, definitions = those of its key } in order, by_key, find = function(file, name) -> the function that a
--   name is in a file, or nil }: the key of a function is its name, of a static one file:name; what is defined more
--   than once, in branches of #if or for a linker to choose, calls what any of its definitions calls
function text.read(folder)
  local prefix, out = folder.prefix or "msa", { files = {}, functions = {}, by_key = {} }
  local static, shared = {}, {}
  for _, name in ipairs(sys.list(folder.path)) do
    if folder.files[name] and name:match "%.[ch]$" then
      out.files[#out.files + 1] = name
      static[name] = {}
      for _, f in ipairs(c_text.read(sys.read_file(folder:file(name))).functions) do
        local one = { name = f.name, file = name, stem = stem_of(name, prefix), first = f.first, last = f.last,
          static = f.code:find "^static" ~= nil, text = f.code, called = text.calls(f.code) }
        one.key = one.static and name .. ":" .. f.name or f.name
        one.definitions = out.by_key[one.key] and out.by_key[one.key].definitions or {}
        table.insert(one.definitions, one)
        out.functions[#out.functions + 1], out.by_key[one.key] = one, one
        if not one.static then shared[f.name] = one
        elseif name:match "%.h$" then shared[f.name] = shared[f.name] or one
        else static[name][f.name] = one end
      end
    end
  end
  table.sort(out.files)
  function out.find(file, name) return static[file][name] or shared[name] end
  for _, one in ipairs(out.functions) do
    one.calls = one.definitions[1].calls or {}
    for _, name in ipairs(one.called) do
      local target = out.find(one.file, name)
      if target then one.calls[target.key] = true end
    end
    one.called = nil
  end
  return out
end

--- The functions that one reaches, itself among them, as a set of keys.
function text.reached(of, key, set)
  set = set or {}
  if set[key] or not of.by_key[key] then return set end
  set[key] = true
  for target in pairs(of.by_key[key].calls) do text.reached(of, target, set) end
  return set
end

return text
