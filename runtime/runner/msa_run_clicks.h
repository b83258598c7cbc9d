/* SPDX-License-Identifier: 0BSD */
/* msa_run_clicks.h - where a user would click on what is wrong with a mask: a rule without chance, in whole numbers.
 * The test bench has it, and the program that wrote it. */
#ifndef MSA_RUN_CLICKS_H
#define MSA_RUN_CLICKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is wrong with a pixel. */
enum { MSA_RUN_RIGHT = 0, MSA_RUN_MISSED = 1, MSA_RUN_EXCESS = 2 };

/* The longest side. */
#define MSA_RUN_CLICKS_SIDE 16384u

typedef struct msa_run_click {
    uint32_t x, y;             /* the pixel, whose centre is at x + 0.5, y + 0.5 */
    bool inside;               /* it was missed */
    uint32_t depth;            /* squared distance to the nearest pixel that is not of its region */
    uint32_t pixels;           /* of the region */
} msa_run_click;

/* Bytes of work for an image of sides from 1 to MSA_RUN_CLICKS_SIDE. */
size_t msa_run_clicks_bytes(uint32_t width, uint32_t height);

/* The next click. Of the regions of missed pixels and of those of excess, that hang together over sides and corners,
 * the one of most pixels counts; of equal ones the missed, then the earlier in raster order. Of its pixels it is the
 * one farthest from all outside of it, the image's surroundings included; of equal ones the earlier. All pixels of the
 * truth missed: the first click.
 *   errors   [height][width] of the above; used up
 *   work     aligned for uint64_t, msa_run_clicks_bytes
 * Returns false where nothing is wrong. */
bool msa_run_next_click(uint8_t *errors, uint32_t width, uint32_t height, void *work, msa_run_click *click);

/* Add `mark` to the pixels of one region: those that have what pixel `from` has and hang together with it over sides
 * and corners. queue: room for all pixels; receives them. Returns their number. */
uint32_t msa_run_flood(uint8_t *errors, uint32_t width, uint32_t height, uint32_t from, uint8_t mark, uint32_t *queue);

#endif
