-- SPDX-License-Identifier: Apache-2.0
-- Damaged files from whole ones: of the same bytes and number always the same.

local damage = {}

-- A generator of numbers from 0 to n - 1 (splitmix64).
local function generator(seed)
  local state = seed
  return function(n)
    state = state + 0x9E3779B97F4A7C15
    local z = state
    z = (z ~ z >> 30) * 0xBF58476D1CE4E5B9
    z = (z ~ z >> 27) * 0x94D049BB133111EB
    return (z ~ z >> 31 & 0x7FFFFFFFFFFFFFFF) % n
  end
end

local function replaced(bytes, at, with) return bytes:sub(1, at - 1) .. with .. bytes:sub(at + #with) end

-- Places where a text begins.
local function places(bytes, what)
  local found, at = {}, bytes:find(what, 1, true)
  while at do
    found[#found + 1] = at
    at = bytes:find(what, at + #what, true)
  end
  return found
end

local function flips(bytes, random)
  -- Half of them where the header is: behind a preamble, before pixels.
  local first, last = 129, random(2) == 0 and math.min(#bytes, 1600) or #bytes
  for _ = 0, random(24) do
    local at = first + random(math.max(1, last - first))
    if at <= #bytes then bytes = replaced(bytes, at, string.char(bytes:byte(at) ~ 1 << random(8))) end
  end
  return bytes
end

local function truncated(bytes, random) return bytes:sub(1, random(#bytes)) end

-- Lengths, and other numbers: large ones somewhere, of any width.
local NUMBERS = { "\xFF\xFF\xFF\xFF", "\xFE\xFF\xFF\xFF", "\xFF\xFF\xFF\x7F", "\0\0\0\x80", "\xFF\xFF",
  "\xFE\xFF", "\0\0", "\0\0\0\0", "\1\0" }
local REPRESENTATIONS = { "US", "SQ", "OB", "OW", "UI", "DS", "IS", "CS", "SS", "UN" }
local function enlarged(bytes, random)
  for _ = 0, random(3) do
    local known = places(bytes, REPRESENTATIONS[1 + random(#REPRESENTATIONS)])
    local at = #known > 0 and known[1 + random(#known)] + 2 + 2 * random(2) or 129 + random(#bytes)
    if at + 4 <= #bytes then bytes = replaced(bytes, at, NUMBERS[1 + random(#NUMBERS)]) end
  end
  return bytes
end

-- What the picture says of itself: rows, columns, bits, samples, frames.
local function misdescribed(bytes, random)
  for _ = 0, random(3) do
    local element = ({ 0x02, 0x04, 0x06, 0x08, 0x10, 0x11 })[1 + random(6)]
    if random(3) == 0 then element = 0x100 + random(4) end
    local known = places(bytes, "\x28\0" .. string.pack("<I2", element))
    if #known > 0 then
      local at = known[1 + random(#known)] + 8
      local value = random(2) == 0 and NUMBERS[5 + random(3)] or string.pack("<I2", random(65536) >> random(16))
      if at + 2 <= #bytes then bytes = replaced(bytes, at, value) end
    end
  end
  return bytes
end

-- Pieces change places: fragments of pixels or items, else any.
local function exchanged(bytes, random)
  local items = places(bytes, "\xFE\xFF\0\xE0")
  if #items >= 3 and random(2) == 0 then
    local i = 1 + random(#items - 2)
    local a, b, c = items[i], items[i + 1], items[i + 2]
    return bytes:sub(1, a - 1) .. bytes:sub(b, c - 1) .. bytes:sub(a, b - 1) .. bytes:sub(c)
  end
  local a = 1 + random(#bytes)
  local n = 1 + random(math.max(1, (#bytes - a) // 2))
  return bytes:sub(1, a - 1) .. bytes:sub(a + n, a + 2 * n - 1) .. bytes:sub(a, a + n - 1) .. bytes:sub(a + 2 * n)
end

local function gone(bytes, random)
  local a = 129 + random(#bytes)
  return bytes:sub(1, a) .. (random(2) == 0 and "" or ("\0"):rep(random(64))) .. bytes:sub(a + 1 + random(64))
end

local WAYS = { flips, truncated, enlarged, misdescribed, exchanged, gone, flips, misdescribed }

--- Damage number n of a file's bytes.
function damage.of(bytes, n)
  local random = generator(n)
  for _ = 0, random(2) do bytes = WAYS[1 + random(#WAYS)](bytes, random) end
  return bytes
end

return damage
