/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: any bytes as a pickle; alone, and as data.pkl of an archive whose tensors are then read. */
#include "../c/forge.h"
#include "checkpoint.h"
#include "explain.h"
#include "pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char storage[64] = {0, 0, 128, 63};
    char why[MSAGEN_ERROR_BYTES] = "";
    struct msagen_pickle *pickle = msagen_pickle_read(data, size, why, sizeof why);
    if (!pickle) {
        if (!*why)
            abort();
        return 0;
    }
    msagen_pickle_free(pickle);

    const struct forge_member members[] = {
        {.name = "a/data.pkl", .data = data, .bytes = size},
        {.name = "a/data/0", .data = storage, .bytes = sizeof storage},
        {.name = "a/data/1", .data = storage, .bytes = 8},
        {.name = "a/data/2", .data = storage, .bytes = 0},
    };
    struct forge file = {0};
    forge_zip(&file, members, sizeof members / sizeof *members, 0);
    struct msagen_checkpoint *c = msagen_checkpoint_open_memory(file.data, file.bytes, "x", why, sizeof why);
    for (size_t i = 0; c && i < msagen_checkpoint_count(c); ++i) {
        struct msagen_tensor *t = msagen_checkpoint_tensor(c, i, why, sizeof why);
        if (!t)
            abort();        /* the storages are sound, and opening has checked the rest */
        if (msagen_tensor_numel(t) <= 1 << 16)
            msagen_tensor_first_nonfinite(t);
        msagen_tensor_free(t);
    }
    msagen_checkpoint_close(c);
    free(file.data);
    return 0;
}
