-- SPDX-License-Identifier: Apache-2.0
-- What `msagen plan` says against what a build does, in one run: luahost bench/plan.lua [OPTIONS].
--   --boards LIST (those this CPU runs, but plain C)  --cases LIST (all)  --rounds 3  --out out/bench
-- Cases: ViT-B at 1024, 512 and 256; a volume; the demos. Prints predicted, measured and their ratio; fails where one
-- is not within 25 %. Times are processor time of one core, so that other programs' share does not count; see
-- bench/README.md.
local rig = require "rig"
local sys = require "msagen.sys"
local json = require "msagen.json"
local boards = require "target.boards"

local demo = rig.folder .. "/../demo"
local cases = {
  { "vit_b-1024", synth = { "--arch", "vit_b", "--resolution", "1024" }, "--dialect", "sam" },
  { "vit_b-512", synth = { "--arch", "vit_b", "--resolution", "512" }, "--dialect", "sam" },
  { "vit_b-256", synth = { "--arch", "vit_b", "--resolution", "256" }, "--dialect", "sam" },
  { "volume-256x4", synth = { "--arch", "vit_b", "--resolution", "256", "--dialect", "msa-2023" }, "--dialect",
    "msa-2023", "--depth", "4" },
  { "volume-256x8", synth = { "--arch", "vit_b", "--resolution", "256", "--dialect", "msa-2023" }, "--dialect",
    "msa-2023", "--depth", "8" },
  { "fetal-head", file = demo .. "/fetal-head/checkpoint.safetensors", "--dialect", "msa-paper" },
  { "hippocampus", file = demo .. "/hippocampus/checkpoint.safetensors", "--depth", "12" },
}
local options = { boards = false, cases = false, rounds = "3", out = "out/bench" }
do
  local i = 1
  while arg[i] do
    local key = arg[i]:match "^%-%-(%a+)$"
    if options[key] == nil or not arg[i + 1] then
      io.stderr:write("usage: plan.lua [--boards LIST] [--cases LIST] [--rounds N] [--out DIR]\n")
      os.exit(2)
    end
    options[key] = arg[i + 1]
    i = i + 2
  end
end
local program = rig.program
local work = options.out
sys.mkdir_p(work)

local function number(text, name)
  return tonumber(text:match(name .. " ([%d.]+)")) or error("no " .. name .. " in: " .. text)
end

local function chosen(list, name)
  for one in (list .. ","):gmatch "([^,]*)," do
    if one == name then return true end
  end
  return false
end

local row = "%-14s %-14s %10s %10s %5s  %9s %9s %5s  %8s %8s %5s"
print(row:format("case", "board", "encode ms", "measured", "ratio", "decode ms", "measured", "ratio", "code KiB",
  "measured", "ratio"))
local outside = 0
local function within(predicted, measured)
  local ratio = predicted / measured
  if ratio < 0.75 or ratio > 1.25 then outside = outside + 1 end
  return ("%.2f"):format(ratio)
end
for _, case in ipairs(cases) do
  for _, board in ipairs(boards.all()) do
    local wanted = options.boards and chosen(options.boards, board.name) or not options.boards and boards.native(board)
      and board.preference > 0
    if wanted and (not options.cases or chosen(options.cases, case[1])) then
      local checkpoint = case.file
      if not checkpoint then
        checkpoint = ("%s/%s-%s.safetensors"):format(work, table.concat(case.synth, "-"):gsub("%-%-%a+%-", ""), "plan")
        if not sys.exists(checkpoint) then
          rig.must { program, "synth", "--seed", "1", "-o", checkpoint, table.unpack(case.synth) }
        end
      end
      local fw = ("%s/plan-%s-%s"):format(work, case[1], board.name)
      local arguments = { checkpoint, "--board", board.name, table.unpack(case, 2) }
      rig.must { program, "build", "-o", fw, table.unpack(arguments) }
      -- Without POSIX the runner counts processor time.
      rig.must { "make", "-s", "-C", fw, "CFLAGS=-O2 -U__unix__ -U__linux__" }
      local encode, decode, planned = {}, {}, {}
      local p
      for i = 1, tonumber(options.rounds) do
        local out = rig.must { "sh", "-c", 'exec "$@" 2>/dev/null', "sh", program, "plan", "--json",
          table.unpack(arguments) }
        p = json.decode(out, "plan")[1]
        planned[i] = { p.encode_ms, p.decode_ms }
        local text = rig.must { program, "run", fw, "--bench", p.encode_ms > 1000 and "1" or "5" }
        encode[i], decode[i] = number(text, "encode_ms"), number(text, "decode_ms")
      end
      local function middle(k)
        local list = {}
        for i, one in ipairs(planned) do list[i] = one[k] end
        return (rig.median(list))
      end
      local text = rig.must { "size", "-t", fw .. "/libmsa_model.a" }
      local code = tonumber(text:match "(%d+)[%d%s]+%x+%s+%(TOTALS%)")
      local e, d = rig.median(encode), rig.median(decode)
      print(row:format(case[1], board.name, ("%.2f"):format(middle(1)), ("%.2f"):format(e), within(middle(1), e),
        ("%.3f"):format(middle(2)), ("%.3f"):format(d), within(middle(2), d),
        ("%.1f"):format(p.code_bytes / 1024), ("%.1f"):format(code / 1024), within(p.code_bytes, code)))
      io.stdout:flush()
      local manifest = json.decode(sys.read_file(fw .. "/manifest.json"), "manifest.json")
      assert(p.arena_bytes == manifest.arena_bytes and p.weights_bytes == manifest.weights_bytes,
        "arena or weights are not what was planned")
    end
  end
end
print(outside == 0 and "all within 25 %" or ("%d not within 25 %%"):format(outside))
return outside == 0 and 0 or 1
