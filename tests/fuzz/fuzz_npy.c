/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: any bytes as an NPY file, whose elements are then read. */
#include "explain.h"
#include "npy.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[MSAGEN_ERROR_BYTES] = "";
    struct msagen_buffer *file = msagen_buffer_alloc(size);
    if (!file)
        return 0;
    if (size)
        memcpy((void *)(uintptr_t)file->data, data, size);
    struct msagen_tensor *t = msagen_npy_parse(file, "x.npy", why, sizeof why);
    msagen_buffer_unref(file);
    if (!t) {
        if (!*why || strpbrk(why, "\n"))
            abort();
        return 0;
    }
    msagen_tensor_first_nonfinite(t);
    msagen_tensor_free(t);
    return 0;
}
