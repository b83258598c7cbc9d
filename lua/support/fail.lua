-- SPDX-License-Identifier: Apache-2.0
-- Raise an error in what the user gave: one line that names file, thing, expected and found. `fail(format, ...)` as
-- string.format.
return function(format, ...)
  error({ msagen = select("#", ...) > 0 and format:format(...) or format }, 0)
end
