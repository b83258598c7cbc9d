-- SPDX-License-Identifier: Apache-2.0
--- A generated folder compiled by its Makefile, silently: of what msagen makes for itself and throws away.

local fail = require "support.fail"
local sys = require "msagen.sys"

--- @param dir the folder @param options { jobs = of make, cc = another compiler, cflags } or nil
return function(dir, options)
  options = options or {}
  local make = { "make", "-C", dir, "-s", "-j", tostring(options.jobs or sys.nproc()), stdin = "/dev/null",
    stdout = "capture", stderr = "capture",
    -- A make that msagen itself runs under must not pass on its own variables.
    env = { MAKEFLAGS = false, MFLAGS = false, GNUMAKEFLAGS = false, MAKELEVEL = false, LC_ALL = "C" } }
  if options.cc then make[#make + 1] = "CC=" .. options.cc end
  if options.cflags then make[#make + 1] = "CFLAGS=" .. options.cflags end
  local code, said = sys.spawn(make)
  if code ~= 0 then
    fail("%s: expected C that compiles, found: %s", dir, said:match "[^\n]*error[^\n]*" or said:match "[^\n]*")
  end
end
