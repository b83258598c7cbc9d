/* SPDX-License-Identifier: Apache-2.0 */
/* Starting another program. posix_spawn cannot tie its life to ours, so that a runner went on for hours behind a killed
 * msagen. */
#define _GNU_SOURCE
#include "process.h"

#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* The stream's descriptor in its place; -1 with errno. */
static int redirect(const struct msagen_process *p, int stream)
{
    const char *path = p->paths[stream];
    int fd = p->ends[stream];
    if (!path && fd < 0)
        return 0;
    if (path && stream == 2 && p->paths[1] && strcmp(p->paths[1], path) == 0)
        fd = 1;
    else if (path)
        fd = open(path, stream ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY, 0666);
    if (fd < 0)
        return -1;
    if (fd == stream)
        return 0;
    const int status = dup2(fd, stream);
    if (path && fd > 2)
        close(fd);
    return status < 0 ? -1 : 0;
}

/* `extra`: how much later than the soft limit the hard one ends it. What is lower already stays. */
static void lower(struct rlimit *r, unsigned long long most, unsigned long long extra)
{
    if (r->rlim_max == RLIM_INFINITY || r->rlim_max > most + extra)
        r->rlim_max = (rlim_t)(most + extra);
    if (r->rlim_cur == RLIM_INFINITY || r->rlim_cur > most)
        r->rlim_cur = (rlim_t)most;
}

/* 0, or -1 with errno. The alarm's clock goes on through exec. */
static int apply(const struct msagen_limits *limits)
{
    struct rlimit r;
    if (!limits->wall_s && !limits->processor_s && !limits->memory_bytes && !limits->file_bytes)
        return 0;
/* A function would need the type of RLIMIT_..., which is the C library's own. */
#define LIMITED(what, most, extra) \
    (getrlimit(what, &r) == 0 && (lower(&r, most, extra), setrlimit(what, &r)) == 0)
    if (!LIMITED(RLIMIT_CORE, 0, 0)
        || (limits->processor_s && !LIMITED(RLIMIT_CPU, limits->processor_s, 1))
        || (limits->memory_bytes && !LIMITED(RLIMIT_AS, limits->memory_bytes, 0))
        || (limits->file_bytes && !LIMITED(RLIMIT_FSIZE, limits->file_bytes, 0)))
        return -1;
#undef LIMITED
    signal(SIGALRM, SIG_DFL);
    alarm(limits->wall_s);
    return 0;
}

/* In the child: returns only where the program cannot be started, with errno. */
static void become(const struct msagen_process *p, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (p->apart && setpgid(0, 0) != 0)
        return;
    if (getppid() != parent)
        _exit(EXIT_FAILURE);
    for (int stream = 0; stream < 3; ++stream)
        if (redirect(p, stream) != 0)
            return;
    if (p->cwd && chdir(p->cwd) != 0)
        return;
    /* exec resets handlers; the one signal that we ignore stays ignored. */
    signal(SIGXFSZ, SIG_DFL);
    if (apply(&p->limits) != 0)
        return;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* execvpe gives what is no program to a shell: a runner of another processor, too. */
    if (strchr(p->argv[0], '/'))
        execve(p->argv[0], p->argv, p->env);
    else
        execvpe(p->argv[0], p->argv, p->env);
}

/* Waits for exec to close the other end, or for the errno that it ended with. */
static int told_why(int fd)
{
    int why = 0;
    ssize_t n;
    while ((n = read(fd, &why, sizeof why)) < 0 && errno == EINTR)
        continue;
    return n == (ssize_t)sizeof why ? why : 0;
}

pid_t msagen_process_start(const struct msagen_process *process)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0)
        return -1;
    /* No handler of ours may run in the child, and no signal may come before the child is registered. */
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    const pid_t parent = getpid(), pid = fork();
    int why = pid < 0 ? errno : 0;
    if (pid == 0) {
        become(process, parent);
        why = errno;
        const ssize_t written = write(report[1], &why, sizeof why);
        _exit(written == (ssize_t)sizeof why ? 127 : 126);
    }
    if (pid > 0)
        msagen_cleanup_child(pid);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (pid > 0 && (why = told_why(report[0])) != 0) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        msagen_cleanup_child(0);
    }
    close(report[0]);
    errno = why;
    return why ? -1 : pid;
}
