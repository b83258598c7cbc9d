@ -- SPDX-License-Identifier: 0BSD
/* queries ($(rows), $(E)) = norm(queries + lin2(relu(lin1(queries)))$(adapter and " + adapter(queries), scaled" or ""); $(hidden) wide inside, $(chunk) tokens at a time
 * as far as `count` goes. */
void $(name)(float *arena, const float *w$(bank_parameter), size_t count)
{
    float *const scratch = $(shared), *const y = scratch + $(s.y);
    for (size_t i = 0; i < $(rows) && i < count; i += $(chunk)) {
        float *const queries = arena + $(at.queries) + i * $(lde);
        $(lin1)(queries, w + $(w.lin1), w + $(w.lin1_bias), scratch + $(s.hidden));
        $(lin2)(scratch + $(s.hidden), w + $(w.lin2), w + $(w.lin2_bias), y);
@ if adapter then
        $(down)(queries, w + $(w.fc1), w + $(w.fc1_bias), scratch + $(s.narrow));
        $(up)(scratch + $(s.narrow), w + $(w.fc2), w + $(w.fc2_bias), scratch + $(s.a));
        $(add)(y, scratch + $(s.a), queries);
@ else
        $(add)(y, queries);
@ end
        $(norm)(queries, w + $(w.norm), queries);
    }
}
