-- SPDX-License-Identifier: Apache-2.0
-- Tensors, the blob, NPY, images and hashes as Lua sees them; what they compute is tested in tests/c.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses

local tensor = spec.host "msagen.tensor"
if not tensor then return end
local blob, npy, image, sha256, sys = require "msagen.blob", require "msagen.npy", require "msagen.image",
  require "msagen.sha256", require "msagen.sys"

local scratch = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-test-")
local folder = scratch .. "/files"
sys.cleanup(scratch)
sys.mkdir_p(folder)
local function path(name) return folder .. "/" .. name end

describe("tensor", function()
  local t = tensor.from({ 0, 1, 2, 3, 4, 5 }, { 2, 3 }):rename "a"

  it("says what it is", function()
    equal({ t.name, t.dtype, t.shape, t:numel(), tostring(t) }, { "a", "f32", { 2, 3 }, 6, "a f32 [2,3]" })
  end)

  it("counts elements from 0 and dimensions from 1", function()
    equal(t:get(1, 2), 5.0)
    equal(t:slice(2, 1, 2):totable(), { 1.0, 2.0, 4.0, 5.0 })
    equal(t:transpose():totable(), { 0.0, 3.0, 1.0, 4.0, 2.0, 5.0 })
    equal(t:permute { 2, 1 }:reshape { 6 }:totable(), { 0.0, 3.0, 1.0, 4.0, 2.0, 5.0 })
    equal(t:permute { 2, 1 }:reshape({ 2, -1 }).shape, { 2, 3 })
  end)

  it("computes", function()
    equal(t:add(t, 0.5):totable(), { 0.0, 1.5, 3.0, 4.5, 6.0, 7.5 })
    equal(t:scale(-2):get(1, 0), -6.0)
    equal(t:matmul(t:transpose()):totable(), { 5.0, 14.0, 14.0, 50.0 })
    equal(t:resample_bicubic({ 4, 6 }).shape, { 4, 6 })
    equal(t:resample_linear(4):totable(), { 0.0, 1.0, 2.0, 0.75, 1.75, 2.75, 2.25, 3.25, 4.25, 3.0, 4.0, 5.0 })
  end)

  it("answers questions", function()
    equal({ t:equal(t:rename "b"), t:equal(t:scale(2)), t:is_zero(), tensor.zeros({ 3 }):is_zero() },
      { true, false, false, true })
    equal({ t:finite() }, { true })
    equal({ tensor.from({ 1, 0 / 0, 1 / 0 }, { 3 }):finite() }, { false, 1 })
    equal(tensor.frombytes("\1\0\255\255", "i16", { 2 }):totable(), { 1, -1 })
    equal(t:slice(1, 1, 1):tobytes(), ("<fff"):pack(3, 4, 5))
  end)

  it("refuses what does not fit, naming the tensor", function()
    refuses(function() return t:slice(1, 1, 2) end, "a: no slice of 2 from 1 along dimension 1 of [2,3]")
    refuses(function() return t:add(t:transpose():rename "b") end, "a: [2,3] and [3,2] of b cannot be added")
    refuses(function() return t:matmul(t) end, "a: [2,3] and [2,3] of a cannot be multiplied")
    refuses(function() return t:reshape { 4 } end, "a: [2,3]")
  end)
end)

describe("blob", function()
  local t = tensor.from({ 1, 2, 3, 4, 5, 6 }, { 2, 3 }):rename "w"

  it("says where everything is", function()
    local b = blob.create(path "w.bin", { arith = "f32-fma-1", segments = 2 })
    b:segment "one"
    local offset, bytes, crc = b:panels(t)
    equal({ offset, bytes }, { 192, 128 })
    local _, _, crc_of_vector = b:vector(t:slice(1, 0, 1), 4)
    b:segment "two"
    local rows, rows_bytes, crc_of_rows = b:rows(t, 4)
    equal({ rows, rows_bytes }, { 384, 32 })
    local r = b:close {}
    local file = sys.read_file(path "w.bin")
    local sum = require "msagen.reference".crc32c
    equal({ crc, crc_of_vector }, { sum(0, file:sub(193, 320)), sum(0, file:sub(321, 336)) })
    equal(crc_of_rows, sum(0, file:sub(385, 416)))
    equal({ r.bytes, #file, r.sha256, r.model_hash }, { 448, 448, sha256.hex(file), sha256.hex(file:sub(193)) })
    equal({ r.segments[1].name, r.segments[1].offset, r.segments[1].bytes }, { "one", 192, 192 })
    equal({ r.segments[2].name, r.segments[2].offset, r.segments[2].bytes }, { "two", 384, 64 })
    equal({ ("<ffff"):unpack(file, 385) }, { 1.0, 2.0, 3.0, 0.0, 401 })
    equal(file:sub(49, 80), (r.model_hash:gsub("%x%x", function(d) return string.char(tonumber(d, 16)) end)))
  end)

  it("leaves nothing behind after an error", function()
    local b = blob.create(path "x.bin", { arith = "f32-fma-1" })
    b:segment "one"
    refuses(function() b:panels(tensor.from({ 1, 1 / 0 }, { 1, 2 }):rename "w") end, "w: element [0,1] is infinite")
    equal(sys.list(folder), { "w.bin" })
    refuses(function() blob.create(path "no/x.bin", { arith = "f32-fma-1" }) end, "no/x.bin: cannot be created")
  end)
end)

describe("files", function()
  it("NPY there and back", function()
    npy.write(path "a.npy", { dtype = "u8", shape = { 1, 2, 3 }, bytes = "abcdef" })
    local t = npy.read(path "a.npy")
    equal({ t.dtype, t.shape, t:tobytes() }, { "u8", { 1, 2, 3 }, "abcdef" })
    refuses(function() npy.read(path "w.bin") end, "w.bin: no NPY file")
  end)

  it("PNG there and back", function()
    image.write_png(path "a.png", npy.read(path "a.npy"))
    local t = image.read(path "a.png")
    equal({ t.dtype, t.shape, t:tobytes() }, { "u8", { 1, 2, 3 }, "abcdef" })
    refuses(function() image.read(path "a.npy") end, "a.npy: expected a PNG or JPEG image, found NPY")
  end)

  it("SHA-256 in pieces, and SHA-1", function()
    local h = sha256.new():update "a":update "bc"
    equal({ h:hex(), sha256.hex "abc" },
      { sha256.hex "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" })
    equal({ sha256.sha1 "abc", sha256.sha1 "" },
      { "a9993e364706816aba3e25717850c26c9cd0d89d", "da39a3ee5e6b4b0d3255bfef95601890afd80709" })
  end)
end)

sys.remove_tree(scratch)
