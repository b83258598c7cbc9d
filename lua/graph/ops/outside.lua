-- SPDX-License-Identifier: Apache-2.0
--- Values that no operation computes: inputs, tensors of the checkpoint, and what is made of these when code is
-- generated.

local kinds = require "graph.kinds"
local schema = require "support.schema"

local any_tensor, callable, none = kinds.any_tensor, kinds.callable, kinds.none

local ops = {}

ops.input = { roles = {}, attributes = {}, macs = none, bytes = none }
ops.parameter = { roles = {}, attributes = { tensor = { any_tensor, true } }, macs = none, bytes = none }
ops.constant = { roles = {}, attributes = { make = { callable, true }, sources = { schema.table,
  true } }, macs = none, bytes = none }

return ops
