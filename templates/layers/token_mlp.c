@ -- SPDX-License-Identifier: 0BSD
/* queries ($(rows), $(E)) = norm(queries + lin2(relu(lin1(queries)))$(adapter and " + adapter(queries), scaled" or "")); $(hidden) wide inside. */
void $(name)(float *arena, const float *w$(bank_parameter))
{
    float *const scratch = arena + $(scratch);
    float *const queries = arena + $(at.queries), *const y = scratch + $(s.y);
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
