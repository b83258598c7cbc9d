/* SPDX-License-Identifier: Apache-2.0 */
/* For tests that write files: a folder of their own, whole files in and out of memory. */
#ifndef SCRATCH_H
#define SCRATCH_H

#include "host.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char scratch_folder[4096], scratch_file[4200];

static inline void scratch_open(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(scratch_folder, sizeof scratch_folder, "%s/msagen-test-XXXXXX", base && *base ? base : "/tmp");
    cr_assert_not_null(mkdtemp(scratch_folder));
}

static inline void scratch_close(void)
{
    cr_assert_eq(msagen_remove_tree(scratch_folder), 0);
}

/* A path in the folder, good until the next call. */
static inline const char *scratch_path(const char *name)
{
    snprintf(scratch_file, sizeof scratch_file, "%s/%s", scratch_folder, name);
    return scratch_file;
}

static inline int scratch_entries(void)
{
    int n = 0;
    DIR *d = opendir(scratch_folder);
    cr_assert_not_null(d);
    while (readdir(d))
        ++n;
    closedir(d);
    return n - 2;
}

/* The caller frees. */
static inline unsigned char *scratch_read(const char *name, size_t *bytes)
{
    FILE *f = fopen(scratch_path(name), "rb");
    cr_assert_not_null(f, "%s", scratch_file);
    fseek(f, 0, SEEK_END);
    *bytes = (size_t)ftell(f);
    rewind(f);
    unsigned char *data = malloc(*bytes + 1);
    cr_assert_eq(fread(data, 1, *bytes, f), *bytes);
    fclose(f);
    return data;
}

static inline const char *scratch_write(const char *name, const void *data, size_t bytes)
{
    FILE *f = fopen(scratch_path(name), "wb");
    cr_assert_not_null(f, "%s", scratch_file);
    cr_assert_eq(fwrite(data, 1, bytes, f), bytes);
    cr_assert_eq(fclose(f), 0);
    return scratch_file;
}

#endif
