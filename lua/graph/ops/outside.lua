-- SPDX-License-Identifier: Apache-2.0
--- Values that no operation computes: inputs, tensors of the checkpoint, and what is made of these when code is
-- generated.

local kinds = require "graph.kinds"
local schema = require "support.schema"

local any_tensor, callable, none = kinds.any_tensor, kinds.callable, kinds.none

local ops = {}

local ENDS = "no operation computes it: gradients end there"

ops.input = { roles = {}, attributes = {}, macs = none, bytes = none, no_gradient = ENDS }
ops.parameter = { roles = {}, attributes = { tensor = { any_tensor, true } }, macs = none, bytes = none,
  no_gradient = ENDS }
-- unbiased, unbiased_sources: make and sources of the same without what a bias adds, where quantised keys want it.
-- equalised: exponents of its columns (lua/graph/passes/equalise.lua).
ops.constant = { roles = {}, attributes = { make = { callable, true }, sources = { schema.table, true },
  unbiased = { callable }, unbiased_sources = { schema.table }, equalised = { schema.table } }, macs = none,
  bytes = none, no_gradient = ENDS }

return ops
