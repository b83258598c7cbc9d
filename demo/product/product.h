/* SPDX-License-Identifier: Apache-2.0 */
/* product.h - what the camera of this example is made of: its work (product.c), and what a machine gives it. */
#ifndef PRODUCT_H
#define PRODUCT_H

#include "msa_model.h"

/* What the work finds in a frame, for the screen. */
typedef struct finding {
    uint32_t area;           /* pixels of the mask */
    msa_outline outline;
    const msa_corner *corners;
    const uint8_t *picture;  /* [MSA_FRONT_HEIGHT][MSA_FRONT_WIDTH] */
} finding;

/* ---- product.c ---- */

/* After reset: MSA_OK, or why the product must not go on. */
msa_status product_start(const void *weights, size_t weights_bytes);

/* Lines that have come, the next ones of the frame. */
msa_status product_lines(const void *lines, uint32_t count);

/* Behind a frame's last line: the region under a click, in pixels of the picture. */
msa_status product_find(float x, float y, finding *found);

#define LINES_AT_A_TIME 8u /* of a DMA transfer; of a frame's last one, what is left of it */

/* The next LINES_AT_A_TIME lines. Behind a frame's last one `whole` is set, the region under the picture's middle is
 * looked for, and a slice of the weights is checked. MSA_E_CRC: the product must not go on; others end the frame. */
msa_status product_take(const void *lines, bool *whole, finding *found);

/* Between frames: 64 KiB of the weights are checked, those behind them the next time. */
msa_status product_check(void);

/* ---- the machine's ---- */

/* The watchdog is fed: called at least once a layer. */
void machine_alive(void);

#endif
