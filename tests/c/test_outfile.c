/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are complete or not there, and targets that are no files. */
#define _GNU_SOURCE
#include "host.h"
#include "outfile.h"

#include "scratch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char error[4096];

static struct msagen_outfile *start(const char *path)
{
    struct msagen_outfile *f = msagen_outfile_open(path, error, sizeof error);
    cr_assert_not_null(f, "%s", error);
    return f;
}

static void assert_file(const char *name, const char *expected)
{
    size_t bytes;
    unsigned char *data = scratch_read(name, &bytes);
    cr_assert(bytes == strlen(expected) && memcmp(data, expected, bytes) == 0, "%s", name);
    free(data);
}

Test(outfile, nothing_is_seen_before_the_end, .init = scratch_open, .fini = scratch_close)
{
    scratch_write("a", "old", 3);
    struct msagen_outfile *f = start(scratch_path("a"));
    msagen_outfile_write(f, "new text", 8);
    msagen_outfile_patch(f, 4, "T", 1);
    cr_assert_eq(msagen_outfile_size(f), 8);
    assert_file("a", "old");
    cr_assert_eq(scratch_entries(), 2);
    cr_assert_eq(msagen_outfile_finish(f, error, sizeof error), 0, "%s", error);
    assert_file("a", "new Text");
    cr_assert_eq(scratch_entries(), 1);

    f = start(scratch_path("a"));
    msagen_outfile_write(f, "never", 5);
    msagen_outfile_abort(f);
    assert_file("a", "new Text");
    cr_assert_eq(scratch_entries(), 1);
}

Test(outfile, more_than_the_buffer_in_order, .init = scratch_open, .fini = scratch_close)
{
    enum { WORDS = 300000 };
    static uint32_t words[WORDS];
    for (uint32_t i = 0; i < WORDS; ++i)
        words[i] = i;
    struct msagen_outfile *f = start(scratch_path("a"));
    for (size_t i = 0; i < 70000; i += 7)
        msagen_outfile_write(f, words + i, 28);
    msagen_outfile_write(f, words + 70000, (WORDS - 70000) * 4);
    cr_assert_eq(msagen_outfile_finish(f, error, sizeof error), 0, "%s", error);
    size_t bytes;
    unsigned char *data = scratch_read("a", &bytes);
    cr_assert(bytes == sizeof words && memcmp(data, words, bytes) == 0);
    free(data);
}

