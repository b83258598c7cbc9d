-- SPDX-License-Identifier: Apache-2.0
-- The model that fuzz_api.c calls, of the fewest multiply-adds. usage: luahost api_model.lua DIR
local tests = msagen.datadir .. "/tests"
package.path = ("%s/lua/?.lua;%s/?.lua;%s"):format(tests, tests, package.path)
local sys = require "msagen.sys"
local tiny = require "tiny_model"

local dir = arg[1]
sys.mkdir_p(dir)
local device = tiny.device(dir, "least")
device.board = "generic-c99-nofma" -- of the fewest instructions where there is no FMA
tiny.build(device, dir .. "/model")
