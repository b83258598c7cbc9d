/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: any bytes as a DICOM file, by what msagen-dicom does with one, facts and pixels, in this process. Pictures
 * of many pixels are only slow. DCMTK and OpenJPEG are not instrumented, and leak where they are left by an exception:
 * run with -detect_leaks=0. */
#define main helper_main
#include "../../gen/dicom/msagen-dicom.cc"
#undef main

#include <sys/mman.h>
#include <unistd.h>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

namespace {

const size_t MOST_CELLS = 1 << 18;

void read_one(const char *path)
{
    File file;
    open_file(file, path);
    read_facts(file);
    const std::string line = json(file.facts);
    if (line.find('\n') != std::string::npos)
        abort();
    const Facts &f = file.facts;
    if (f.cells() > MOST_CELLS || f.cells() * static_cast<size_t>(f.frames) > MOST_CELLS)
        return;
    Output out;
    out.path = "/dev/null";
    out.type = "-";
    out.frame = -1;
    out.rows = out.columns = out.frames = 0;
    write_pixels(out, file);
    out.values->finish(out.type, out.shape(out.colour));
}

} /* namespace */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        set_up();
        fd = memfd_create("x.dcm", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != static_cast<ssize_t>(size))
        abort();
    try {
        read_one(path);
    } catch (const Refusal &e) {
        if (!*e.what())
            abort();
    } catch (const std::exception &) {
    }
    return 0;
}
