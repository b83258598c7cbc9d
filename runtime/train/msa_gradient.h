/* SPDX-License-Identifier: 0BSD */
/* msa_gradient.h - how gradients of images become that of a batch: always the same sums, whatever ranks computed them.
 *
 * tree(lo, hi) is the gradient of image lo where hi = lo + 1; else tree(lo, lo + s) + tree(lo + s, hi), element by
 * element, s being the largest power of two below hi - lo. The batch's is tree(0, images).
 * A rank has the images from lo on, in order, and a stack of gradients: an image's is put on top; then, as often as
 * msa_tree_merges says, the top is added to what lies below it. What the stack holds at last are the largest blocks of
 * 2^level images, at multiples of 2^level, within the rank's images: msa_tree_blocks lists them. The ranks' blocks, in
 * order, go on one stack in the same way, from image 0; at last all that is left is added up from the top. */
#ifndef MSA_GRADIENT_H
#define MSA_GRADIENT_H

#include "msa_loss.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Images of a batch at most, and blocks of a range of them. */
#define MSA_TREE_IMAGES 0x80000000u
#define MSA_TREE_BLOCKS 62u

/* 2^level images from `first` on, a multiple of it. */
typedef struct msa_tree_block {
    uint32_t first, level;
} msa_tree_block;

/* How often the top joins the one below once this block, of a range that begins at image lo, lies on the stack. */
uint32_t msa_tree_merges(uint32_t lo, msa_tree_block block);

/* The blocks of images [lo, hi), in order. Returns how many: 0 where the range is none, at most MSA_TREE_BLOCKS. */
uint32_t msa_tree_blocks(uint32_t lo, uint32_t hi, msa_tree_block blocks[MSA_TREE_BLOCKS]);

/* Gradients on the stack at most while images [lo, hi) come one by one, the newest one included. */
uint32_t msa_tree_depth(uint32_t lo, uint32_t hi);

/* below = below + top. The two have no bytes in common. */
void msa_gradient_add(msa_real *below, const msa_real *top, size_t count);

/* Merge a stack of gradients of `count` elements, slots[0..depth-1], the topmost of which is `block`'s, just put there.
 * Returns how many are left. */
uint32_t msa_gradient_join(msa_real *const *slots, uint32_t depth, size_t count, uint32_t lo, msa_tree_block block);

/* At the batch's end: slots[0] becomes the sum of all on the stack. */
void msa_gradient_finish(msa_real *const *slots, uint32_t depth, size_t count);

#ifdef __cplusplus
}
#endif
#endif
