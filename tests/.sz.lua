package.path = msagen.datadir .. "/tests/lua/?.lua;" .. package.path
local tiny = require "tiny_model"
local d = tiny.device("/tmp", "plain")
d.board = arg[2] or "generic-c99"
tiny.build(d, arg[1])
tiny.must { "make", "-s", "-C", arg[1], "lib" }
