-- SPDX-License-Identifier: Apache-2.0
--- Facts of a build that a verification record states beside the checks' findings: each counted or looked up in the
-- build, in one sentence, with the file of the bundle that has the details.
local closed = require "support.closed"
local sys = require "msagen.sys"

local facts = {}

local function plural(count, one, many) return ("%d %s"):format(count, count == 1 and one or many or one .. "s") end

-- Rows of the trace that are of a requirement.
local function rows_of(self, id)
  local list = {}
  for _, row in ipairs(self.trace.rows) do
    if row.requirement == id then list[#list + 1] = row end
  end
  return list
end

-- How many functions a list of the trace's rows has. @param which function(row), or nil
local function functions_in(rows, which)
  local set = {}
  for _, row in ipairs(rows) do
    if row.name and (not which or which(row)) then set[row.file .. ":" .. row.name] = true end
  end
  return #closed.sorted(set)
end

-- What of a requirement is traced: functions, and tests of msagen.
local function traced(self, id)
  local rows = rows_of(self, id)
  if not rows[1] then return nil end
  return ("%s of %s; tests %s"):format(plural(functions_in(rows), "function"), id, table.concat(rows[1].tests, ", "))
end

function facts.compiler(self)
  local one = self.compiler
  if not one then return nil end
  return ("%s %s, %s%s"):format(one.name, one.version, one.flags, one.instead_of
    and (", instead of the Makefile's %s"):format(one.instead_of) or ""), "evidence.json"
end

function facts.requirements(self)
  return plural(#closed.sorted(self.trace.requirements), "requirement") .. " with identifiers that stay",
    "requirements.csv"
end

function facts.architecture(self)
  local count = { encode = 0, decode = 0 }
  for _, L in ipairs(self.folder.layers) do count[L.phase] = count[L.phase] + 1 end
  return ("%d layers of encode, %d of decode, in %s"):format(count.encode, count.decode, plural(#self.text.files,
    "source file")), "trace.csv"
end

function facts.interface(self)
  if not self.sizes then return nil end
  return plural(#self.sizes.stack, "entry point", "entry points") .. ", each with its deepest chain of calls",
    "stack.csv"
end

function facts.units(self)
  return plural(self.trace.functions, "function") .. ", each with file, lines and requirement; those of layers with "
    .. "the graph's operations", "trace.csv"
end

function facts.checks(self)
  local count = { pass = 0, fail = 0, ["not measured"] = 0 }
  for _, one in ipairs(self.checks) do count[one.status] = count[one.status] + 1 end
  return ("%s: %d passed, %d failed, %d not measured"):format(plural(#self.checks, "check"), count.pass, count.fail,
    count["not measured"]), "evidence.json"
end

function facts.sequence(self)
  local found = traced(self, "API-01")
  return found and found .. "; a call out of order returns MSA_E_ORDER", "trace.csv"
end

function facts.resources(self)
  local bytes, out = self.resources, {}
  for _, one in ipairs { { "arena", "arena" }, { "weights", "weights" }, { "session", "session" }, { "text", "code" },
    { "rodata", "constants" } } do
    if bytes[one[1]] then out[#out + 1] = ("%s %d"):format(one[2], bytes[one[1]]) end
  end
  return "bytes: " .. table.concat(out, ", "), "resources.csv"
end

function facts.statics(self)
  local bytes = self.resources
  if not bytes.data then return nil end
  return ("variables of static duration in the library, without a board's start-up code: %d bytes of .data, constants "
    .. "that hold addresses among them, %d of .bss; the arena was not searched for reads before writes"):format(
    bytes.data, bytes.bss), "resources.csv"
end

function facts.statuses(self)
  local names = {}
  for _, file in ipairs(self.text.files) do
    if file == "msa.h" then
      for name in sys.read_file(self.folder:file(file)):gmatch "(MSA_E_[%u_]+) = %d+" do names[name] = true end
    end
  end
  return plural(#closed.sorted(names), "status of refusal", "statuses of refusal")
    .. ", each with its cause, the session after it, and what the device should do (msagen's docs/safety.md)",
    "trace.csv"
end

function facts.answers(self)
  local network = {}
  for _, row in ipairs(self.trace.rows) do
    if row.requirement:find "^NET" then network[#network + 1] = row end
  end
  local run = functions_in(network, function(row) return #row.known_answers > 0 end)
  local below = functions_in(network, function(row) return #row.answers_below > 0 end)
  return ("msa_self_test: of %s of layers %d are run by a known answer%s"):format(plural(functions_in(network),
    "function"), run, below > 0 and (", of %d more what they call"):format(below) or ""), "trace.csv"
end

function facts.segments(self)
  return ("%s of the weights, each with a CRC-32C that msa_self_test, msa_weights_check and msa_check_slice compare")
    :format(plural(#self.folder.segments, "segment")), "index.html"
end

function facts.guards(self)
  return ("arena of %s, guarded by %s"):format(plural(#self.folder.buffers, "buffer"),
    self.folder.device.guards == "full" and "a CRC-32C over all that encode leaves, and a line at each end"
    or "a fingerprint; --guards full would guard all of it"), "index.html"
end

function facts.buffers(self)
  local folder = self.folder
  return ("%s in one arena of %d bytes, laid out when the code was generated (no layout needs fewer than %d)"):format(
    plural(#folder.buffers, "buffer"), folder.arena_bytes, folder.arena_bound_bytes), "index.html"
end

function facts.limits(self)
  return ("at most %d points; %s"):format(self.folder.max_points, traced(self, "PRM-01")), "trace.csv"
end

function facts.change()
  return "`msagen diff OLD NEW` lists what differs between two builds, and which evidence stands", "evidence.json"
end

function facts.identity(self)
  return ("build %s, model %s"):format(self.folder.build:sub(1, 16), self.folder.model_hash:sub(1, 16)),
    "evidence.json"
end

function facts.training(self)
  local metadata, out = self.metadata, {}
  if not metadata then return nil end
  for _, name in ipairs { "base_sha256", "data_sha256", "script_sha256", "options", "seed", "step",
    "training_digest" } do
    if metadata[name] then out[#out + 1] = name end
  end
  if #out == 0 then return "the checkpoint's metadata says nothing of its training", "sbom.spdx.json" end
  return "the checkpoint's metadata has " .. table.concat(out, ", "), "sbom.spdx.json"
end

return facts
