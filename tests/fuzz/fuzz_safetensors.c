/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: any bytes as a safetensors file, whose tensors are then read. An input without the length of a header gets
 * one: the first "}}" ends it. */
#include "../c/forge.h"
#include "checkpoint.h"
#include "explain.h"
#include "safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_file(const unsigned char *data, size_t size)
{
    char why[MSAGEN_ERROR_BYTES];
    struct msagen_safetensors *s = msagen_safetensors_read(data, size, why, sizeof why);
    for (size_t i = 0; s && i < s->count; ++i)
        if (s->entries[i].at > size || s->entries[i].bytes > size - s->entries[i].at)
            abort();
    msagen_safetensors_free(s);
    struct msagen_checkpoint *c = msagen_checkpoint_open_memory(data, size, "x.safetensors", why, sizeof why);
    for (size_t i = 0; c && i < msagen_checkpoint_count(c); ++i) {
        struct msagen_tensor *t = msagen_checkpoint_tensor(c, i, why, sizeof why);
        if (!t)
            abort();
        msagen_tensor_first_nonfinite(t);
        msagen_tensor_free(t);
    }
    msagen_checkpoint_close(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || data[0] != '{') {
        try_file(data, size);
        return 0;
    }
    size_t header = size;
    for (size_t i = 0; i + 1 < size && header == size; ++i)
        if (data[i] == '}' && data[i + 1] == '}')
            header = i + 2;
    struct forge file = {0};
    forge_number(&file, header, 8);
    forge_bytes(&file, data, size);
    try_file(file.data, file.bytes);
    free(file.data);
    return 0;
}
