-- SPDX-License-Identifier: Apache-2.0
-- Text prompts: what a file of them may hold, and what becomes of it.

local spec = require "spec"
local text = require "import.text"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses

describe("identifiers", function()
  it("are upper case, one for each name", function()
    equal(text.identifiers { "left lung", "Left-Lung", "liver", "L2", "left_lung" },
      { "LEFT_LUNG", "LEFT_LUNG_2", "LIVER", "L2", "LEFT_LUNG_3" })
    equal(text.identifiers { "a b", "a b 2", "a-b" }, { "A_B", "A_B_2", "A_B_3" })
  end)
end)

local json = spec.host "msagen.json"
local sys = spec.host "msagen.sys"
if not json or not sys then return end

local folder = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "text-")
sys.cleanup(folder)
local path = folder .. "/t.safetensors"

local formats = { F32 = "f", F64 = "d", I64 = "i8" }
local bytes_of = { F32 = 4, F64 = 8, F16 = 2, I64 = 8 }

--- tensors: array of {name, dtype, shape, numbers or bytes}; metadata: table or nil. Gives the path.
local function file(tensors, metadata)
  local parts, header, at = {}, {}, 0
  for i, one in ipairs(tensors) do
    local bytes = one[4]
    if type(bytes) == "table" then
      local packed = {}
      for k, number in ipairs(bytes) do packed[k] = string.pack("<" .. formats[one[2]], number) end
      bytes = table.concat(packed)
    end
    local size = bytes_of[one[2]]
    for _, n in ipairs(one[3]) do size = size * n end
    assert(size == #bytes, one[1])
    header[i] = ("%s:{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%d,%d]}"):format(json.encode(one[1]), one[2],
      table.concat(one[3], ","), at, at + #bytes)
    at = at + #bytes
    parts[i] = bytes
  end
  if metadata then table.insert(header, 1, '"__metadata__":' .. json.encode(metadata)) end
  local text_ = "{" .. table.concat(header, ",") .. "}"
  text_ = text_ .. (" "):rep(-#text_ % 8)
  sys.write_file(path, string.pack("<I8", #text_) .. text_ .. table.concat(parts))
  return path
end

local model = { out = 4 }
local function load(tensors, metadata) return text.load(file(tensors, metadata), model) end

local rows = { 1, 2, 3, 4, -5, 6, 7, 8.5 }
local matrix = { "embeddings", "F32", { 2, 4 }, rows }
local two = { names = '["liver", "left lung"]' }

describe("text prompts", function()
  it("are a row a name", function()
    local found = load({ matrix }, two)
    equal(found.names, { "liver", "left lung" })
    equal({ found.matrix.shape, found.matrix.dtype, found.matrix:totable() }, { { 2, 4 }, "f32", rows })
    local half = load({ { "e", "F16", { 1, 4 }, "\0\60\0\64\0\66\0\68" } }, { names = "one" })
    equal({ half.matrix.dtype, half.matrix:totable() }, { "f32", { 1.0, 2.0, 3.0, 4.0 } })
    equal(load({ { "e", "F64", { 1, 4 }, { 0.1, 0, 0, 0 } } }, { names = "one" }).matrix:get(0, 0),
      (string.unpack("<f", string.pack("<f", 0.1))))
  end)

  it("have names in any of three forms", function()
    for _, form in ipairs { '["liver","left lung"]', ' [ "liver", "left lung" ] ', "liver,left lung",
      "liver, left lung", "liver\nleft lung", "liver\nleft lung\n", "liver\r\nleft lung\r\n" } do
      equal(load({ matrix }, { names = form }).names, { "liver", "left lung" }, form)
    end
    equal(load({ matrix }, { names = "liver, the left\nright" }).names, { "liver, the left", "right" })
    equal(load({ matrix }, { names = "foie,肝" }).names, { "foie", "肝" })
  end)

  it("go through the projection, whichever tensor comes first", function()
    local embedded = { "text", "F32", { 2, 3 }, { 1, 2, 3, -1, 0.5, 4 } }
    local projection = { "text_projection", "F32", { 4, 3 }, { 1, 0, 0, 0, 1, 0, 0, 0, 1, 10, 100, 1000 } }
    local expected = { 1.0, 2.0, 3.0, 3210.0, -1.0, 0.5, 4.0, 4040.0 }
    equal(load({ embedded, projection }, two).matrix:totable(), expected)
    equal(load({ projection, embedded }, two).matrix:totable(), expected)
    equal(load({ projection, embedded }, two).matrix.name, "text")
  end)

  it("are summed in double and rounded once", function()
    local found = load({ { "e", "F32", { 1, 3 }, { 2 ^ 24, 1, -2 ^ 24 } },
      { "proj", "F32", { 4, 3 }, { 1, 1, 1, 0, 0, 0, 1, 0, 1, 0, 1, 0 } } }, { names = "one" })
    equal(found.matrix:totable(), { 1.0, 0.0, 0.0, 1.0 })
  end)

  it("need a projection of that name where shapes do not tell", function()
    local identity = { 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2 }
    local counting = {}
    for i = 1, 16 do counting[i] = i end
    local four = { names = "a,b,c,d" }
    local expected = {}
    for i = 1, 16 do expected[i] = i % 4 == 0 and 2.0 * i or 1.0 * i end
    equal(load({ { "e", "F32", { 4, 4 }, counting }, { "Proj.weight", "F32", { 4, 4 }, identity } },
      four).matrix:totable(), expected)
    equal(load({ { "a.proj", "F32", { 4, 4 }, identity }, { "e", "F32", { 4, 4 }, counting } }, four).matrix:totable(),
      expected)
    refuses(function()
      load({ { "e", "F32", { 4, 4 }, counting }, { "w", "F32", { 4, 4 }, identity } }, four)
    end, "e [4,4] and w [4,4]", "found neither")
    refuses(function()
      load({ { "proj_e", "F32", { 4, 4 }, counting }, { "proj_w", "F32", { 4, 4 }, identity } }, four)
    end, "found both")
  end)

  it("of other shapes are refused", function()
    refuses(function()
      load({ matrix }, { names = "liver" })
    end, path, "embeddings is [2,4]; expected [1,4], a row for each of the 1 names")
    refuses(function() load({ matrix }, { names = "a,b,c" }) end, "expected [3,4]")
    refuses(function()
      load({ { "e", "F32", { 2, 3 }, { 1, 2, 3, 4, 5, 6 } } }, two)
    end, "e is [2,3]; expected [2,4]", "projection [4,t]")
    refuses(function() load({ { "e", "F32", { 8 }, rows } }, two) end, "e is [8]; expected [2,4]")
    refuses(function()
      load({ { "e", "F32", { 2, 1 }, { 1, 2 } }, { "p", "F32", { 4, 2 }, rows } }, two)
    end, "found e [2,1] and p [4,2]")
    refuses(function()
      load({ { "e", "F32", { 2, 2 }, { 1, 2, 3, 4 } }, { "p", "F32", { 2, 4 }, rows } }, two)
    end, "projection [4,t]", "found e [2,2] and p [2,4]")
    refuses(function()
      load({ matrix, { "b", "F32", { 1 }, { 1 } }, { "c", "F32", { 1 }, { 1 } } }, two)
    end, "found 3 tensors")
    refuses(function() load({}, two) end, path, "no tensor")
    refuses(function()
      load({ { "e", "I64", { 2, 4 }, { 1, 2, 3, 4, 5, 6, 7, 8 } } }, two)
    end, "e is i64; expected f32")
  end)

  it("of NaN and infinity are refused, and of sums past float32", function()
    refuses(function()
      load({ { "e", "F32", { 2, 4 }, { 1, 2, 3, 4, 5, 0 / 0, 7, 8 } } }, two)
    end, "e: expected finite values", "[1,1]")
    refuses(function()
      load({ { "e", "F64", { 1, 4 }, { 1, 1e300, 0, 0 } } }, { names = "a" })
    end, "e: expected finite values, found inf at [0,1]")
    refuses(function()
      load({ { "e", "F32", { 1, 1 }, { 3e38 } }, { "p", "F32", { 4, 1 }, { 1, 1, 3e38, 1 } } }, { names = "a" })
    end, "e: expected finite values, found inf at [0,2]")
    refuses(function()
      load({ { "e", "F32", { 1, 1 }, { 1 } }, { "p", "F32", { 4, 1 }, { 1, 1, 1, math.huge } } }, { names = "a" })
    end, "p: expected finite", "[3,0]")
  end)

  it("need names that are printable and different", function()
    refuses(function() load({ matrix }) end, "__metadata__: expected the key names", "found none")
    refuses(function() load({ matrix }, { title = "x", format = "pt" }) end, "found format, title")
    refuses(function() load({ matrix }, { names = "" }) end, "names: expected a name for each row, found none")
    refuses(function() load({ matrix }, { names = "[]" }) end, "found none")
    refuses(function()
      load({ matrix }, { names = "liver,liver" })
    end, "expected each once, found liver at places 1 and 2")
    refuses(function() load({ matrix }, { names = "liver,,lung" }) end, "found an empty one at place 2")
    refuses(function()
      load({ matrix }, { names = '["liver", "a\\u001b[2J"]' })
    end, "printable", "a\\x1b[2J at place 2")
    refuses(function() load({ matrix }, { names = "liver,a\u{85}b" }) end, "printable")
    refuses(function() load({ matrix }, { names = "liver,a\u{2028}b" }) end, "printable")
    refuses(function() load({ matrix }, { names = '["liver", 5]' }) end, "expected a text, found number at place 2")
    refuses(function() load({ matrix }, { names = '["liver", null]' }) end, "expected a text, found null at place 2")
    refuses(function() load({ matrix }, { names = '["liver", ' }) end, path, "expected a JSON array of texts")
  end)

  it("are no checkpoint, and no .pth", function()
    local golden = arg[0]:match("^(.*)/[^/]*$") .. "/../golden/sam-2d/checkpoint.pth"
    refuses(function()
      text.load(golden, model)
    end, "sam-2d/checkpoint.pth: expected a .safetensors file of text prompts, found pth")
    refuses(function() text.load(folder .. "/none", model) end, folder .. "/none")
  end)
end)
