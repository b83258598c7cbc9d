-- SPDX-License-Identifier: Apache-2.0
-- msagen evidence DIR -o OUT: what an assessor is handed of one build, from measurements of it.
local verb = {}

function verb.setup(command)
  command:argument("dir", "A folder that `msagen build` wrote."):argname "DIR"
  command:option("-o --output", "A folder for the bundle: index.html, evidence.json, a table each subject, "
    .. "SHA256SUMS."):argname "OUT":target "out"
  command:option("--cc", "Instead of the Makefile's compiler: the one that makes the product."):argname "COMPILER"
  command:option("--cflags", "Instead of the Makefile's CFLAGS."):argname "FLAGS"
  command:flag("--misra", "Look for deviations from MISRA C:2012 as well (cppcheck; some 20 seconds).")
  command:flag("--coverage", "Compile the build for this computer with clang-19 and measure which statements, branches "
    .. "and conditions its test program reaches (some 20 seconds; minutes where a board has no vectors).")
  command:option("--checkpoint", "The file that the build is of: for hashes of its tensors, its metadata, and the "
    .. "error of each layer."):argname "FILE"
  command:option("--image", "An image for the error of each layer against float64, clicked in the middle; repeated.")
    :argname "FILE":count "*"
  command:option("--boards", "Build the checkpoint for these boards too, all or names with commas between, and run "
    .. "each here or under its emulator: whether its digest is that of its class of arithmetic."):argname "NAMES"
  command:option("--truth", "The expert's mask of each --image, in their order, drawn into its picture; repeated.")
    :argname "MASK":count "*"
  command:flag("--profile", "Measure times of layers as well. They differ from run to run, and the bundle with them.")
end

local function usage(text)
  require("support.terminal").say("error", text .. "; see msagen evidence --help")
  return 2
end

function verb.run(args)
  if not args.out or args.out == "" then return usage "-o: expected a folder, found none" end
  if #args.image > 0 and not args.checkpoint then return usage "--image: expected with --checkpoint, found without" end
  if args.boards and #args.image == 0 then return usage "--boards: expected with --image, found without" end
  args.boards = args.boards and require("evidence.boards").named(args.boards)
  if #args.truth > 0 and #args.truth ~= #args.image then
    return usage(("--truth: expected one for each --image, %d, found %d"):format(#args.image, #args.truth))
  end
  if args.cc then require("report.tools").version(args.cc) end -- before the work, one that is not there
  local show, finish = require "cli.progress"()
  local checks = require("evidence.evidence").make(args, function(text) show(text, 0, 1) end)
  finish()
  local failed = 0
  for _, one in ipairs(checks) do
    if one.status == "fail" then failed = failed + 1 end
    print(("%-13s %-7s %s: %s"):format(one.status, one.id, one.title, one.found))
  end
  print(("written to %s: index.html, evidence.json"):format(args.out))
  return failed > 0 and 3 or 0
end

return verb
