/* SPDX-License-Identifier: Apache-2.0 */
/* Where a person might click: the rules by which training draws clicks. Masks are u8 [height][width], non-zero is
 * inside; a click is on a pixel, x its column, y its row, and drawn from numbers of a key, one after the other. */
#ifndef MSAGEN_CLICKS_H
#define MSAGEN_CLICKS_H

#include "random.h"

/* The longest side: distances.h's and the runner's. */
#define MSAGEN_CLICKS_SIDE 16384

/* Clicks of msagen_clicks_random. */
#define MSAGEN_CLICKS_MOST 64

struct msagen_click {
    int64_t x, y;
    int label; /* 1: inside, 0: outside */
};

struct msagen_clicks_truth {
    const uint8_t *mask;
    size_t height, width;
    const uint8_t *const *others; /* masks of other objects, of the same size; NULL where there is none */
    size_t other_count;
};

/* Of the values that are `value`, or with a value below 0 of all but 0, one, all equally likely: its place, or -1 where
 * there is none, which draws nothing. */
int64_t msagen_pick(const uint8_t *values, size_t count, int value, struct msagen_draws *draws);

/* Clicks before anything has been found (Xu et al. 2016), in this order:
 *   1 to 5 inside, in the object eroded by 5 pixels: those whose distance |dx| + |dy| to all pixels outside is over 5
 *   (what lies beyond the image erodes nothing), or in the whole object where none is;
 *   outside, by one of three rules, all equally likely. The band: pixels over 5 (|dx| + |dy|) and at most 40
 *   (Euclidean) from the object.
 *     0 to 10 in the band;
 *     0 to 5, one number for all, on each other object, without the object's pixels;
 *     one in the band, then up to 9 at the deepest place that is left of it: the largest Euclidean distance to what is
 *     not of the band or is the first click, of equal ones the earlier in raster order.
 * Each click takes the pixels within 20, |dx| and |dy|, out of the set that it is drawn from; each of the deepest
 * places takes those within 40. Where no pixel is left there are fewer. Of an empty object: one outside, anywhere.
 *   out  room for `most` clicks, at most MSAGEN_CLICKS_MOST; those behind them are dropped
 * Returns their number, or -1: out of memory. */
int msagen_clicks_random(const struct msagen_clicks_truth *truth, struct msagen_draws *draws, struct msagen_click *out,
                         int most);

/* The next click (ITIS, Mahadevan et al. 2018): pixels where found and truth differ form regions over sides and
 * corners; pixels of earlier clicks are taken out of them; the region of most pixels counts, of equal ones the one
 * whose first pixel comes earlier in raster order, before clicks are taken out. Of it the image's border is left out,
 * unless nothing else is left. Any of the pixels that are farthest (Euclidean) from all others of the image; inside
 * where the truth is. Returns 1; 0 where nothing is wrong, or all that is has been clicked on; -1: out of memory. */
int msagen_click_iterative(const uint8_t *truth, const uint8_t *found, size_t height, size_t width,
                           const struct msagen_click *earlier, size_t count, struct msagen_draws *draws,
                           struct msagen_click *out);

/* The next click as SAM 2 trains: any of the pixels where found and truth differ; where none does, any of the
 * background, outside; where there is none, any pixel, inside. */
void msagen_click_wrong(const uint8_t *truth, const uint8_t *found, size_t height, size_t width,
                        struct msagen_draws *draws, struct msagen_click *out);

/* Logits [rows][columns] enlarged to height x width (bilinear in double, align_corners false): 255 where above 0, else
 * 0. out [height][width] */
void msagen_clicks_found(const float *logits, size_t rows, size_t columns, size_t height, size_t width, uint8_t *out);

#endif
