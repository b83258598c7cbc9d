-- SPDX-License-Identifier: Apache-2.0
--- The software bill of materials of a build as SPDX 2.3 in JSON: what the firmware holds (generated C, runtime,
-- weights), what it was made with (generator with its compiler and libraries, board's compiler), and what the weights
-- came from, as far as the checkpoint says.
local closed = require "support.closed"
local json = require "msagen.json"
local sha256 = require "msagen.sha256"
local sys = require "msagen.sys"

local sbom = {}

local NONE = "NOASSERTION"

-- Which fields of a checkpoint's metadata say where it comes from (docs/training.md).
local ORIGINS = { { "base_sha256", "base checkpoint" }, { "data_sha256", "training data" } }

local function package(id, name, version, fields)
  local one = { SPDXID = "SPDXRef-" .. id, name = name, versionInfo = version or NONE, downloadLocation = NONE,
    filesAnalyzed = false, licenseConcluded = fields.licence or NONE, licenseDeclared = fields.licence or NONE,
    copyrightText = NONE, comment = fields.comment }
  if fields.sha256 then one.checksums = { { algorithm = "SHA256", checksumValue = fields.sha256 } } end
  return one
end

local function relation(from, kind, to)
  return { spdxElementId = "SPDXRef-" .. from, relationshipType = kind, relatedSpdxElement = "SPDXRef-" .. to }
end

-- The folder's files, the manifest among them, which has the hashes of the others.
local function names_of(folder)
  local names = closed.sorted(folder.files)
  names[#names + 1] = "manifest.json"
  table.sort(names)
  return names
end

-- A file of the folder, which has been found to be that of the manifest. Everything that msagen writes or copies there
-- is 0BSD. SPDX 2.3 has every file by its SHA-1.
local function file_of(i, folder, name)
  local text = sys.read_file(folder:file(name))
  return { SPDXID = ("SPDXRef-file-%d"):format(i), fileName = "./" .. name, licenseConcluded = "0BSD",
    licenseInfoInFiles = { "0BSD" }, copyrightText = NONE,
    checksums = { { algorithm = "SHA256", checksumValue = sha256.hex(text) },
      { algorithm = "SHA1", checksumValue = sha256.sha1(text) } } }
end

-- What the generator itself is made with and of: its compiler, its libraries. They are those of the msagen that writes
-- this document.
local function generator_packages(doc)
  local function add(id, kind, one)
    doc.packages[#doc.packages + 1] = one
    doc.relationships[#doc.relationships + 1] = relation(id, kind, "generator")
  end
  local name, version = require("msagen.libraries").compiler()
  add("generator-compiler", "BUILD_TOOL_OF", package("generator-compiler", name, version,
    { comment = "made the generator" }))
  for _, one in ipairs(require("evidence.libraries").of()) do
    local id = "library-" .. one.name
    local said = ("used by %s; version of its headers: %s"):format(one.by, one.linked)
    add(id, "DEPENDENCY_OF", package(id, one.name, one.running or one.linked, { licence = one.licence,
      sha256 = one.sha256, comment = one.file and ("%s; loaded and hashed: %s"):format(said, one.file) or said }))
  end
end

local function checkpoint_packages(doc, folder, metadata)
  local about = metadata and ("fields of its metadata: " .. table.concat(closed.sorted(metadata), ", ")) or nil
  doc.packages[#doc.packages + 1] = package("checkpoint", "checkpoint of " .. folder.checkpoint.dialect, nil,
    { sha256 = folder.checkpoint.sha256, comment = about, licence = metadata and metadata.license })
  for i, origin in ipairs(ORIGINS) do
    local hash = metadata and metadata[origin[1]]
    if hash and hash:match "^%x+$" then
      local id = ("origin-%d"):format(i)
      doc.packages[#doc.packages + 1] = package(id, origin[2], nil, { sha256 = hash })
      doc.relationships[#doc.relationships + 1] = relation("checkpoint", "GENERATED_FROM", id)
    end
  end
end

--- @param folder of run.folder @param compiler { name, version, flags } or nil, where it was not at hand
-- @param metadata of the checkpoint, or nil where it was not given @param tested_with list of { name, version }: tools
-- of the checks
-- @return the document's text
function sbom.text(folder, compiler, metadata, tested_with)
  local name = ("%s-%s"):format(folder.prefix or "msa", folder.build)
  local doc = { spdxVersion = "SPDX-2.3", dataLicense = "CC0-1.0", SPDXID = "SPDXRef-DOCUMENT", name = name,
    documentNamespace = "urn:msagen:" .. folder.build,
    -- The same build gives the same bytes: the time is that of SOURCE_DATE_EPOCH, or none.
    creationInfo = { created = os.date("!%Y-%m-%dT%H:%M:%SZ", tonumber(os.getenv "SOURCE_DATE_EPOCH") or 0),
      creators = { "Tool: msagen-" .. msagen.version } },
    packages = { package("build", name, folder.version, { licence = "0BSD",
      comment = "generated C and runtime; it links no library but memcpy and its like of the C library" }),
      package("weights", folder.weights, nil, { sha256 = folder.weights_sha256,
        comment = "weights of the checkpoint, laid out for the board; its licence is the checkpoint's" }),
      package("generator", "msagen", folder.version, { licence = "Apache-2.0" }) },
    files = {}, relationships = { relation("DOCUMENT", "DESCRIBES", "build"),
      relation("build", "DEPENDS_ON", "weights"),
      relation("generator", "GENERATES", "build"), relation("weights", "GENERATED_FROM", "checkpoint") } }
  doc.packages[1].filesAnalyzed = nil
  for i, file in ipairs(names_of(folder)) do
    doc.files[i] = file_of(i, folder, file)
    doc.relationships[#doc.relationships + 1] = relation("build", "CONTAINS", ("file-%d"):format(i))
  end
  if compiler then
    doc.packages[#doc.packages + 1] = package("compiler", compiler.name, compiler.version,
      { comment = "flags: " .. compiler.flags })
    doc.relationships[#doc.relationships + 1] = relation("compiler", "BUILD_TOOL_OF", "build")
  end
  for _, tool in ipairs(tested_with) do
    doc.packages[#doc.packages + 1] = package("tool-" .. tool.name, tool.name, tool.version,
      { comment = "used by a check of this bundle" })
    doc.relationships[#doc.relationships + 1] = relation("tool-" .. tool.name, "TEST_TOOL_OF", "build")
  end
  checkpoint_packages(doc, folder, metadata)
  generator_packages(doc)
  -- Another document of the same build has another name.
  doc.documentNamespace = ("%s:%s"):format(doc.documentNamespace, sha256.hex(json.encode(doc)))
  return json.encode(doc, { indent = 1 }) .. "\n"
end

return sbom
