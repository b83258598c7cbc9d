/* SPDX-License-Identifier: 0BSD */
/* msa_run_small.h - what test benches of one file have in common: REQUEST RESPONSE WEIGHTS, memory, time; no part of a
 * product. Without an operating system the weights are those linked, and no file of them is read. Included behind
 * _POSIX_C_SOURCE and msa.h, once a program. */
#ifndef MSA_RUN_SMALL_H
#define MSA_RUN_SMALL_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BARE (!__STDC_HOSTED__)

#if BARE
extern const unsigned char msa_weights[], msa_weights_end[];
#endif

static FILE *request, *response;

/* What room() gave. */
static void *blocks[5];
static size_t count;

static int fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    return EXIT_FAILURE;
}

/* 64-byte aligned, to the end; NULL, too, after four of them. */
static void *room(size_t bytes)
{
    unsigned char *const p = count == 4 ? NULL : (unsigned char *)malloc(bytes + MSA_ALIGNMENT);
    blocks[count] = p;
    count += p == NULL ? 0u : 1u;
    return p == NULL ? NULL : p + (MSA_ALIGNMENT - (uintptr_t)p % MSA_ALIGNMENT);
}

static void free_rooms(void)
{
    while (count > 0) {
        free(blocks[--count]);
    }
}

static const void *weights_of(const char *path, size_t bytes)
{
#if BARE
    (void)path;
    return (size_t)(msa_weights_end - msa_weights) == bytes ? msa_weights : NULL;
#else
    FILE *const file = fopen(path, "rb");
    void *const p = file == NULL ? NULL : room(bytes);
    const bool all = p != NULL && fread(p, 1, bytes, file) == bytes;
    if (file != NULL) {
        fclose(file);
    }
    return all ? p : NULL;
#endif
}

static double seconds(void)
{
#if defined(__unix__) && !BARE
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
#else
    return 0.0;
#endif
}

static bool put(const void *from, size_t bytes)
{
    return fwrite(from, 1, bytes, response) == bytes;
}

#endif