Test(outfile, the_umask_decides_who_may_read, .init = scratch_open, .fini = scratch_close)
{
    umask(027);
    cr_assert_eq(msagen_outfile_finish(start(scratch_path("a")), error, sizeof error), 0);
    struct stat st;
    cr_assert_eq(stat(scratch_path("a"), &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0640);
}

Test(outfile, a_link_stays_a_link, .init = scratch_open, .fini = scratch_close)
{
    scratch_write("file", "old", 3);
    cr_assert_eq(symlink("file", scratch_path("link")), 0);
    struct msagen_outfile *f = start(scratch_path("link"));
    msagen_outfile_write(f, "new", 3);
    cr_assert_eq(msagen_outfile_finish(f, error, sizeof error), 0);
    struct stat st;
    cr_assert(lstat(scratch_path("link"), &st) == 0 && S_ISLNK(st.st_mode));
    assert_file("file", "new");
}

Test(outfile, a_pipe_is_written_to, .init = scratch_open, .fini = scratch_close)
{
    cr_assert_eq(mkfifo(scratch_path("pipe"), 0600), 0);
    const int reader = open(scratch_path("pipe"), O_RDONLY | O_NONBLOCK);
    struct msagen_outfile *f = start(scratch_path("pipe"));
    msagen_outfile_write(f, "text", 4);
    cr_assert_eq(msagen_outfile_finish(f, error, sizeof error), 0, "%s", error);
    char got[5] = "";
    cr_assert_eq(read(reader, got, 4), 4);
    cr_assert_str_eq(got, "text");
    f = start(scratch_path("pipe"));
    msagen_outfile_patch(f, 0, "x", 1);
    cr_assert_eq(msagen_outfile_finish(f, error, sizeof error), -1);
    close(reader);
    struct stat st;
    cr_assert(stat(scratch_path("pipe"), &st) == 0 && S_ISFIFO(st.st_mode));
    cr_assert_eq(scratch_entries(), 1);
}

/* As a process that was killed leaves it: a folder that is marked, and that nobody holds. */
static void leave_behind(const char *name, int marked)
{
    char file[512];
    cr_assert_eq(mkdir(scratch_path(name), 0700), 0);
    snprintf(file, sizeof file, "%s/%s", name, marked ? ".msagen" : "notes");
    scratch_write(file, "", 0);
    snprintf(file, sizeof file, "%s/image.npy", name);
    scratch_write(file, "a patient's", 11);
}

Test(outfile, what_the_killed_left_goes_and_what_lives_or_is_not_ours_stays, .init = scratch_open,
    .fini = scratch_close)
{
    char live[4400];
    snprintf(live, sizeof live, "%s/msagen-run-XXXXXX", scratch_path("."));
    cr_assert_eq(msagen_temporary_folder(live), 0);
    leave_behind("msagen-run-aB3dE6", 1);
    leave_behind(".msagen-aB3dE6", 1);
    leave_behind("msagen-models", 0);
    leave_behind("fw-aB3dE6", 1);
    cr_assert_eq(symlink("fw-aB3dE6", scratch_path(".msagen-linked")), 0);
    const pid_t other = fork();
    if (other == 0) {
        char path[4400];
        snprintf(path, sizeof path, "%s/.msagen-XXXXXX", scratch_path("."));
        _exit(msagen_temporary_folder(path) != 0); /* without a word to anybody: nothing is removed */
    }
    int status;
    cr_assert(waitpid(other, &status, 0) == other && status == 0);
    cr_assert_eq(scratch_entries(), 7);
    msagen_sweep(scratch_path("."));
    struct stat st;
    cr_assert_eq(scratch_entries(), 4);
    cr_assert(stat(live, &st) == 0, "a live folder went");
    cr_assert(stat(scratch_path("msagen-models/image.npy"), &st) == 0, "a folder of the user's went");
    cr_assert(stat(scratch_path("fw-aB3dE6/image.npy"), &st) == 0, "a folder of another name went");
    cr_assert(lstat(scratch_path(".msagen-linked"), &st) == 0, "a link went");
    msagen_remove_tree(live);
    msagen_keep(live);
}

/* A device of our own making stands for /dev/full, so that a mistake here harms nobody. */
Test(outfile, a_full_device_is_reported_and_kept, .init = scratch_open, .fini = scratch_close)
{
    struct stat st;
    if (stat("/dev/full", &st) != 0 || !S_ISCHR(st.st_mode)
        || mknod(scratch_path("full"), S_IFCHR | 0600, st.st_rdev) != 0)
        cr_skip_test("needs root");
    const int fd = open(scratch_path("full"), O_WRONLY);
    if (fd < 0)
        cr_skip_test("devices do not work here");
    close(fd);
    struct msagen_outfile *f = start(scratch_path("full"));
    msagen_outfile_write(f, "text", 4);
    cr_assert_eq(msagen_outfile_finish(f, error, sizeof error), -1);
    cr_assert(strstr(error, "full: cannot be written: No space left on device"), "%s", error);
    cr_assert(stat(scratch_path("full"), &st) == 0 && S_ISCHR(st.st_mode));
    cr_assert_eq(scratch_entries(), 1);
}

Test(outfile, a_folder_is_no_target, .init = scratch_open, .fini = scratch_close)
{
    cr_assert_eq(mkdir(scratch_path("folder"), 0700), 0);
    struct msagen_outfile *f = start(scratch_path("folder"));
    cr_assert_eq(msagen_outfile_finish(f, error, sizeof error), -1);
    cr_assert(strstr(error, "folder: cannot be written: Is a directory"), "%s", error);
    cr_assert_eq(scratch_entries(), 1);
    cr_assert_null(msagen_outfile_open(scratch_path("no/file"), error, sizeof error));
    cr_assert(strstr(error, "no/file: cannot be created: No such file or directory"), "%s", error);
}
