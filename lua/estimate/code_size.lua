-- SPDX-License-Identifier: Apache-2.0
--- How large a build's code will be: the kernels' texts are counted in operations, loops and calls, which the board's
-- file knows in bytes (as its compiler's -O2 makes them); layers, session and runtime are nearly the same in every
-- build.
local activations = require "graph.activations"

local code_size = {}

-- Instructions of inline functions of templates/simd.h and runtime/msa_arith.h; any other one is one.
local INSTRUCTIONS = { hold = 0, flushed = 3, exp = 17, vexp = 17, sum16 = 16, max16 = 16 }

for _, name in ipairs(activations.computed) do
  local entry = activations.entries[name]
  INSTRUCTIONS[name], INSTRUCTIONS[entry.vector:match "^msa_(.*)$"] = entry.code, entry.code
end

-- What a layer's function is as long as, in calls, and bytes of session, self-test and runtime.
local ENCODE_CALLS, DECODE_CALLS, RUNTIME = 14, 30, 17000

--- Operations, loops and calls in a text of kernels, the functions themselves among the calls.
function code_size.count(text)
  local operations, calls, loops = 0, 0, 0
  for name in text:gmatch("%f[%w_]msa_([%w_]+)%(") do
    if name:find "_f32" then calls = calls + 1
    else operations = operations + (INSTRUCTIONS[name] or 1) end
  end
  for _ in text:gmatch("%f[%w_]for %(") do loops = loops + 1 end
  return operations, loops, calls
end

--- Bytes of text and constants that a scheduled build will have.
function code_size.bytes(build)
  local code = build.board.code
  local sum = RUNTIME
  for _, text in ipairs(build.kernels.texts) do
    local operations, loops, calls = code_size.count(text)
    sum = sum + operations * code.operation + loops * code.loop + calls * code.call
  end
  for _, L in ipairs(build.graph.fused) do
    sum = sum + (L.phase == "decode" and DECODE_CALLS or ENCODE_CALLS) * code.call
  end
  return math.floor(sum + 0.5)
end

return code_size
