/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: any bytes as a PNG or JPEG, as an image and as a mask; EXIF data also without a picture around them. */
#include "exif.h"
#include "explain.h"
#include "image.h"
#include "labels.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct msagen_tensor *t, const char *why)
{
    if (!t && (!*why || strpbrk(why, "\n")))
        abort();
    msagen_tensor_free(t);
}

/* Pictures of millions of pixels are only slow; the size stands in the first bytes of a PNG and anywhere in a JPEG. */
static int is_large(const uint8_t *data, size_t size)
{
    if (size > 24 && data[0] == 0x89)
        return data[16] || data[17] || data[18] > 1 || data[20] || data[21] || data[22] > 1;
    for (size_t i = 0; i + 9 < size; ++i)
        if (data[i] == 0xff && data[i + 1] >= 0xc0 && data[i + 1] <= 0xcf && (data[i + 5] > 1 || data[i + 7] > 1))
            return 1;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[MSAGEN_ERROR_BYTES] = "";
    struct msagen_image_facts facts;
    struct msagen_labels labels;
    const int orientation = msagen_exif_orientation(data, size);
    if (orientation < -1 || orientation > 8)
        abort();
    if (is_large(data, size))
        return 0;
    check(msagen_image_parse(data, size, "x", 0, &facts, why, sizeof why), why);
    check(msagen_labels_parse(data, size, "x", &labels, why, sizeof why), why);
    return 0;
}
