/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are read: what is none is neither waited for nor read without an end; what changes under a map is noticed.
 * */
#define _GNU_SOURCE
#include "infile.h"

#include "scratch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGES = 8, PAGE = 4096 };

static char error[4096];

static void write_pages(void)
{
    static unsigned char bytes[PAGES * PAGE];
    for (size_t i = 0; i < sizeof bytes; ++i)
        bytes[i] = (unsigned char)(i * 7 >> 3);
    scratch_write("pages", bytes, sizeof bytes);
}

Test(infile, only_regular_files_are_opened, .init = scratch_open, .fini = scratch_close, .timeout = 20)
{
    struct stat st;
    cr_assert_eq(mkfifo(scratch_path("pipe"), 0600), 0);
    cr_assert_eq(symlink("loop", scratch_path("loop")), 0);
    const struct {
        const char *path, *says;
    } cases[] = {{"/dev/zero", "expected a file, found a device"}, {"/dev/null", "expected a file, found a device"},
        {"/", "expected a file, found a folder"},
                 {"/nowhere/at/all", "cannot be read: No such file or directory"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        cr_assert_lt(msagen_infile_open(cases[i].path, &st, error, sizeof error), 0);
        cr_assert(strncmp(error, cases[i].path, strlen(cases[i].path)) == 0 && strstr(error, cases[i].says), "%s",
            error);
        cr_assert_null(msagen_buffer_map(cases[i].path, error, sizeof error));
        cr_assert_null(msagen_infile_load(cases[i].path, error, sizeof error));
        cr_assert_null(msagen_infile_read(cases[i].path, PAGE, true, error, sizeof error));
    }
    cr_assert_lt(msagen_infile_open(scratch_path("pipe"), &st, error, sizeof error), 0);
    cr_assert(strstr(error, "expected a file, found a pipe"), "%s", error);
    cr_assert_null(msagen_infile_read(scratch_path("pipe"), PAGE, true, error, sizeof error));
    cr_assert(strstr(error, "found a pipe that nobody writes to"), "%s", error);
    cr_assert_lt(msagen_infile_open(scratch_path("loop"), &st, error, sizeof error), 0);
}

Test(infile, a_file_is_read_up_to_a_bound, .init = scratch_open, .fini = scratch_close)
{
    write_pages();
    struct msagen_buffer *b = msagen_infile_read(scratch_path("pages"), PAGES * PAGE, false, error, sizeof error);
    cr_assert_not_null(b, "%s", error);
    cr_assert_eq(b->bytes, PAGES * PAGE);
    cr_assert_eq(b->data[PAGE], (unsigned char)(PAGE * 7 >> 3));
    msagen_buffer_unref(b);
    cr_assert_null(msagen_infile_read(scratch_path("pages"), PAGES * PAGE - 1, false, error, sizeof error));
    cr_assert(strstr(error, "expected at most"), "%s", error);
}

Test(infile, a_pipe_is_read_to_its_end_and_to_its_bound, .timeout = 20)
{
    for (int most = 0; most < 2; ++most) {
        int ends[2];
        char path[64];
        cr_assert_eq(pipe(ends), 0);
        snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
        fflush(NULL);
        const pid_t writer = fork();
        if (writer == 0) {
            for (int i = 0; i < 3; ++i) {
                usleep(20000);
                if (write(ends[1], "abcd", 4) != 4)
                    _exit(1);
            }
            _exit(0);
        }
        close(ends[1]);
        struct msagen_buffer *b = msagen_infile_read(path, most ? 8 : 12, true, error, sizeof error);
        if (most)
            cr_assert_null(b);
        else
            cr_assert(b && b->bytes == 12 && memcmp(b->data, "abcdabcdabcd", 12) == 0, "%s", error);
        msagen_buffer_unref(b);
        close(ends[0]);
        cr_assert_eq(waitpid(writer, NULL, 0), writer);
    }
}

Test(infile, a_change_under_a_map_is_noticed, .init = scratch_open, .fini = scratch_close)
{
    write_pages();
    struct msagen_buffer *map = msagen_buffer_map(scratch_path("pages"), error, sizeof error),
        *view = msagen_buffer_view(map, PAGE, PAGE);
    cr_assert_not(msagen_buffer_changed(map));
    cr_assert_eq(chmod(scratch_path("pages"), 0400), 0);
    char from[sizeof scratch_file];
    snprintf(from, sizeof from, "%s", scratch_path("pages"));
    cr_assert_eq(rename(from, scratch_path("elsewhere")), 0);
    cr_assert_not(msagen_buffer_changed(view), "the bytes are the same");
    const int fd = open(scratch_path("elsewhere"), O_WRONLY | O_CLOEXEC);
    if (fd >= 0) { /* root may */
        cr_assert_eq(pwrite(fd, "x", 1, 5), 1);
        close(fd);
        cr_assert(msagen_buffer_changed(map) && msagen_buffer_changed(view));
    }
    msagen_buffer_unref(view);
    msagen_buffer_unref(map);
}

/* Reads the last page of a map whose file has become shorter. Returns the program's exit status, and what it said. */
static int read_behind_the_end(char *said, size_t bytes)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        struct msagen_buffer *map = msagen_buffer_map(scratch_path("pages"), error, sizeof error);
        if (!map || truncate(scratch_path("pages"), PAGE) != 0)
            _exit(77);
        const volatile unsigned char *last = map->data + (PAGES - 1) * PAGE;
        _exit(*last == 0 ? 78 : 79);
    }
    close(ends[1]);
    const ssize_t n = read(ends[0], said, bytes - 1);
    said[n > 0 ? n : 0] = '\0';
    for (char more[256]; n > 0;) {
        const ssize_t m = read(ends[0], more, sizeof more);
        if (m <= 0)
            break;
        strncat(said, more, (size_t)m < bytes - strlen(said) - 1 ? (size_t)m : bytes - strlen(said) - 1);
    }
    close(ends[0]);
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Test(infile, a_map_cut_short_ends_with_a_line_that_names_the_file, .init = scratch_open, .fini = scratch_close)
{
    char said[8192], expected[8192];
    write_pages();
    cr_assert_eq(read_behind_the_end(said, sizeof said), EXIT_FAILURE, "%s", said);
    snprintf(expected, sizeof expected,
        "msagen: %s: expected a file that stays as it is, found it cut short while it was read\n",
        scratch_path("pages"));
    cr_assert_str_eq(said, expected);
}
