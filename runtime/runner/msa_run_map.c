/* SPDX-License-Identifier: 0BSD */
/* msa_run_map.c - weights that are read where they lie: the file, mapped or loaded, or what is linked. */
#include "msa_run.h"

#if BARE

extern const unsigned char msa_weights[], msa_weights_end[];

int msa_run_weights_at(const char *path, const char *name, const unsigned char **weights, uint64_t *size)
{
    (void)path;
    (void)name;
    *size = (size_t)(msa_weights_end - msa_weights);
    *weights = msa_weights;
    return 0;
}

#elif ON_POSIX

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

int msa_run_weights_at(const char *path, const char *name, const unsigned char **weights, uint64_t *size)
{
    (void)path;
    if (*size > SIZE_MAX || *size == 0) {
        return msa_run_fail("%s: cannot be mapped: %s", name, *size == 0 ? "empty" : "larger than the address space");
    }
    void *const p = mmap(NULL, (size_t)*size, PROT_READ, MAP_PRIVATE, msa_run_weights_file(), 0);
    if (p == MAP_FAILED) {
        return msa_run_fail("%s: cannot be mapped: %s", name, strerror(errno));
    }
    *weights = p;
    return 0;
}

#else

int msa_run_weights_at(const char *path, const char *name, const unsigned char **weights, uint64_t *size)
{
    size_t bytes = 0;
    (void)name;
    *weights = msa_run_load(path, &bytes);
    *size = bytes;
    return *weights != NULL ? 0 : -1;
}

#endif
