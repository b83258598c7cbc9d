/* SPDX-License-Identifier: Apache-2.0 */
/* TIFF: the test files with each of their bytes wrong in turn, or cut; what the tags may not claim. */
#define _GNU_SOURCE
#include "tiff.h"

#include "scratch.h"

#define FOLDER MSAGEN_SOURCE_DIR "/tests/golden-front/tiff"

enum { ROOM = 4096 };

static char error[4096];
static struct msagen_tiff found;

static int parse(const unsigned char *data, size_t n)
{
    error[0] = '\0';
    return msagen_tiff_parse(data, n, "a.tif", -1, &found, error, sizeof error);
}

/* An answer, and nothing kept of a refusal. */
static void tried(const unsigned char *data, size_t n)
{
    if (parse(data, n) == 0) {
        msagen_tensor_free(found.values);
        return;
    }
    cr_assert(*error && !strchr(error, '\n') && !found.values, "%s", error);
}

static size_t load(const char *name, unsigned char data[ROOM])
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", FOLDER, name);
    FILE *f = fopen(path, "rb");
    cr_assert_not_null(f, "%s", path);
    const size_t n = fread(data, 1, ROOM, f);
    fclose(f);
    return n;
}

static void for_each(void (*check)(unsigned char *data, size_t n))
{
    DIR *d = opendir(FOLDER);
    int count = 0;
    cr_assert_not_null(d);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        unsigned char data[ROOM];
        if (strstr(e->d_name, ".tif")) {
            check(data, load(e->d_name, data));
            ++count;
        }
    }
    closedir(d);
    cr_assert_geq(count, 20);
}

static void wrong_bytes(unsigned char *data, size_t n)
{
    static const unsigned char masks[] = {0x01, 0x80, 0xff};
    for (size_t at = 0; at < n; ++at)
        for (size_t k = 0; k < sizeof masks; ++k) {
            data[at] ^= masks[k];
            tried(data, n);
            data[at] ^= masks[k];
        }
}

static void cut(unsigned char *data, size_t n)
{
    for (size_t end = 0; end < n; ++end) {
        /* a copy, behind whose end nothing is to be read */
        unsigned char *part = malloc(end + (end == 0));
        memcpy(part, data, end);
        tried(part, end);
        free(part);
    }
}

Test(tiff, each_byte_wrong)
{
    for_each(wrong_bytes);
}

Test(tiff, cut_anywhere)
{
    for_each(cut);
}

Test(tiff, a_small_file_claims_no_more_than_is_taken)
{
    unsigned char data[ROOM];
    const size_t n = load("f64.tif", data);
    /* width and length, as shorts in the first two entries of its directory */
    const uint16_t side = 16385;
    memcpy(data + 18, &side, sizeof side);
    cr_assert_neq(parse(data, n), 0);
    cr_assert(strstr(error, "1 to 16384 pixels a side"), "%s", error);
}

Test(tiff, no_tiff)
{
    cr_assert_neq(parse((const unsigned char *)"II*", 3), 0);
    cr_assert_neq(parse((const unsigned char *)"", 0), 0);
    cr_assert(strstr(error, "a.tif: TIFF: damaged"), "%s", error);
}
