/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that are started: what they are given, why they cannot be started, and that they end with the one that
 * started them. */
#define _GNU_SOURCE
#include "../../gen/system/process.h"
#include "scratch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct msagen_process shell(const char *text)
{
    static char *argv[] = {"sh", "-c", NULL, NULL};
    argv[2] = (char *)(size_t)text;
    return (struct msagen_process){.argv = argv, .env = environ, .ends = {-1, -1, -1}};
}

static int status_of(pid_t pid)
{
    int status = -1;
    cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status;
}

Test(process, has_streams_folder_and_environment)
{
    int ends[2];
    cr_assert(pipe(ends) == 0);
    struct msagen_process p = shell("cat; pwd; echo $ONE $TWO; echo wrong >&2");
    p.cwd = "/";
    p.env = (char *[]){"ONE=1", "PATH=/usr/bin:/bin", NULL};
    p.paths[0] = "/dev/null";
    p.ends[1] = p.ends[2] = ends[1];
    cr_assert(WEXITSTATUS(status_of(msagen_process_start(&p))) == 0);
    close(ends[1]);
    char text[64] = "";
    cr_assert(read(ends[0], text, sizeof text - 1) > 0);
    cr_assert_str_eq(text, "/\n1\nwrong\n");
}

Test(process, says_why_it_cannot_be_started)
{
    struct msagen_process p = shell("");
    p.argv = (char *[]){"no-such-program-anywhere", NULL};
    cr_assert(msagen_process_start(&p) == -1 && errno == ENOENT);
    char path[32];
    const int fd = memfd_create("of another processor", 0);
    cr_assert(fd >= 0 && write(fd, "\177ELF of another processor\n", 26) == 26 && fchmod(fd, 0700) == 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    p.argv = (char *[]){path, NULL};
    cr_assert(msagen_process_start(&p) == -1 && (errno == ENOEXEC || errno == ETXTBSY), "%s", strerror(errno));
    p = shell("");
    p.paths[0] = "/no/such/file";
    cr_assert(msagen_process_start(&p) == -1 && errno == ENOENT);
    p = shell("");
    p.cwd = "/dev/null";
    cr_assert(msagen_process_start(&p) == -1 && errno == ENOTDIR);
    cr_assert(waitpid(-1, NULL, 0) == -1 && errno == ECHILD, "a child is left");
}

Test(process, has_no_signal_blocked_or_ignored)
{
    signal(SIGXFSZ, SIG_IGN);
    struct msagen_process p = shell("kill -XFSZ $$; exit 0");
    const int status = status_of(msagen_process_start(&p));
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
}

/* The signal that ends a shell with this text under limits, or 0. */
static int ended_by(const char *text, struct msagen_limits limits)
{
    struct msagen_process p = shell(text);
    p.limits = limits;
    const int status = status_of(msagen_process_start(&p));
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

Test(process, ends_at_its_limits, .timeout = 30)
{
    signal(SIGALRM, SIG_IGN);
    cr_assert(ended_by("exec sleep 1000", (struct msagen_limits){.wall_s = 1}) == SIGALRM);
    cr_assert(ended_by("while :; do :; done", (struct msagen_limits){.processor_s = 1}) == SIGXCPU);
    scratch_open();
    struct msagen_process p = shell("while :; do echo a line of text; done");
    p.paths[1] = scratch_path("lines");
    p.limits.file_bytes = 4096;
    cr_assert(WTERMSIG(status_of(msagen_process_start(&p))) == SIGXFSZ);
    scratch_close();
    cr_assert(ended_by("exit 0", (struct msagen_limits){.wall_s = 20, .memory_bytes = 1u << 30}) == 0);
}

Test(process, has_no_more_memory_than_its_limit_and_leaves_no_core)
{
    int ends[2];
    cr_assert(pipe(ends) == 0);
    struct msagen_process p = shell("ulimit -v; ulimit -c; ulimit -H -c");
    p.limits.memory_bytes = 1u << 30;
    p.ends[1] = ends[1];
    cr_assert(WEXITSTATUS(status_of(msagen_process_start(&p))) == 0);
    close(ends[1]);
    char text[64] = "";
    cr_assert(read(ends[0], text, sizeof text - 1) > 0);
    cr_assert_str_eq(text, "1048576\n0\n0\n");
}

/* Orphans come to this process: prctl makes it their parent. */
Test(process, ends_with_a_parent_that_is_killed, .timeout = 30)
{
    cr_assert(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    volatile pid_t *grandchild = mmap(NULL, sizeof *grandchild, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
        0);
    cr_assert(grandchild != MAP_FAILED);
    const pid_t child = fork();
    if (child == 0) {
        struct msagen_process p = shell("exec sleep 1000");
        *grandchild = msagen_process_start(&p);
        for (;;)
            pause();
    }
    while (*grandchild == 0)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    cr_assert(*grandchild > 0);
    kill(child, SIGKILL);
    cr_assert(WTERMSIG(status_of(child)) == SIGKILL);
    const int status = status_of(*grandchild);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}
