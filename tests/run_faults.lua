-- SPDX-License-Identifier: Apache-2.0
-- The table of docs/safety.md: what becomes of single bits flipped in memory (api/faults.c), for the demo on the best
-- board.
-- luahost run_faults.lua [FLIPS]: so many for each place and moment, 1000 unless given; make check-faults
local cases = require "cases"
local tally = require "tally"

local flips = math.tointeger(arg[1]) or 1000
local work = tally.folder "faults"

tally.test(("%d flips for each place and moment"):format(flips), function()
  local fw = work .. "/fw"
  tally.must { tally.program, "build", tally.head, "--dialect", "msa-paper", "-o", fw }
  tally.must { "make", "-j2", "-C", fw, "lib" }
  local rows = cases.faults(fw, flips, 1)
  local function percent(n) return ("%.1f %%"):format(100 * n / flips) end
  local columns = { "bit in", "flipped", "a call's status", "no result changes", "logits change, the mask does not",
    "the mask changes silently",
    "program stopped", "found by a later self-test" }
  print("| " .. table.concat(columns, " | ") .. " |\n" .. ("|---"):rep(#columns) .. "|")
  for _, row in ipairs(rows) do
    local when = row.moment == "between" and "between encode and segment" or "during " .. row.moment
    local changed = row.bits + row.mask
    print("| " .. table.concat({ row.place, when, percent(row.status), percent(row.harmless), percent(row.bits),
      percent(row.mask),
      percent(row.stopped), changed > 0 and ("%d of %d"):format(row.later, changed) or "–" }, " | ") .. " |")
  end
  cases.check_faults(rows)
end)

return tally.finish()
