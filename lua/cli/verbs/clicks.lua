-- SPDX-License-Identifier: Apache-2.0
-- msagen clicks TRUTH [PRED] [options]: where a user would click next (docs/metrics.md), in each slice.
local masks = require "metrics.masks"

local verb = {}

function verb.setup(command)
  command:argument("truth", "The expert's mask: PNG, JPEG, NPY, TIFF, NIfTI or DICOM."):argname "TRUTH"
  command:argument("pred", "The mask to improve, of the same shape. Without it: the first click."):argname "PRED"
    :args "?"
  command:option("--class", "What is inside: a value V, values V..W, a colour R,G,B, or any. May be repeated. Default: "
    .. "each label, or what is not 0 where there is one."):argname("VALUE"):count "*"
  command:flag("--json", "For machines: one JSON object.")
end

local function slice_of(mask, s)
  if #mask.shape == 2 then return mask end
  return mask:slice(1, s, 1):reshape { mask.shape[2], mask.shape[3] }
end

-- The clicks of one class, a slice each where something is wrong.
local function add_clicks(list, class, pred, is)
  local found, truth = masks.inside(class, pred or is, is)
  local slices = #truth.shape == 3 and truth.shape[1] or 1
  for s = 0, slices - 1 do
    local click = require("msagen.metrics").click(slice_of(truth, s), pred and slice_of(found, s))
    if click then
      click.class, click.slice = class.name, s
      list[#list + 1] = click
    end
  end
end

local function say(clicks, slices)
  for _, c in ipairs(clicks) do
    print(("%s%s%.14g,%.14g,%d  %s"):format(c.class == "inside" and "" or ("class %s "):format(c.class),
      slices > 1 and ("slice %d "):format(c.slice) or "", c.x, c.y, c.label, c.label == 1 and "inside" or "outside"))
  end
  if #clicks == 0 then print "nothing to click on" end
end

function verb.run(args)
  local pred, is
  if args.pred then pred, is = masks.pair(args.pred, args.truth) else is = masks.read(args.truth) end
  local clicks = {}
  for _, class in ipairs(masks.classes(pred or is, is, args.class)) do add_clicks(clicks, class, pred, is) end
  if args.json then
    local json = require "msagen.json"
    io.stdout:write(json.encode({ truth = args.truth, pred = args.pred or json.null, clicks = json.array(clicks) },
      { indent = 1 }), "\n")
  else
    say(clicks, #is.labels.shape == 3 and is.labels.shape[1] or 1)
  end
  return 0
end

return verb
