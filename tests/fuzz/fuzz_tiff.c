/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: any bytes as a TIFF file, all pages and one. */
#include "explain.h"
#include "tiff.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int64_t page = -1; page <= 1; ++page) {
        char why[MSAGEN_ERROR_BYTES] = "";
        struct msagen_tiff t;
        if (msagen_tiff_parse(data, size, "x.tif", page, &t, why, sizeof why) != 0) {
            if (!*why || strpbrk(why, "\n") || t.values)
                abort();
            continue;
        }
        msagen_tensor_first_nonfinite(t.values);
        msagen_tensor_free(t.values);
    }
    return 0;
}
