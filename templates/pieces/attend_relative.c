@ -- SPDX-License-Identifier: 0BSD
@ -- Logits of tile t, of keys_here keys, as the sums of their relative positions.
@ -- Rows of logits are filled a whole vector at a time: what is too much is overwritten by the next row. Not more than
@ -- that: gcc 12 at -O2 turns the order of overlapping scalar stores around.
@ local function whole(n) return (n + W - 1) // W * W end
    for (size_t i = 0; i < $(M); ++i) {
        for (size_t y = 0; y < $(keys_here // rel.n); ++y) {
            const msa_vec row = msa_splat(rh[i * $(rel.ld) + $(t) * $(tile // rel.n) + y]);
            for (size_t x = 0; x < $(whole(rel.n)); x += $(W)) {
                msa_store(s + i * $(lds) + y * $(rel.n) + x, msa_vadd(row, msa_load(rw + i * $(rel.ld) + x)));
            }
        }
    }
