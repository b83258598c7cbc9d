/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: any bytes as a pickle; alone, and as data.pkl of an archive whose tensors are then read, a checkpoint's or
 * a TorchScript program's. */
#include "../c/forge.h"
#include "checkpoint.h"
#include "explain.h"
#include "pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_tensors(struct msagen_checkpoint *c)
{
    char why[MSAGEN_ERROR_BYTES] = "";
    for (size_t i = 0; c && i < msagen_checkpoint_count(c); ++i) {
        struct msagen_tensor *t = msagen_checkpoint_tensor(c, i, why, sizeof why);
        if (!t)
            abort();        /* the storages are sound, and opening has checked the rest */
        if (msagen_tensor_numel(t) <= 1 << 16)
            msagen_tensor_first_nonfinite(t);
        msagen_tensor_free(t);
    }
    msagen_checkpoint_close(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char storage[64] = {0, 0, 128, 63};
    char why[MSAGEN_ERROR_BYTES] = "";
    struct msagen_pickle *pickle = msagen_pickle_read_program(data, size, why, sizeof why);
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
        {.name = "a/constants.pkl", .data = ".", .bytes = 1},
    };
    enum { COUNT = sizeof members / sizeof *members };
    struct forge file = {0}, program = {0};
    forge_zip(&file, members, COUNT - 1, 0);
    read_tensors(msagen_checkpoint_open_memory(file.data, file.bytes, "x", why, sizeof why));
    forge_zip(&program, members, COUNT, 0);
    read_tensors(msagen_checkpoint_open_program_memory(program.data, program.bytes, "x", why, sizeof why));
    free(file.data);
    free(program.data);
    return 0;
}
