-- SPDX-License-Identifier: Apache-2.0
--- What `run` prints of its results, a line each.
local overlays = require "run.overlays"
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
  if times.front_ms then print("front_ms " .. times.front_ms) end
  print(("encode_ms %s\ndecode_ms %s"):format(times.encode_ms, times.decode_ms))
  for _, name in ipairs { "arena_bytes", "weights_bytes", "macs_encode", "macs_decode" } do
    print(("%s %d"):format(name, folder[name]))
  end
  if type(folder.emulator) == "table" then
    print(("emulated by %s: times are not the board's"):format(folder.emulator[1]))
  end
end

local function agreement_text(truth)
  if not truth then return "" end
  local text = (", Dice %.4f, IoU %.4f"):format(truth.dice, truth.iou)
  return truth.hd95 and text .. (", HD95 %.2f %s"):format(truth.hd95, truth.unit) or text
end

-- How far a prompt of one slice was carried on.
local function reach(prompt, carried)
  local first, last = prompt.only, prompt.only
  for _, click in ipairs(carried) do first, last = math.min(first, click.slice), math.max(last, click.slice) end
  return (", slices %d to %d from slice %d"):format(first, last, prompt.only)
end

-- Colours are told where there are several to tell apart.
local function colour_of(layers, k)
  return layers and #layers > 1 and not layers[k].class and ", " .. overlays.colour(layers[k].colour) or ""
end

local function report_classes(layers)
  for _, layer in ipairs(layers or {}) do
    if layer.class then print(("class %d: %s"):format(layer.class, (overlays.colour(layer.colour)))) end
  end
end

-- A line, broken where it is wider than a terminal that shows it.
local function say(head, text)
  local terminal = require "support.terminal"
  if not terminal.is(1) then return print(head .. text) end
  print(table.concat(require("support.layout").hanging(head, text, terminal.columns(), 2), "\n"))
end

local function report_results(run, found)
  local layers = found.layers
  for k, result in ipairs(found.results) do
    local iou, all = {}, {}
    for i, scores in ipairs(result.iou) do
      local list = {}
      for m, score in ipairs(scores) do list[m] = ("%.4f"):format(score) end
      iou[i] = list[result.best[i] + 1]
      all[i] = ("mask %d of %s"):format(result.best[i], table.concat(list, " "))
    end
    say(("prompt %d: "):format(k - 1), ("%d mask%s, highest predicted IoU %s%s%s%s%s"):format(result.masks,
      result.masks == 1 and "" or "s", table.concat(iou, " "), result.masks > 1 and ": " .. table.concat(all, "; ")
      or "", run.args.propagate and reach(run.list[k], found.carried[k]) or "", agreement_text(result.truth),
      colour_of(layers, k)))
  end
  report_classes(layers)
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
  local figures = found.digest or args.bench or found.profiled
  if args.truth or not figures then report_results(run, found) end
  if #found.results == 0 and not figures then
    local shape = run.image.shape
    local slices = shape[1] > 1 and (", %d slices"):format(shape[1]) or ""
    say(args.image .. ": ", ("encoded, %dx%d%s; no prompt asked for a mask (%s)"):format(shape[3], shape[2], slices,
      said.PROMPTS))
  end
end

return said
