-- SPDX-License-Identifier: Apache-2.0
--- Types of elements: of a value of the graph, of what lies in memory, of the weights' parts.
--   bytes  of one element
--   c      its type in C
-- Memory is laid out in bytes; a place within something is counted in its own elements. In C the arena, a segment of
-- weights and scratch are arrays of the BASE type, and places in them that text names are counted in it.

local closed = require "support.closed"

local types = { table = { f32 = { bytes = 4, c = "float" }, u8 = { bytes = 1, c = "uint8_t" },
  bf16 = { bytes = 2, c = "uint16_t" }, u32 = { bytes = 4, c = "uint32_t" }, i8 = { bytes = 1, c = "int8_t" },
  i16 = { bytes = 2, c = "int16_t" } },
  BASE = "f32" }

local names = closed.sorted(types.table)

--- Everything that has a place of its own begins on a cache line.
types.LINE = 64

--- The entry of a type's name; a refusal that begins with `where` for what is none.
function types.of(name, where) return types.table[name] or closed.member(name, names, where or "types") end

--- Bytes of so many elements.
function types.bytes(name, elements) return elements * types.of(name).bytes end

--- Elements of a type in so many bytes.
function types.elements(name, bytes)
  local size = types.of(name).bytes
  if bytes % size ~= 0 then error(("types: %d bytes are no whole number of %s"):format(bytes, name)) end
  return bytes // size
end

--- Bytes of the cache lines that so many bytes take.
function types.lines(bytes) return (bytes + types.LINE - 1) // types.LINE * types.LINE end

--- A place in bytes as C counts it: elements of an array of the base type.
function types.base(bytes) return types.elements(types.BASE, bytes) end

--- A pointer in C to elements of a type, from one to the base type. @param qualifier "const " or ""
function types.pointer(name, pointer, qualifier)
  if name == types.BASE then return pointer end
  return ("(%s%s *)%s"):format(qualifier, types.of(name).c, pointer:find " " and "(" .. pointer .. ")" or pointer)
end

return types
