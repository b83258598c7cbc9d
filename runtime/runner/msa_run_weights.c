/* SPDX-License-Identifier: 0BSD */
/* msa_run_weights.c - the weights of a run: the file, mapped or streamed, or what is linked; whether it is whole, and
 * whether it stays so. */
#include "msa_run.h"

#include <string.h>

static const char *name; /* without its folder */
static uint64_t size;

/* What a failure is to be called, whatever the file's path. */
static void called(const char *path)
{
    const char *const slash = strrchr(path, '/');
    name = slash != NULL ? slash + 1 : path;
}

#if ON_POSIX && !BARE

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static int file = -1;
static struct stat opened;

int msa_run_weights_file(void)
{
    return file;
}

/* Of a file that is mapped: another process cut it short. Nothing but writing and ending is allowed here. */
static void cut_short(int number)
{
    static const char text[] = "\nerror a file was cut short while it was in use\n";
    (void)number;
    if (write(fileno(msa_run.response), text, sizeof text - 1) < 0) {
        _exit(2);
    }
    _exit(1);
}

static int open_file(const char *path)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = cut_short;
    (void)sigaction(SIGBUS, &action, NULL);
    file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &opened) != 0) {
        return msa_run_fail("%s: cannot be read: %s", name, strerror(errno));
    }
    size = (uint64_t)opened.st_size;
    return 0;
}

/* What was checked at the start is what was used: nobody has written to the file since. */
int msa_run_weights_stay(void)
{
    struct stat now;
    if (fstat(file, &now) != 0 || now.st_size != opened.st_size || now.st_mtim.tv_sec != opened.st_mtim.tv_sec
        || now.st_mtim.tv_nsec != opened.st_mtim.tv_nsec) {
        return msa_run_fail("%s: expected weights that stay as they are during a run, found them changed", name);
    }
    return 0;
}

#else

static int open_file(const char *path)
{
    (void)path;
    return 0;
}

int msa_run_weights_stay(void)
{
    return 0;
}

#endif

int msa_run_open_weights(const char *path, const unsigned char **weights, size_t *bytes)
{
    called(path);
    if (open_file(path) != 0 || msa_run_weights_at(path, name, weights, &size) != 0) {
        return -1;
    }
    *bytes = (size_t)size; /* of streamed weights that a size_t does not count, the low bits */
    return 0;
}

int msa_run_refuse_weights(msa_status status)
{
    static const char again[] = "the weights are damaged or another build's; build the folder again";
    switch (status) {
    case MSA_E_SIZE:
        if (size == msa_run_model.weights_bytes) {
            return msa_run_fail("%s: header: expected %llu bytes, found another number: %s", name,
                (unsigned long long)size, again);
        }
        return msa_run_fail("%s: expected %llu bytes, found %llu: %s", name,
            (unsigned long long)msa_run_model.weights_bytes, (unsigned long long)size, again);
    case MSA_E_FORMAT: return msa_run_fail("%s: header: expected a blob of this version, found something else: %s",
        name, again);
    case MSA_E_ARITHMETIC:
        return msa_run_fail("%s: header: expected arithmetic %s, found another: %s", name, msa_run_model.arithmetic,
            again);
    case MSA_E_BUILD: return msa_run_fail("%s: header: expected this build's hash, found another: %s", name, again);
    case MSA_E_CRC: return msa_run_fail("%s: segment table: expected the CRC-32C in the header, found another: %s",
        name, again);
    default: return msa_run_fail("%s: %s", name, msa_status_text(status));
    }
}

int msa_run_check_weights(void)
{
    for (uint32_t i = 0; i < msa_run_model.segments; ++i) {
        msa_segment_sum sum;
        const msa_status status = msa_run_model.weights_check(&msa_run.session, i, &sum);
        if (status == MSA_E_CRC) {
            return msa_run_fail("%s: segment %lu: expected CRC-32C %08lx, found %08lx: the weights are damaged; build "
                                "the folder again", name, (unsigned long)i, (unsigned long)sum.expected,
                                (unsigned long)sum.found);
        }
        if (status != MSA_OK) {
            return msa_run_refuse_weights(status);
        }
    }
    return 0;
}
