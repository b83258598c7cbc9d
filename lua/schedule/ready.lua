-- SPDX-License-Identifier: Apache-2.0
--- What the decoder's first layers need of the image alone, made once an encode for all prompts without a mask: the
-- first image tokens, where they are not the embedding itself, then the image's side of each attention that no token
-- has changed before. Their multiply-adds count as the decoder's.

local segment = require "lower.segment"
local types = require "graph.types"

local ready = {}

--- The layer that makes it, or nil where nothing can be ready. @param program lowered
function ready.layer(program, model)
  local dense, uses, macs = nil, {}, 0
  for _, L in ipairs(program.fused) do
    if L.group:op "select" then dense = L end
    if L.ready then
      uses[#uses + 1] = L
      macs = macs + L.ready.macs
    end
  end
  if #uses == 0 then return nil end
  local segments, buffers = { dense and dense.segment }, {}
  for _, L in ipairs(uses) do
    segments[#segments + 1] = L.segment
    L.ready.name = L.group:op("attention").inputs[1].counted and "ready_keys" or "ready_queries"
    buffers[L.ready.name] = model.depth * L.ready.bytes
  end
  if dense then table.insert(uses, 1, dense) end
  -- Where weights are fetched, this layer's are fetched at once: copies of all segments, in the blob as well.
  local own = program.streamed and segment.series(segments) or segment.new()
  return { name = "decoder_prepare", kind = "prepare", phase = "encode", segment = own, scratch = 0, shared = 0,
    own = 0,
    uses = uses, dense = dense, buffers = buffers, macs = model.depth * macs, ready_macs = macs }
end

local function with_bank(text, bytes)
  return bytes > 0 and ("%s + bank * (size_t)%d"):format(text, types.base(bytes)) or text
end

--- @return function(L) -> text of the layer's function, its prototype, arguments of a call, "core" where cores part it
function ready.printer(build, blob, loops)
  local print = require "emit.print"
  local program, slices, banks = build.graph, build.model.depth, #build.banks > 1
  local tables = program.stream and program.memory.by_name.tables.offset
  local position = with_bank(tables and print.place("arena", tables) or print.place("weights", blob.position_at),
    blob.position_bank)
  local embedding = program.memory.by_name.embedding.bytes // slices
  local function slice_of(offset, bytes)
    return slices > 1 and print.slice("arena", offset, bytes) or print.place("arena", offset)
  end
  local function weights_of(used)
    return print.place("weights", used.prepare_at) .. print.bank_argument(used.segment, "bank")
  end
  -- Of the step that makes what is ready, the embedding where it takes that.
  local function embedding_of(L, used)
    for _, parameter in ipairs(used.prepare.parameters) do
      if parameter.declaration:find "embedding$" then return ", " .. slice_of(L.at.embedding, embedding) end
    end
    return ""
  end
  return function(L)
    local lines, pad = {}, slices > 1 and "        " or "    "
    for i, used in ipairs(L.uses) do
      local call = used == L.dense and ("msa_%s(arena, %s, %s, NULL"):format(used.name, weights_of(used),
          slice_of(L.at.embedding, embedding))
        or ("msa_%s_prepare(arena, %s, %s, %s%s"):format(used.name, weights_of(used), position,
          slice_of(L.at[used.ready.name], used.ready.bytes), embedding_of(L, used))
      lines[i] = print.wrapped(pad .. call .. loops.core_argument .. ");")
    end
    if slices > 1 then
      table.insert(lines, 1, ("    for (size_t slice = 0; slice < %d; ++slice) {"):format(slices))
      lines[#lines + 1] = "    }"
    end
    if banks then table.insert(lines, 1, "    (void)bank; /* where nothing of it is a bank's own */") end
    local prototype = print.prototype(("void msa_%s(float *arena, const float *weights%s%s)"):format(
      L.name, banks and ", size_t bank" or "", loops.core_parameter))
    local what = L.dense and "/* For prompts without a mask. Every core goes through the strips that are its own in "
      .. "all of them,\n * so none waits for another. */\n"
      or "/* Every core goes through the strips that are its own, and none waits for another. */\n"
    return ("%s%s\n{\n%s\n}\n"):format(what, prototype, table.concat(lines, "\n")), prototype, {},
      loops.cores > 1 and "core" or nil
  end
end

return ready
