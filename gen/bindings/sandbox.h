/* SPDX-License-Identifier: Apache-2.0 */
/* Lua text of the user's, or of a stranger's, in a process and a Lua state of its own: plain data in, plain data out.
 * The process has no open file but the pipe that its result goes through, an allocator with a limit, and an end on time
 * that the kernel sets: so no function of a library, whatever it does, exceeds them. */
#ifndef MSAGEN_SANDBOX_H
#define MSAGEN_SANDBOX_H

#include "plain.h"

#include <stddef.h>

struct msagen_sandbox {
    /* a Lua program of ours: has Lua's base, string, table, math and utf8 libraries, gets the argument, */
    const char *driver;
    size_t driver_bytes; /* and returns the result; runs the text as it sees fit */
    const unsigned char *argument; /* encoded */
    size_t argument_bytes;
    unsigned milliseconds; /* of processor time */
    size_t bytes;     /* that Lua may have */
    size_t result_bytes;
};

enum msagen_sandbox_end {
    MSAGEN_SANDBOX_RETURNED,
    MSAGEN_SANDBOX_REFUSED, /* an error of the driver, or a result that is no plain data: the error's text says what */
    MSAGEN_SANDBOX_TIME,
    MSAGEN_SANDBOX_MEMORY,
    MSAGEN_SANDBOX_FAILED /* there was no process to be had, or it died: the error's text says how */
};

/* What chunks of the text are called: their names are "=" or "@", and this. */
#define MSAGEN_SANDBOX_CHUNK "\2"

/* *line: the last line of the text that was begun, or 0. */
enum msagen_sandbox_end msagen_sandbox_run(const struct msagen_sandbox *sandbox, struct msagen_plain *result, int *line,
    char *error,
                                           size_t error_bytes);

#endif
