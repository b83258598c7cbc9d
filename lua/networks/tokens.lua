-- SPDX-License-Identifier: Apache-2.0
--- The rows of the decoder's token matrix: the score's token, mask tokens, points, two corners, and a text prompt if
-- the build has any.

local tokens = {}

--- Largest number of points a prompt may hold; a box or the padding token comes on top. Where prompts are places, those
-- past the last one count nothing.
tokens.MAX_POINTS = 16

--- Tokens are worked on so many at a time, as far as a prompt's go: one click takes one turn, sixteen take three.
tokens.CHUNK = 8

--- As many as a prompt may have, filled up to whole chunks.
function tokens.rows(model)
  local texts = (model.texts or model.projection) and 1 or 0
  local most = 1 + model.decoder.masks + (model.places or tokens.MAX_POINTS + 2) + texts
  return (most + tokens.CHUNK - 1) // tokens.CHUNK * tokens.CHUNK
end

--- Tokens of one click: what multiply-adds of a decode are counted for.
function tokens.of_click(model) return 1 + model.decoder.masks + (model.places or 2) end

return tokens
