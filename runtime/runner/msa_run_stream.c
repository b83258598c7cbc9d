/* SPDX-License-Identifier: 0BSD */
/* msa_run_stream.c - weights that the model fetches by its hooks (msa_run_fetch.c): none are given to msa_open. */
#include "msa_run.h"

#if BARE

extern const unsigned char msa_weights[], msa_weights_end[];

int msa_run_weights_at(const char *path, const char *name, const unsigned char **weights, uint64_t *size)
{
    (void)path;
    (void)name;
    *size = (size_t)(msa_weights_end - msa_weights);
    *weights = NULL;
    return 0;
}

#elif ON_POSIX

int msa_run_weights_at(const char *path, const char *name, const unsigned char **weights, uint64_t *size)
{
    (void)path;
    (void)name;
    (void)size; /* the open file's */
    *weights = NULL;
    return 0;
}

#else

int msa_run_weights_at(const char *path, const char *name, const unsigned char **weights, uint64_t *size)
{
    size_t bytes = 0;
    (void)name;
    *weights = NULL;
    if (msa_run_fetch_from(path, &bytes) != 0) {
        return -1;
    }
    *size = bytes;
    return 0;
}

#endif
