/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: any bytes as an archive; every entry is located and summed, and the whole taken for a checkpoint. */
#include "checkpoint.h"
#include "explain.h"
#include "zipfile.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[MSAGEN_ERROR_BYTES];
    struct msagen_zip *zip = msagen_zip_open(data, size, why, sizeof why);
    for (size_t i = 0; zip && i < msagen_zip_count(zip); ++i) {
        const struct msagen_zip_entry *entry = msagen_zip_entry(zip, i);
        const unsigned char *bytes = msagen_zip_data(zip, i, why, sizeof why);
        size_t found;
        if (!msagen_zip_find(zip, entry->name, strlen(entry->name), &found) || found != i)
            abort();
        if (bytes && (bytes < data || (size_t)(bytes - data) > size || entry->bytes > size - (size_t)(bytes - data)))
            abort();
        msagen_zip_verified(zip, i, NULL, why, sizeof why);
    }
    msagen_zip_close(zip);

    struct msagen_checkpoint *c = msagen_checkpoint_open_memory(data, size, "x", why, sizeof why);
    for (size_t i = 0; c && i < msagen_checkpoint_count(c); ++i) {
        struct msagen_tensor *t = msagen_checkpoint_tensor(c, i, why, sizeof why);
        if (t)
            msagen_tensor_free(t);
    }
    msagen_checkpoint_close(c);
    return 0;
}
