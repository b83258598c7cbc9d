/* SPDX-License-Identifier: Apache-2.0 */
/* crc.c - the device's CRC-32C against a plain read of the same memory, in turns; crc.lua compiles and runs it.
 *
 * crc FILE [ROUNDS]   maps FILE, prints `read_gbs X`, `crc_gbs X`: 10^9 bytes a second, medians. */
#define _DEFAULT_SOURCE
#include "../runtime/msa_crc32c.c"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MOST_ROUNDS = 1000, LINE = 8 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sums a cache line's words side by side, so that no addition waits for the one before. */
static uint64_t sum(const uint64_t *words, size_t count)
{
    uint64_t partial[LINE] = {0}, total = 0;
    for (size_t i = 0; i + LINE <= count; i += LINE)
        for (int j = 0; j < LINE; ++j)
            partial[j] += words[i + (size_t)j];
    for (int j = 0; j < LINE; ++j)
        total += partial[j];
    return total;
}

int main(int argc, char **argv)
{
    const int file = argc > 1 ? open(argv[1], O_RDONLY) : -1, rounds = argc > 2 ? atoi(argv[2]) : 15;
    struct stat info;
    if (file < 0 || fstat(file, &info) != 0 || info.st_size <= 0 || rounds < 1 || rounds > MOST_ROUNDS) {
        fputs("usage: crc FILE [ROUNDS]\n", stderr);
        return 2;
    }
    const size_t bytes = (size_t)info.st_size;
    const void *const data = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (data == MAP_FAILED) {
        perror(argv[1]);
        return 1;
    }
    double read_times[MOST_ROUNDS], crc_times[MOST_ROUNDS];
    uint64_t total = 0;
    uint32_t crc = 0, all = 0;
    for (int i = -1; i < rounds; ++i) { /* the first one warms up */
        const double start = seconds();
        total += sum(data, bytes / sizeof total);
        const double between = seconds();
        crc = msa_crc32c(0, data, bytes);
        const double end = seconds();
        all += crc; /* used, so computed */
        if (i >= 0) {
            read_times[i] = between - start;
            crc_times[i] = end - between;
        }
    }
    qsort(read_times, (size_t)rounds, sizeof *read_times, ascending);
    qsort(crc_times, (size_t)rounds, sizeof *crc_times, ascending);
    printf("bytes %zu\nread_gbs %.2f\ncrc_gbs %.2f\nresult %016llx %08lx %08lx\n", bytes,
        (double)bytes / read_times[rounds / 2] / 1e9,
           (double)bytes / crc_times[rounds / 2] / 1e9, (unsigned long long)total, (unsigned long)crc,
               (unsigned long)all);
    return 0;
}
