-- SPDX-License-Identifier: Apache-2.0
-- msagen graph CHECKPOINT [options] [--after PASS [--train WHAT]] [--dot] [-o FILE]: operations of the network, as text
-- or for Graphviz.
local closed = require "support.closed"
local fail = require "support.fail"
local layout = require "support.layout"
local options = require "cli.device_options"
local terminal = require "support.terminal"

local verb = {}

function verb.setup(command)
  options.setup(command)
  command:option("--after", "After a pass of the compiler: prune, lower (steps), memory (places in the arena); "
    .. "differentiate: in training, with the gradients. Default: the network as it is described."):argname "PASS"
  command:option("--train", "With --after differentiate: what trains, a set of tensors ("
    .. table.concat(require "train.sets".names, ", ") .. "), a tensor, or a Lua pattern; several times. Default: what "
    .. "the program of the file trains."):argname "WHAT":target "trained"
    :count "*"
  command:flag("--dot", "For Graphviz: a cluster a layer, without the tensors.")
  command:option("-o --output", "The file to write. Default: the terminal."):argname "FILE"
end

-- The graph of the network in training, with gradients.
local function in_training(device, where, train)
  local model = require("compiler.compiler").models(device, where)[1]
  local names = require("train.sets").of(model, #train > 0 and train or nil, "--train")
  return require("train.network").of(model, names).graph
end

-- The graph after a pass; steps have no picture.
local function text_after(pass, device, where, dot)
  local compiler, names = require "compiler.compiler", { "differentiate" }
  for i, one in ipairs(compiler.passes) do names[i + 1] = one.name end
  closed.member(pass, names, "--after")
  if dot and pass ~= "prune" then
    fail("--after %s: expected without --dot, for steps are text, found with it", pass)
  end
  local program = compiler.schedule(device, where).graph
  if pass == "prune" then return dot and program.network:dot() or program.network:text() end
  local whole = program.memory
  program.memory = pass == "memory" and whole or nil
  return require("lower.text").program(program)
end

-- Long lines as a terminal's: broken at blanks, and indented. In files and pipes an operation is a line.
local function folded(text)
  local lines, width = {}, terminal.columns()
  for line in text:gmatch "([^\n]*)\n" do
    local begin, rest = line:match "^(%s*)(.*)$"
    layout.append(lines, layout.hanging(begin, rest, width, #begin + 4))
  end
  return table.concat(lines, "\n") .. "\n"
end

function verb.run(args)
  local devices = options.asked(args, "graph")
  if not devices then return 2 end
  if #devices > 1 then fail("%s: expected one device, found %d", args.input, #devices) end
  local device, where, text = devices[1].device, args.input or "device", nil
  if #args.trained > 0 and args.after ~= "differentiate" then
    fail("--train: expected with --after differentiate, found %s", args.after and "--after " .. args.after
      or "no --after")
  end
  if args.after == "differentiate" then
    local graph = in_training(device, where, args.trained)
    text = args.dot and graph:dot() or graph:text()
  elseif args.after then
    text = text_after(args.after, device, where, args.dot)
  else
    local graph = require("run.interpretation").graph(require("compiler.compiler").models(device, where)[1])
    text = args.dot and graph:dot() or graph:text()
  end
  if args.output then require("msagen.sys").write_file(args.output, text)
  else io.stdout:write(not args.dot and terminal.is(1) and folded(text) or text) end
  return 0
end

return verb
