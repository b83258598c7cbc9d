@ -- SPDX-License-Identifier: 0BSD
@ -- Logits si of padding, of query i: `same`, and relative positions where there are.
@ local function whole(n) return (n + W - 1) // W * W end
@ -- `to`, of a query's logits of padding: those of `rows` rows of `columns` places, from fields rhi and rwi on.
@ local function padding(to, rows, columns, rhi, rwi)
        for (size_t y = 0; y < $(rows); ++y) {
            const msa_vec row = msa_splat($(rhi));
            for (size_t x = 0; x < $(whole(columns)); x += $(W)) {
                msa_store($(to) + y * $(columns) + x, msa_vadd(msa_vadd(row, msa_load($(rwi) + x)), same));
            }
        }
@ end
@ local right, below = pad.side - pad.width, pad.side - pad.height
@ if rel then
        const float *const rhi = rh + i * $(rel.ld), *const rwi = rw + i * $(rel.ld);
@   if right > 0 then padding("si", pad.height, right, "rhi[y]", "rwi + " .. pad.width) end
@   if below > 0 then
@     padding("si + " .. pad.height * right, below, pad.side, ("rhi[%d + y]"):format(pad.height), "rwi")
@   end
@ else
        for (size_t x = 0; x < $(whole(pad.side * pad.side - keys)); x += $(W)) {
            msa_store(si + x, same);
        }
@ end
