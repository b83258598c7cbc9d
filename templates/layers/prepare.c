@ -- SPDX-License-Identifier: 0BSD
@ local dense, tokens, image = uses[1], uses[2], uses[3]
@ local function weights_of(L) return "weights + " .. L.prepare_at .. (L.segment.own > 0 and (", bank * (size_t)%d"):format(L.segment.own) or "") end
@ local position = (position_buffer and "arena + " .. position_buffer or "weights + " .. position_at) .. (position_bank > 0 and (" + bank * (size_t)%d"):format(position_bank) or "")
/* What the decoder's first layer needs of the image alone, for prompts without a mask. Every core goes through the blocks that are
 * its own in all three, so none waits for another. */
void $(name)(float *arena, const float *weights$(banks > 1 and ", size_t bank" or "")$(core_parameter))
{
@ if banks > 1 then
    (void)bank; /* of what the banks differ in, nothing may be read here */
@ end
@ if slices > 1 then
    for (size_t slice = 0; slice < $(slices); ++slice) {
@ else
    {
        const size_t slice = 0;
@ end
        msa_$(dense.name)(arena, $(weights_of(dense)), arena + $(at.embedding) + slice * $(embedding), NULL$(core_argument));
        msa_$(tokens.name)_prepare(arena, $(weights_of(tokens)), $(position), arena + $(at.ready_keys) + slice * $(tokens.ready.floats)$(core_argument));
        msa_$(image.name)_prepare(arena, $(weights_of(image)), $(position), arena + $(at.ready_queries) + slice * $(image.ready.floats)$(core_argument));
    }
}
