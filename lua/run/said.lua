-- SPDX-License-Identifier: Apache-2.0
--- What `run` prints of its results, a line each.
local profile = require "run.profile"

local said = {}

said.PROMPTS = "--point, --box, --mask-in, --text, --prompts or --refine"

-- Where nothing differs any more there is nowhere to click, and nothing changes.
local function report_slice(clicks, slice, wanted, ahead)
  local last
  for _, click in ipairs(clicks) do
    if click.slice == slice then
      last = click
      print(("%sclicks %d dice %.4f %-4s  at %.14g,%.14g %s"):format(ahead, click.count, click.dice,
        click.count == clicks.kept_of[slice + 1] and "best" or "", click.x, click.y, click.label == 1 and "inside"
        or "outside"))
    end
  end
  if not last then return print(ahead .. "nothing inside the truth: no click, an empty mask") end
  for k = last.count + 1, wanted do
    print(("%sclicks %d dice %.4f       no error left to click on"):format(ahead, k, last.dice))
  end
end

local function report_clicks(run, clicks)
  local slices = #clicks.kept_of
  for slice = 0, slices - 1 do
    report_slice(clicks, slice, run.args.refine, slices > 1 and ("slice %d "):format(slice) or "")
  end
  print(("feedback %s"):format(run.feedback))
end

local function report_bench(folder, times)
  print(("encode_ms %s\ndecode_ms %s"):format(times.encode_ms, times.decode_ms))
  for _, name in ipairs { "arena_bytes", "weights_bytes", "macs_encode", "macs_decode" } do
    print(("%s %d"):format(name, folder[name]))
  end
  if type(folder.emulator) == "table" then
    print(("emulated by %s: times are not the board's"):format(folder.emulator[1]))
  end
end

local function report_results(results)
  for k, result in ipairs(results) do
    local iou, all = {}, {}
    for i, scores in ipairs(result.iou) do
      local list = {}
      for m, score in ipairs(scores) do list[m] = ("%.4f"):format(score) end
      iou[i] = list[result.best[i] + 1]
      all[i] = ("mask %d of %s"):format(result.best[i], table.concat(list, " "))
    end
    local dice = result.dice and (", Dice %.4f"):format(result.dice) or ""
    print(("prompt %d: %d mask%s, highest predicted IoU %s%s%s"):format(k - 1, result.masks,
      result.masks == 1 and "" or "s", table.concat(iou, " "), result.masks > 1 and ": " .. table.concat(all, "; ")
      or "", dice))
  end
end

--- Say what a run found.
-- @param run { args, folder, image, truth, feedback }
-- @param found what run/segment.lua gives, and digest and profile where they were asked for
function said.report(run, found)
  local args, folder = run.args, run.folder
  if args.refine then report_clicks(run, found.clicks[1]) end
  if found.digest then print("digest " .. found.digest) end
  if args.bench then report_bench(folder, found.times) end
  if found.profiled then print(profile.text(found.profiled)) end
  if args.refine then return end
  if run.truth or not (found.digest or args.bench or found.profiled) then report_results(found.results) end
  if #found.results == 0 and not (found.digest or args.bench or found.profiled) then
    local shape = run.image.shape
    local slices = shape[1] > 1 and (", %d slices"):format(shape[1]) or ""
    print(("%s: encoded, %dx%d%s; no prompt asked for a mask (%s)"):format(args.image, shape[3], shape[2], slices,
      said.PROMPTS))
  end
end

return said
