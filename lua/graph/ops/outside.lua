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
ops.constant = { roles = {}, attributes = { make = { callable, true }, sources = { schema.table,
  true } }, macs = none, bytes = none, no_gradient = ENDS }

return ops
