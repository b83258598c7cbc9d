/* SPDX-License-Identifier: 0BSD */
/* msa_image_line.c - the hook of a product that gives no rows of an image; alone in its object, so that the product's
 * own is linked instead. */
#include "msa.h"

const uint8_t *msa_image_line(const msa_image *image, uint32_t slice, uint32_t y)
{
    (void)image;
    (void)slice;
    (void)y;
    return NULL;
}
