/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.libraries: the libraries that this program is made with.
 *   of() -> list of {name, linked = version of the headers, running = version that answers now, or nil}
 *   compiler() -> name and version of the compiler that made this program */
#include "host.h"

#include <jansson.h>
#include <nettle/version.h>
#include <png.h>
#include <stdio.h>
#include <tiffio.h>
#include <unistr.h>
#include <unistring/version.h>
#include <zip.h>
#include <zlib.h>

#include <jpeglib.h>

#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif
#ifdef MSAGEN_WITH_MPI
#include <mpi.h>
#endif

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define VERSION_BYTES 32

/* The list at the top gets one more; running may be NULL. */
static void add(lua_State *L, const char *name, const char *linked, const char *running)
{
    lua_createtable(L, 0, 3);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, linked);
    lua_setfield(L, -2, "linked");
    if (running) {
        lua_pushstring(L, running);
        lua_setfield(L, -2, "running");
    }
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

/* The text that TIFFGetVersion() begins with: "LIBTIFF, Version 4.5.0". */
static void add_tiff(lua_State *L)
{
    char running[VERSION_BYTES] = "";
    sscanf(TIFFGetVersion(), "LIBTIFF, Version %31[0-9.]", running);
    char linked[VERSION_BYTES] = "";
#ifdef TIFFLIB_VERSION_STR
    sscanf(TIFFLIB_VERSION_STR, "LIBTIFF, Version %31[0-9.]", linked);
#endif
    add(L, "libtiff", *linked ? linked : TEXT(TIFFLIB_VERSION), running);
}

static void unistring_version(char *text, int number)
{
    snprintf(text, VERSION_BYTES, "%d.%d.%d", number >> 16, number >> 8 & 255, number & 255);
}

static void add_unistring(lua_State *L)
{
    char linked[VERSION_BYTES], running[VERSION_BYTES];
    unistring_version(linked, _LIBUNISTRING_VERSION);
    unistring_version(running, _libunistring_version);
    add(L, "libunistring", linked, running);
}

static int of(lua_State *L)
{
    char text[VERSION_BYTES], running[VERSION_BYTES];
    lua_newtable(L);
    add(L, "lua", LUA_VERSION_MAJOR "." LUA_VERSION_MINOR "." LUA_VERSION_RELEASE, NULL);
    add(L, "libzip", LIBZIP_VERSION, zip_libzip_version());
    add(L, "libpng", PNG_LIBPNG_VER_STRING, png_get_libpng_ver(NULL));
#ifdef LIBJPEG_TURBO_VERSION
    add(L, "libjpeg-turbo", TEXT(LIBJPEG_TURBO_VERSION), NULL);
#else
    add(L, "libjpeg", TEXT(JPEG_LIB_VERSION), NULL);
#endif
    add(L, "zlib", ZLIB_VERSION, zlibVersion());
    add_tiff(L);
    add(L, "libnifti2", "2", NULL); /* its headers say no more */
    add(L, "jansson", JANSSON_VERSION, jansson_version_str());
    snprintf(text, sizeof text, "%d.%d", NETTLE_VERSION_MAJOR, NETTLE_VERSION_MINOR);
    snprintf(running, sizeof running, "%d.%d", nettle_version_major(), nettle_version_minor());
    add(L, "nettle", text, running);
    add_unistring(L);
#ifdef __GLIBC__
    snprintf(text, sizeof text, "%d.%d", __GLIBC__, __GLIBC_MINOR__);
    add(L, "glibc", text, gnu_get_libc_version());
#endif
#ifdef MSAGEN_WITH_MPI
    snprintf(text, sizeof text, "%d.%d.%d", OMPI_MAJOR_VERSION, OMPI_MINOR_VERSION, OMPI_RELEASE_VERSION);
    add(L, "openmpi", text, NULL);
#endif
    return 1;
}

static int compiler(lua_State *L)
{
#ifdef __clang__
    lua_pushliteral(L, "clang");
    lua_pushstring(L, TEXT(__clang_major__) "." TEXT(__clang_minor__) "." TEXT(__clang_patchlevel__));
#else
    lua_pushliteral(L, "gcc");
    lua_pushstring(L, TEXT(__GNUC__) "." TEXT(__GNUC_MINOR__) "." TEXT(__GNUC_PATCHLEVEL__));
#endif
    return 2;
}

int luaopen_msagen_libraries(lua_State *L)
{
    static const luaL_Reg functions[] = {{"of", of}, {"compiler", compiler}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
