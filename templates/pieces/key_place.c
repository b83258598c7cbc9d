@ -- SPDX-License-Identifier: 0BSD
@ -- Where key `first` + i lies: in its tile, of `here` keys, and in a panel of k of so many steps.
        const size_t key = first + i, place = key % tile, before = key - place;
        const size_t here = keys - before < tile ? keys - before : tile;
        const float *const ki = k + i * k_stride, *const vi = v + i * v_stride;
        float *const kd = kp + before / tile * padded * $(steps) + place / 16 * $(16 * steps) + place % 16;
