/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: any bytes as a NIfTI file, its first volume or the only one; and cut in two as a pair. */
#include "explain.h"
#include "nifti.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct msagen_buffer *copy(const uint8_t *data, size_t size)
{
    struct msagen_buffer *buffer = msagen_buffer_alloc(size);
    if (buffer && size)
        memcpy((void *)(uintptr_t)buffer->data, data, size);
    return buffer;
}

static void parse(struct msagen_buffer *file, struct msagen_buffer *image, int64_t frame)
{
    char why[MSAGEN_ERROR_BYTES] = "", codes[4];
    struct msagen_nifti n;
    if (!file || (image && !image->data))
        return;
    if (msagen_nifti_parse(file, image, "x.nii", frame, &n, why, sizeof why) != 0) {
        if (!*why || strpbrk(why, "\n") || n.values)
            abort();
        return;
    }
    msagen_nifti_directions(n.affine, codes);
    msagen_tensor_first_nonfinite(n.values);
    msagen_tensor_free(n.values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { HEADER = 348 };
    struct msagen_buffer *file = copy(data, size);
    parse(file, NULL, -1);
    parse(file, NULL, 0);
    msagen_buffer_unref(file);
    if (size > HEADER) {
        file = copy(data, HEADER);
        struct msagen_buffer *image = copy(data + HEADER, size - HEADER);
        if (image)
            parse(file, image, -1);
        msagen_buffer_unref(image);
        msagen_buffer_unref(file);
    }
    return 0;
}
