-- SPDX-License-Identifier: Apache-2.0
--- The table of a dialect that is another's but for some fields: a copy, to be changed. @param name the other's

return function(name)
  local dialect = {}
  for key, value in pairs(require("import.dialects." .. name)) do dialect[key] = value end
  dialect.variant, dialect.other = nil, nil
  return dialect
end
