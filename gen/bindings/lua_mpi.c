/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.mpi: short messages between the ranks of `mpirun msagen`. Nothing here waits for a rank, since it may be dead:
 * Open MPI delivers what is this short without its receiver's help. */
#include "host.h"

#ifdef MSAGEN_WITH_MPI

#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { TAG = 1, MESSAGE_MOST = 256, PAUSE_NS = 2000000, FINISH_S = 10 };

/* start() -> this process's rank, from 0, and how many there are */
static int mpi_start(lua_State *L)
{
    int started, got, rank, size;
    MPI_Initialized(&started);
    if (!started && MPI_Init_thread(NULL, NULL, MPI_THREAD_SINGLE, &got) != MPI_SUCCESS)
        return msagen_fail(L, "MPI: expected to start, found that it cannot");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    lua_pushinteger(L, rank);
    lua_pushinteger(L, size);
    return 2;
}

/* send(rank, text): of at most MESSAGE_MOST bytes */
static int mpi_send(lua_State *L)
{
    size_t bytes;
    const int to = (int)luaL_checkinteger(L, 1);
    const char *text = luaL_checklstring(L, 2, &bytes);
    luaL_argcheck(L, bytes <= MESSAGE_MOST, 2, "too long for a message");
    MPI_Send(text, (int)bytes, MPI_CHAR, to, TAG, MPI_COMM_WORLD);
    return 0;
}

/* receive(ms) -> rank and text of the next message, or nil where none comes in that time */
static int mpi_receive(lua_State *L)
{
    const lua_Integer pauses = luaL_checkinteger(L, 1) * 1000000 / PAUSE_NS;
    for (lua_Integer i = 0;; ++i) {
        int there = 0;
        MPI_Status status;
        if (MPI_Iprobe(MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &there, &status) == MPI_SUCCESS && there) {
            char text[MESSAGE_MOST];
            int bytes = 0;
            if (MPI_Recv(text, sizeof text, MPI_CHAR, status.MPI_SOURCE, TAG, MPI_COMM_WORLD, &status) == MPI_SUCCESS
                && MPI_Get_count(&status, MPI_CHAR, &bytes) == MPI_SUCCESS) {
                lua_pushinteger(L, status.MPI_SOURCE);
                lua_pushlstring(L, text, (size_t)bytes);
                return 2;
            }
        }
        if (i >= pauses)
            return 0;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
}

static volatile sig_atomic_t status_at_end;

static void end_waiting(int signal)
{
    (void)signal;
    _exit(status_at_end);
}

/* finish(status): every rank does so at the end and waits for the others; where one dies in that moment, this process
 * ends with the status. */
static int mpi_finish(lua_State *L)
{
    status_at_end = (sig_atomic_t)luaL_checkinteger(L, 1);
    signal(SIGALRM, end_waiting);
    alarm(FINISH_S);
    MPI_Finalize();
    alarm(0);
    return 0;
}

/* leave(status): end this process, where a rank is dead and finish() would wait for it. */
static int mpi_leave(lua_State *L)
{
    const int status = (int)luaL_checkinteger(L, 1);
    fflush(NULL);
    msagen_cleanup_now();
    _exit(status);
}

int luaopen_msagen_mpi(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"start", mpi_start}, {"send", mpi_send}, {"receive", mpi_receive}, {"finish", mpi_finish},
        {"leave", mpi_leave}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}

#else

/* Without MPI the module is empty. */
int luaopen_msagen_mpi(lua_State *L)
{
    lua_newtable(L);
    return 1;
}

#endif
