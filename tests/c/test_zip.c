/* SPDX-License-Identifier: Apache-2.0 */
/* ZIP archives: entries are views of the file, and whatever is not as torch.save writes it is refused. */
#include "explain.h"
#include "forge.h"
#include "zipfile.h"

#include <criterion/criterion.h>

static char why[MSAGEN_ERROR_BYTES];

static const struct forge_member three[] = {
    {.name = "a/data.pkl", .data = "pickle", .bytes = 6},
    {.name = "a/data/0", .data = "0123456789", .bytes = 10},
    {.name = "a/empty", .data = "", .bytes = 0},
};

static void expect_three(int flags)
{
    struct forge file = {0};
    forge_zip(&file, three, 3, flags);
    struct msagen_zip *zip = msagen_zip_open(file.data, file.bytes, why, sizeof why);
    cr_assert(zip, "%s", why);
    cr_assert_eq(msagen_zip_count(zip), 3);
    for (size_t i = 0; i < 3; ++i) {
        size_t index;
        cr_assert(msagen_zip_find(zip, three[i].name, strlen(three[i].name), &index));
        cr_assert_eq(index, i);
        cr_assert_eq(msagen_zip_entry(zip, i)->bytes, three[i].bytes);
        const unsigned char *data = msagen_zip_data(zip, i, why, sizeof why);
        cr_assert(data, "%s", why);
        cr_assert(data >= file.data && data + three[i].bytes <= file.data + file.bytes, "not a view of the file");
        cr_assert_eq(memcmp(data, three[i].data, three[i].bytes), 0);
        cr_assert_eq(msagen_zip_verified(zip, i, NULL, why, sizeof why), data);
        if (flags & FORGE_PADDED && three[i].bytes)
            cr_assert_eq((size_t)(data - file.data) % 64, 0);
    }
    msagen_zip_close(zip);
    free(file.data);
}

Test(zip, entries_are_views) { expect_three(0); }
Test(zip, zip64) { expect_three(FORGE_ZIP64); }
Test(zip, sizes_behind_the_data) { expect_three(FORGE_DESCRIPTORS); }
Test(zip, as_pytorch_writes) { expect_three(FORGE_DESCRIPTORS | FORGE_PADDED); }
Test(zip, all_at_once) { expect_three(FORGE_ZIP64 | FORGE_DESCRIPTORS | FORGE_PADDED); }

Test(zip, names_are_found_exactly)
{
    struct forge file = {0};
    forge_zip(&file, three, 3, 0);
    struct msagen_zip *zip = msagen_zip_open(file.data, file.bytes, why, sizeof why);
    size_t index;
    static const char *const absent[] = {"", "a", "a/data", "a/data/00", "a/data.pk", "b", "a/data.pkl "};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; ++i)
        cr_assert_not(msagen_zip_find(zip, absent[i], strlen(absent[i]), &index), "found '%s'", absent[i]);
    cr_assert_not(msagen_zip_find(zip, "a/data/0\0x", 10, &index), "a name with a NUL");
    cr_assert(msagen_zip_find(zip, "a/data/0123", 8, &index), "a name that is part of a longer text");
    msagen_zip_close(zip);
    free(file.data);
}

/* Open a ZIP of one member and look at it; the error must hold `expected`. */
static void expect_refused(const struct forge_member *member, const char *expected)
{
    struct forge file = {0};
    forge_zip(&file, member, 1, 0);
    struct msagen_zip *zip = msagen_zip_open(file.data, file.bytes, why, sizeof why);
    if (zip)
        cr_assert_null(msagen_zip_verified(zip, 0, NULL, why, sizeof why));
    cr_assert(strstr(why, expected), "%s", why);
    msagen_zip_close(zip);
    free(file.data);
}

Test(zip, a_flipped_bit_is_noticed)
{
    expect_refused(&(struct forge_member){.name = "a/0", .data = "x", .bytes = 1, .crc_error = 1},
        "a/0 is damaged: CRC-32");
}

Test(zip, compressed_entries_are_refused)
{
    expect_refused(&(struct forge_member){.name = "a/0", .data = "x", .bytes = 1, .method = 8},
        "a/0 is compressed (method 8)");
}

Test(zip, an_entry_beyond_the_file_is_refused)
{
    expect_refused(&(struct forge_member){.name = "a/0", .data = "x", .bytes = 1, .more = 1000}, "ZIP: ");
    expect_refused(&(struct forge_member){.name = "a/0", .data = "x", .bytes = 1, .more = 0xfffffff0}, "ZIP: ");
}

Test(zip, two_entries_of_one_name_are_refused)
{
    const struct forge_member two[] = {{.name = "a", .data = "x", .bytes = 1}, {.name = "a", .data = "y", .bytes = 1}};
    struct forge file = {0};
    forge_zip(&file, two, 2, 0);
    cr_assert_null(msagen_zip_open(file.data, file.bytes, why, sizeof why));
    cr_assert(strstr(why, "two entries are called a"), "%s", why);
    free(file.data);
}

Test(zip, control_characters_stay_out_of_the_error)
{
    expect_refused(&(struct forge_member){.name = "a\n\x1b[31m", .data = "x", .bytes = 1, .crc_error = 1},
        "a??[31m is damaged");
}

/* No prefix of an archive is an archive: its directory is at the end. */
Test(zip, truncated_anywhere_is_refused)
{
    for (int flags = 0; flags < 8; ++flags) {
        struct forge file = {0};
        forge_zip(&file, three, 3, flags);
        for (size_t bytes = 0; bytes < file.bytes; ++bytes) {
            unsigned char *part = malloc(bytes + 1);    /* a sanitizer sees reads beyond it */
            memcpy(part, file.data, bytes);
            cr_assert_null(msagen_zip_open(part, bytes, why, sizeof why), "%zu of %zu bytes", bytes, file.bytes);
            cr_assert(strncmp(why, "ZIP: ", 5) == 0, "%s", why);
            free(part);
        }
        free(file.data);
    }
}

/* A flip either is refused, or leaves what is read as it was. */
Test(zip, any_flipped_bit_is_harmless)
{
    for (int flags = 0; flags < 8; ++flags) {
        struct forge file = {0};
        forge_zip(&file, three, 3, flags);
        for (size_t bit = 0; bit < file.bytes * 8; ++bit) {
            file.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
            struct msagen_zip *zip = msagen_zip_open(file.data, file.bytes, why, sizeof why);
            for (size_t i = 0; zip && i < 2; ++i) {
                size_t index;
                if (!msagen_zip_find(zip, three[i].name, strlen(three[i].name), &index))
                    continue;
                const unsigned char *data = msagen_zip_verified(zip, index, NULL, why, sizeof why);
                if (data) {
                    cr_assert_eq(msagen_zip_entry(zip, index)->bytes, three[i].bytes);
                    cr_assert_eq(memcmp(data, three[i].data, three[i].bytes), 0, "bit %zu, flags %d", bit, flags);
                }
            }
            msagen_zip_close(zip);
            file.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
        free(file.data);
    }
}
