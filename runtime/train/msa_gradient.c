/* SPDX-License-Identifier: 0BSD */
/* msa_gradient.c - the tree of additions over a batch. */
#include "msa_gradient.h"
#ifndef MSA_TRAIN_FLOAT64
#include "msa_arith.h"
#endif

#define BLOCK 64u

uint32_t msa_tree_merges(uint32_t lo, msa_tree_block block)
{
    uint32_t first = block.first, merges = 0u;
    for (uint32_t level = block.level; level < 31u && ((first >> level) & 1u) != 0u; ++level) {
        const uint32_t images = (uint32_t)1u << level;
        if (first - images < lo) { /* first has the bit of `images` */
            break;
        }
        first -= images;
        ++merges;
    }
    return merges;
}

uint32_t msa_tree_blocks(uint32_t lo, uint32_t hi, msa_tree_block blocks[MSA_TREE_BLOCKS])
{
    uint32_t count = 0u, at = lo;
    while (at < hi && hi <= MSA_TREE_IMAGES) { /* at most 30 blocks that grow, then 30 that shrink */
        uint32_t level = 0u;
        while (level < 31u && (at & (((uint32_t)2u << level) - 1u)) == 0u && hi - at >= (uint32_t)2u << level) {
            ++level;
        }
        blocks[count].first = at;
        blocks[count].level = level;
        at += (uint32_t)1u << level;
        ++count;
    }
    return count;
}

uint32_t msa_tree_depth(uint32_t lo, uint32_t hi)
{
    msa_tree_block blocks[MSA_TREE_BLOCKS];
    const uint32_t count = msa_tree_blocks(lo, hi, blocks);
    uint32_t most = 0u;
    for (uint32_t i = 0; i < count; ++i) {
        /* While a block of 2^level comes, level of its own and the newest image lie above those before. */
        const uint32_t depth = i + blocks[i].level + 1u;
        most = depth > most ? depth : most;
    }
    return most;
}

void msa_gradient_add(msa_real *restrict below, const msa_real *restrict top, size_t count)
{
    size_t at = 0u;
    for (; at + BLOCK <= count; at += BLOCK) {
        for (size_t j = 0; j < BLOCK; ++j) {
            below[at + j] = below[at + j] + top[at + j];
        }
    }
    for (; at < count; ++at) {
        below[at] = below[at] + top[at];
    }
}

uint32_t msa_gradient_join(msa_real *const *slots, uint32_t depth, size_t count, uint32_t lo, msa_tree_block block)
{
    const uint32_t merges = msa_tree_merges(lo, block);
    uint32_t left = depth;
    for (uint32_t i = 0; i < merges && left > 1u; ++i) {
        msa_gradient_add(slots[left - 2u], slots[left - 1u], count);
        --left;
    }
    return left;
}

void msa_gradient_finish(msa_real *const *slots, uint32_t depth, size_t count)
{
    for (uint32_t left = depth; left > 1u; --left) {
        msa_gradient_add(slots[left - 2u], slots[left - 1u], count);
    }
}
