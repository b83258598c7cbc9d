-- SPDX-License-Identifier: Apache-2.0
-- msagen diff OLD NEW [--json]: what differs between two builds, two bundles of evidence, or two trainings, and what
-- has to be verified again.
local verb = {}

local DIFFERENT = 3

function verb.setup(command)
  command:description("Say what differs between two builds, their bundles of evidence, or two trainings, and what has "
    .. "to be verified again. Nothing is compiled. The exit status is 0 where they are identical, 3 where they "
    .. "differ, 1 where they cannot be compared.")
  command:argument("old", "A folder that `msagen build` or `msagen evidence` wrote, or a file that `msagen train` "
    .. "wrote."):argname "OLD"
  command:argument("new", "What to compare with it: one of the same kind."):argname "NEW"
  command:flag("--json", "For machines: one JSON object (docs/change.md).")
end

function verb.run(args)
  local found = require("change.differences").between(args.old, args.new)
  if args.json then
    io.stdout:write(require "change.json"(found))
  else
    local terminal = require "support.terminal"
    local how = { width = terminal.columns(), paint = terminal.painter(1) }
    io.stdout:write(table.concat(require("change.text").of(found, how), "\n"), "\n")
  end
  return found.verdict == "identical" and 0 or DIFFERENT
end

return verb
