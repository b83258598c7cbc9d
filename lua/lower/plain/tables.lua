-- SPDX-License-Identifier: Apache-2.0
--- Attention in windows whose logits start from a table of distances, and its gradients: a query at a time.

local group = require "lower.group"
local kernels = require "kernels.kernels"
local order = require "lower.plain.order"
local scalar = require "lower.plain.scalar"
local sums = require "lower.plain.sums"

local input = group.input

local tables = {}

-- What all kinds read, and their sizes.
local function windows_of(lower, op, roles)
  local q = input(op, "q")
  local C, N, views = order.width(q), op.window * op.window, {}
  for _, role in ipairs(roles) do views[role] = lower:read(input(op, role)) end
  if views["do"] then views.dout, views["do"] = views["do"], nil end
  local n = { windows = order.rows(q) // N, N = N, side = op.window, heads = op.heads, d = C // op.heads,
    rows = order.rows(q), tile = kernels.key_tile(N, op.window), block = sums.BLOCK,
    scale = kernels.literal(1 / math.sqrt(C // op.heads)) .. "f" }
  for name, view in pairs(views) do n["ld" .. name] = view:ld() end
  return views, n
end

-- Of query i and key j of window w, head h: the logit.
local LOGIT = [[
const size_t iy = i / $side, ix = i % $side, jy = j / $side, jx = j % $side;
const size_t down = iy > jy ? iy - jy : jy - iy, across = ix > jx ? ix - jx : jx - ix;
float s = @table[h * $ldtable + down * $side + across];
for (size_t c = h * $d; c < (h + 1) * $d; ++c) {
    s = msa_fma(@q[(win * $N + i) * $ldq + c] * $scale, @k[(win * $N + j) * $ldk + c], s);
}]]

function tables.table_attention(lower, op)
  local views, n = windows_of(lower, op, { "q", "k", "v", "table" })
  views.y, views.p = lower:written(op), lower.values:work("logits", n.N)
  n.ldy = views.y:ld()
  scalar.stage(lower, views, n, [[
for (size_t win = 0; win < $windows; ++win) {
    for (size_t h = 0; h < $heads; ++h) {
        for (size_t i = 0; i < $N; ++i) {
            float *const y = @y + (win * $N + i) * $ldy + h * $d;
            float most = -3.402823466e+38f, total = 0.0f;
            for (size_t t = 0; t < $N; t += $tile) {
                const size_t end = t + $tile < $N ? t + $tile : $N;
                float top = most, part[16] = {0.0f};
                for (size_t j = t; j < end; ++j) {
                    ]] .. scalar.indented(LOGIT, 20) .. [[

                    @p[j] = s;
                    top = msa_max(top, s);
                }
                const float alpha = msa_exp(most - top);
                for (size_t j = t; j < end; ++j) {
                    @p[j] = msa_exp(@p[j] - top);
                    part[(j - t) % 16] = part[(j - t) % 16] + @p[j];
                }
                ]] .. scalar.indented(scalar.TREE, 16) .. [[

                total = msa_fma(total, alpha, part[0]);
                most = top;
                for (size_t c = 0; c < $d; ++c) {
                    float sum = t == 0 ? 0.0f : y[c] * alpha;
                    for (size_t j = t; j < end; ++j) {
                        sum = msa_fma(@p[j], @v[(win * $N + j) * $ldv + h * $d + c], sum);
                    }
                    y[c] = sum;
                }
            }
            for (size_t c = 0; c < $d; ++c) {
                y[c] = y[c] / total;
            }
        }
    }
}]])
end

-- p and ds of all queries of window w, head h.
local SLOPES = [[
for (size_t i = 0; i < $N; ++i) {
    float *const p = @p + i * $N, *const ds = @ds + i * $N, part[16] = {0.0f};
    float top = -3.402823466e+38f;
    for (size_t j = 0; j < $N; ++j) {
        ]] .. scalar.indented(LOGIT, 8) .. [[

        p[j] = s;
        top = msa_max(top, s);
    }
    for (size_t j = 0; j < $N; ++j) {
        p[j] = msa_exp(p[j] - top);
        part[j % 16] = part[j % 16] + p[j];
    }
    ]] .. scalar.indented(scalar.TREE, 4) .. [[

    const float total = part[0];
    for (size_t j = 0; j < 16; ++j) {
        part[j] = 0.0f;
    }
    for (size_t j = 0; j < $N; ++j) {
        float slope = 0.0f;
        for (size_t c = h * $d; c < (h + 1) * $d; ++c) {
            slope = msa_fma(@dout[(win * $N + i) * $lddout + c], @v[(win * $N + j) * $ldv + c], slope);
        }
        ds[j] = slope;
        p[j] = p[j] / total;
        part[j % 16] = msa_fma(p[j], slope, part[j % 16]);
    }
    ]] .. scalar.indented(scalar.TREE, 4) .. [[

    for (size_t j = 0; j < $N; ++j) {
        ds[j] = p[j] * (ds[j] - part[0]);
    }
}]]

local GIVEN = { "q", "k", "v", "do", "table" }

local function slopes_of(lower, op)
  local views, n = windows_of(lower, op, GIVEN)
  views.p, views.ds = lower.values:work("weights", n.N * n.N), lower.values:work("slopes", n.N * n.N)
  return views, n
end

--- dq, dk and dv, one below the other.
function tables.table_attention_dqkv(lower, op)
  local views, n = slopes_of(lower, op)
  views.z = lower:written(op)
  n.ldz = views.z:ld()
  scalar.stage(lower, views, n, [[
for (size_t win = 0; win < $windows; ++win) {
    for (size_t h = 0; h < $heads; ++h) {
        ]] .. scalar.indented(SLOPES, 8) .. [[

        for (size_t i = 0; i < $N; ++i) {
            for (size_t c = h * $d; c < (h + 1) * $d; ++c) {
                float z = 0.0f, dk = 0.0f, dv = 0.0f;
                for (size_t j = 0; j < $N; ++j) {
                    z = msa_fma(@ds[i * $N + j], @k[(win * $N + j) * $ldk + c], z);
                }
                @z[(win * $N + i) * $ldz + c] = z * $scale;
                for (size_t b = 0; b < $N; b += $block) {
                    float of_k = 0.0f, of_v = 0.0f;
                    for (size_t j = b; j < b + $block && j < $N; ++j) {
                        of_k = msa_fma(@ds[j * $N + i], @q[(win * $N + j) * $ldq + c] * $scale, of_k);
                        of_v = msa_fma(@p[j * $N + i], @dout[(win * $N + j) * $lddout + c], of_v);
                    }
                    dk = b == 0 ? of_k : dk + of_k;
                    dv = b == 0 ? of_v : dv + of_v;
                }
                @z[($rows + win * $N + i) * $ldz + c] = dk;
                @z[(2u * $rows + win * $N + i) * $ldz + c] = dv;
            }
        }
    }
}]])
end

--- The table's: sums over windows first, then over pairs of places that are equally far apart.
function tables.table_attention_dtable(lower, op)
  local views, n = slopes_of(lower, op)
  views.to, views.all = lower:written(op), lower.values:work("pairs", n.heads * n.N * n.N)
  n.ldto = views.to:ld()
  scalar.stage(lower, views, n, [[
for (size_t win = 0; win < $windows; ++win) {
    for (size_t h = 0; h < $heads; ++h) {
        ]] .. scalar.indented(SLOPES, 8) .. [[

        for (size_t i = 0; i < $N * $N; ++i) {
            @all[h * ($N * $N) + i] = (win == 0 ? 0.0f : @all[h * ($N * $N) + i]) + @ds[i];
        }
    }
}
for (size_t h = 0; h < $heads; ++h) {
    float *const to = @to + h * $ldto;
    for (size_t t = 0; t < $N; ++t) {
        to[t] = 0.0f;
    }
    for (size_t i = 0; i < $N; ++i) {
        for (size_t j = 0; j < $N; ++j) {
            const size_t iy = i / $side, ix = i % $side, jy = j / $side, jx = j % $side;
            const size_t down = iy > jy ? iy - jy : jy - iy, across = ix > jx ? ix - jx : jx - ix;
            float *const sum = to + down * $side + across;
            *sum = *sum + @all[h * ($N * $N) + i * $N + j];
        }
    }
    for (size_t t = 0; t < $N; ++t) {
        to[t] = to[t] < 0x1p-60f && to[t] > -0x1p-60f ? 0.0f : to[t];
    }
}]])
end

return tables
