-- SPDX-License-Identifier: Apache-2.0
-- SAM ViT-B at 1024 with synthetic weights: the generator's memory, the arena, and agreement with PyTorch's float32.
local sys = require "msagen.sys"
local json = require "msagen.json"
local npy = require "msagen.npy"
local tally = require "tally"

local name = "sam-vit-b-1024-synthetic"
local golden = tally.tests .. "/golden/" .. name
local case = json.decode(sys.read_file(golden .. "/case.json"), "case.json")

if tally.best == "generic-c99" then
  tally.skip(name, "this CPU has no AVX2, and plain C with exact fma would take hours")
  return tally.finish()
end

local work = tally.folder "full"
local checkpoint, fw = work .. "/vit_b.safetensors", work .. "/fw"

tally.test("synth writes ViT-B", function()
  tally.must { tally.program, "synth", "--arch", "vit_b", "--seed", tostring(case.seed), "-o", checkpoint }
  return ("%d MB"):format(sys.size(checkpoint) // 1000000)
end)

tally.test("build stays within 1.3 times the checkpoint + 32 MiB", function()
  local start = sys.monotonic_ns()
  local status, output, peak = sys.spawn { tally.program, "build", checkpoint, "--dialect", "sam", "-o", fw,
    stdout = "capture", stderr = "capture" }
  assert(status == 0, output)
  local seconds = (sys.monotonic_ns() - start) / 1e9
  local ratio = (peak - (32 << 20)) / sys.size(checkpoint)
  assert(ratio <= 1.3, ("%.2f times + 32 MiB"):format(ratio))
  return ("%.1f s, peak %.2f times + 32 MiB"):format(seconds, ratio)
end)

tally.test("the arena is at most 40 MiB, and the lower bound", function()
  local manifest = json.decode(sys.read_file(fw .. "/manifest.json"), "manifest.json")
  assert(manifest.arena_bytes <= 40 << 20, manifest.arena_bytes .. " bytes")
  assert(manifest.arena_bytes <= 1.05 * manifest.arena_bound_bytes,
    ("%d bytes, bound %d"):format(manifest.arena_bytes, manifest.arena_bound_bytes))
  return ("%.1f MiB"):format(manifest.arena_bytes / (1 << 20))
end)

--- The image of the case: DIALECTS.md section 5.
local function synthetic_image(seed, count)
  local hash = 0xCBF29CE484222325
  for byte in ("image"):gmatch "." do hash = (hash ~ byte:byte()) * 0x100000001B3 end
  local base, root3 = hash + seed * 0x9E3779B97F4A7C15, math.sqrt(3)
  local parts, row, floor, char = {}, {}, math.floor, string.char
  for i = 0, count - 1 do
    local z = base + (i + 1) * 0xD1B54A32D192ED03
    z = (z ~ z >> 30) * 0xBF58476D1CE4E5B9
    z = (z ~ z >> 27) * 0x94D049BB133111EB
    z = z ~ z >> 31
    local v = floor(128 + 60 * (2 * ((z >> 40) * 2.0 ^ -24) - 1) * root3)
    row[#row + 1] = v < 0 and 0 or v > 255 and 255 or v
    if #row == 4096 then
      parts[#parts + 1] = char(table.unpack(row))
      row = {}
    end
  end
  parts[#parts + 1] = char(table.unpack(row))
  return table.concat(parts)
end

-- The reference has every n-th of the result's planes: of the embedding's channels one in 8, for room.
local function largest_error(got, reference)
  local a, b = npy.read(got), npy.read(reference)
  local rank = #a.shape
  local plane = a.shape[rank] * a.shape[rank - 1]
  assert(b.shape[rank] * b.shape[rank - 1] == plane, got .. " has another size")
  a, b = a:totable(), b:totable()
  local every, largest = #a // #b, 0
  assert(#a == every * #b, got .. " has another size")
  for i = 1, #b do
    local e = math.abs(a[(i - 1) // plane * every * plane + (i - 1) % plane + 1] - b[i])
    if not (e <= 1e30) then return math.huge end
    if e > largest then largest = e end
  end
  return largest
end

tally.test("it is run with two prompts", function()
  local side = case.image_size
  npy.write(work .. "/image.npy", { dtype = "u8", shape = { side, side, 3 },
    bytes = synthetic_image(case.seed, side * side * 3) })
  local prompts = json.array {}
  for k, p in ipairs(case.prompts) do
    prompts[k] = { points = p.points, labels = p.labels, box = p.box, multimask = p.multimask }
  end
  sys.write_file(work .. "/prompts.json", json.encode(prompts))
  tally.must { "make", "-j2", "-C", fw }
  tally.must { tally.program, "run", fw, "--image", work .. "/image.npy", "--prompts", work .. "/prompts.json", "--out",
    work .. "/got" }
end)

local function within(result, scale)
  tally.test(result .. " within 2e-4 of PyTorch's float32", function()
    local e = largest_error(("%s/got/%s.npy"):format(work, result), ("%s/%s.npy"):format(golden, result)) / scale
    assert(e <= 2e-4, ("%.1e of the scale"):format(e))
    return ("%.1e of the scale"):format(e)
  end)
end
within("embedding", case.embedding_scale)
for k, prompt in ipairs(case.prompts) do within(("prompt_%d.logits"):format(k - 1), prompt.logits_scale) end

return tally.finish()
