/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.mpi: short messages between the ranks of `mpirun msagen`, and tensors. Nothing here waits for a rank, since it
 * may be dead: Open MPI delivers what is this short without its receiver's help, and of a tensor the caller asks again
 * and again whether it is through. */
#include "host.h"
#include "tensor.h"

#ifdef MSAGEN_WITH_MPI

#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TRANSFER "msagen.mpi.transfer"

enum { TAG = 1, TENSOR_TAG = 2, MESSAGE_MOST = 256, PAUSE_NS = 2000000, FINISH_S = 10, PIECE = 1 << 24 };

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

/* A tensor on its way, in pieces of PIECE floats. Its memory is never given back before all of them are through. */
struct transfer {
    struct msagen_tensor *tensor;
    int through;
    size_t count;
    MPI_Request requests[];
};

/* Starts to send or to receive a tensor of f32 that lies without gaps; it belongs to the transfer on the stack then. */
static int start_transfer(lua_State *L, int rank, struct msagen_tensor *t, int sends)
{
    const size_t n = (size_t)msagen_tensor_numel(t), pieces = (n + PIECE - 1) / PIECE;
    float *const values = (float *)(uintptr_t)t->storage->data + t->offset;
    struct transfer *made = lua_newuserdatauv(L, sizeof *made + pieces * sizeof *made->requests, 0);
    *made = (struct transfer){.tensor = t, .count = pieces};
    for (size_t i = 0; i < pieces; ++i) {
        const size_t left = n - i * PIECE;
        const int length = (int)(left < PIECE ? left : PIECE);
        if (sends)
            MPI_Isend(values + i * PIECE, length, MPI_FLOAT, rank, TENSOR_TAG, MPI_COMM_WORLD, &made->requests[i]);
        else
            MPI_Irecv(values + i * PIECE, length, MPI_FLOAT, rank, TENSOR_TAG, MPI_COMM_WORLD, &made->requests[i]);
    }
    luaL_setmetatable(L, TRANSFER);
    return 1;
}

/* post(rank, f32 tensor) -> a transfer that sends it */
static int mpi_post(lua_State *L)
{
    const int rank = (int)luaL_checkinteger(L, 1);
    const struct msagen_tensor *t = msagen_tensor_check(L, 2);
    luaL_argcheck(L, t->dtype == MSAGEN_F32 && msagen_tensor_contiguous(t), 2, "f32 without gaps expected");
    struct msagen_tensor *same = msagen_tensor_new(t->name, t->dtype, t->dims, t->shape, t->stride, t->offset,
                                                   t->storage);
    return same ? start_transfer(L, rank, same, 1) : msagen_fail(L, "MPI: out of memory");
}

/* expect(rank, n) -> a transfer that receives the next tensor of that rank, of n floats */
static int mpi_expect(lua_State *L)
{
    const int rank = (int)luaL_checkinteger(L, 1);
    const int64_t n = luaL_checkinteger(L, 2);
    luaL_argcheck(L, n >= 0, 2, "a number of floats expected");
    struct msagen_tensor *t = msagen_tensor_zeros("", MSAGEN_F32, 1, &n);
    return t ? start_transfer(L, rank, t, 0) : msagen_fail(L, "MPI: out of memory");
}

/* transfer:done(ms) -> the tensor, once it is through; nil where that takes longer */
static int transfer_done(lua_State *L)
{
    struct transfer *made = luaL_checkudata(L, 1, TRANSFER);
    const lua_Integer pauses = luaL_checkinteger(L, 2) * 1000000 / PAUSE_NS;
    luaL_argcheck(L, made->tensor, 1, "a transfer whose tensor was not taken expected");
    for (lua_Integer i = 0; !made->through; ++i) {
        if (MPI_Testall((int)made->count, made->requests, &made->through, MPI_STATUSES_IGNORE) != MPI_SUCCESS)
            return msagen_fail(L, "MPI: expected a tensor to pass, found that it cannot");
        if (made->through)
            break;
        if (i >= pauses)
            return 0;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    msagen_tensor_push(L, made->tensor);
    made->tensor = NULL;
    return 1;
}

static int transfer_gc(lua_State *L)
{
    struct transfer *made = luaL_checkudata(L, 1, TRANSFER);
    if (made->tensor && made->through)
        msagen_tensor_free(made->tensor);
    made->tensor = NULL;
    return 0;
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
        {"leave", mpi_leave}, {"post", mpi_post},  {"expect", mpi_expect},   {NULL, NULL},
    };
    if (luaL_newmetatable(L, TRANSFER)) {
        lua_pushcfunction(L, transfer_done);
        lua_setfield(L, -2, "done");
        lua_pushvalue(L, -1);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, transfer_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
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
