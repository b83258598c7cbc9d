-- SPDX-License-Identifier: Apache-2.0
-- msagen evaluate DIR --data SET -o OUT: measure what was built on a data set.
local closed = require "support.closed"

local verb = {}

local whole = require("cli.prompt_options").whole
local MOST_CLICKS = 1000

local function one_of(names, option) return function(text) return closed.member(text, names, option) end end

-- 1,3,10 in rising order.
local function a_list_of_clicks(text)
  local list = {}
  for word in (text .. ","):gmatch "([^,]*)," do
    local n = math.tointeger(tonumber(word))
    if not n or n < 0 or n > MOST_CLICKS or list[#list] and n <= list[#list] then
      return nil, ("expected numbers from 0 to %d in rising order, found %s"):format(MOST_CLICKS, text)
    end
    list[#list + 1] = n
  end
  return list
end

function verb.setup(command)
  command:argument("dir", "A folder that `msagen build` wrote."):argname "DIR"
  local function option(name, argname, description) return command:option(name, description):argname(argname) end
  option("--data", "SET", "A folder with dataset.json (Medical Segmentation Decathlon, nnU-Net v2), a CSV with header "
    .. "image,label[,case,patient,class,prompt], or a folder with images/ and masks/ (or labels/).")
  option("-o --out", "OUT", "A folder for tables, cases, pictures; it also keeps what is done, so that an interrupted "
    .. "evaluation goes on.")
  option("--split", "NAME", "Of nnU-Net v2: all (default), test, train:FOLD, val:FOLD; of a CSV: rows whose column "
    .. "split says so; of folders: a folder within.")
  option("--classes", "NAME=V,...", "Classes of masks in images/ and masks/ by their values, V or V+W.")
    :convert(function(text) return require("evaluate.datasets").classes_option(text) end)
  option("--channel", "N", "Which channel, from 0, of a data set with several."):convert(whole(0, 9999))
  option("--clicks", "N,N,...", "After how many clicks to measure, in rising order; 0: by the text alone. Default: the "
    .. "data set's own prompts where it has some, else 1,3,10 (1 with --mode msa).")
    :convert(a_list_of_clicks)
  option("--first", "centre|random", "The first click: the inmost pixel of the truth (default), or any of it, as "
    .. "--seed says (default with --mode msa)."):convert(one_of({ "centre", "random" }, "--first"))
  option("--empty", "none|random", "What a slice gets that does not show the class: no prompt (default), or a click "
    .. "anywhere (default with --mode msa)."):convert(one_of({ "none", "random" }, "--empty"))
  option("--feedback", "none|logits", "Whether each click comes with the logits before as a mask prompt. Default: as "
    .. "the dialect's program trained."):convert(one_of({ "none", "logits" }, "--feedback"))
  option("--text", "NAME|class", "A text prompt by its name, or class: each class's own name.")
  command:flag("--multimask", "Ask for three masks rather than one: the default where the model's own program does.")
  command:flag("--one-mask", "Ask for one mask where the model's own program takes the best of three.")
  option("--bank", "NAME", "The target, where the folder was built with several; default: the first.")
  require("cli.image_options").setup(command)
  option("--mode", "plain|msa", "plain: as docs/evaluate.md defines; msa: as MSA's own eval_seg does.")
    :default "plain":convert(one_of({ "plain", "msa" }, "--mode"))
  option("--hd95", "pooled|max|area", "Which HD95."):default "pooled"
    :convert(one_of({ "pooled", "max", "area" }, "--hd95"))
  option("--published", "amos|btcv|modalities", "Put a table of the paper beside ours, marked.")
    :convert(function(text) return closed.member(text, require("evaluate.published").names, "--published") end)
  option("--against", "DIR2|OUT2", "Another build, which is measured on the same cases, or a finished evaluation of "
    .. "them: print the differences, paired; of a build also how alike masks of the same prompts are.")
  option("--layers", "CHECKPOINT", "With --against another build: print how far each layer of lower precision is from "
    .. "float32, by the interpreter, of the case whose masks agree least; the file is that of the build.")
  option("--worst", "K", "How many of the lowest to draw; 0: none."):default "5":convert(whole(0, 1000))
  option("--shard", "R/N|env", "Do part R of N (R from 1), or the part that mpirun or srun gives this process; then "
    .. "--merge."):convert(function(text) return require("evaluate.deal").shard(text) end)
  command:flag("--merge", "Do no case: write the tables of what the parts have done.")
  option("--seed", "N", "Of random clicks and of the intervals."):default "0"
    :convert(whole(0, math.maxinteger))
  command:flag("--modified", "Measure a folder whose generated files somebody changed.")
end

local function usage(format, ...)
  io.stderr:write("msagen: ", format:format(...), "; see msagen evaluate --help\n")
  return 2
end

local function contradiction(args)
  if not args.data then return "--data: expected a data set, found none" end
  if not args.out or args.out == "" then return "-o: expected a folder, found none" end
  if args.slice then return "--slice: expected whole volumes, found a slice" end
  if args.window and args.prepare then return "--window: expected instead of --prepare, found both" end
  if args.shard and args.merge then return "--merge: expected without --shard, found both" end
  if args.multimask and args.one_mask then return "--one-mask: expected without --multimask, found both" end
end

function verb.run(args)
  local problem = contradiction(args)
  if problem then return usage("%s", problem) end
  local evaluation = require "evaluate.evaluation"
  local opened = evaluation.open(args)
  if not args.merge then
    local merges, who = evaluation.perform(opened)
    if not merges and not who.together then
      print(("part %d of %d is done; when all are: msagen evaluate ... --merge"):format(who.rank + 1, who.count))
    end
    if not merges then return 0 end
  end
  local made, about = evaluation.merge(opened)
  io.write(require("evaluate.tables").terminal(made, about))
  if about.against then
    io.write(("minus %s:\n"):format(about.against.name),
      require("evaluate.tables").terminal(about.against.made, about))
  end
  if about.agreement then
    io.write(("masks of the same prompts beside those of %s:\n"):format(about.against.name),
      require("evaluate.tables").agreement(about.agreement))
  end
  if about.layers then
    io.write("error by layer, ", require("evaluate.tables").layers_heading(about.layers), "\n",
      require("evaluate.tables").layers(about.layers))
  end
  for _, class in ipairs(evaluation.unseen(made)) do
    local text = ("no mask shows the class %s: expected its value in some, see --classes"):format(class)
    require("cli.progress").warn(text, args.data)
  end
  print(("written to %s: table.md, cases.csv, index.html"):format(args.out))
  require("evaluate.ranks").finish(0)
  return 0
end

return verb
