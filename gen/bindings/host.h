/* SPDX-License-Identifier: Apache-2.0 */
/* What the C side of the host program shares: the Lua modules, how they report errors, and how files left behind are
 * removed. */
#ifndef MSAGEN_HOST_H
#define MSAGEN_HOST_H

#include <lauxlib.h>
#include <lua.h>

#if defined __GNUC__
#define MSAGEN_PRINTF(at, first) __attribute__((format(printf, at, first)))
#else
#define MSAGEN_PRINTF(at, first)
#endif

/* Modules, preloaded as "msagen.NAME". */
int luaopen_msagen_augment(lua_State *L);
int luaopen_msagen_blob(lua_State *L);
int luaopen_msagen_checkpoint(lua_State *L);
int luaopen_msagen_clicks(lua_State *L);
int luaopen_msagen_contour(lua_State *L);
int luaopen_msagen_display(lua_State *L);
int luaopen_msagen_enlarge(lua_State *L);
int luaopen_msagen_gzip(lua_State *L);
int luaopen_msagen_image(lua_State *L);
int luaopen_msagen_intensity(lua_State *L);
int luaopen_msagen_json(lua_State *L);
int luaopen_msagen_libraries(lua_State *L);
int luaopen_msagen_loss(lua_State *L);
int luaopen_msagen_pretrain(lua_State *L);
int luaopen_msagen_mpi(lua_State *L);
int luaopen_msagen_nifti(lua_State *L);
int luaopen_msagen_metrics(lua_State *L);
int luaopen_msagen_npy(lua_State *L);
int luaopen_msagen_optimiser(lua_State *L);
int luaopen_msagen_process(lua_State *L);
int luaopen_msagen_random(lua_State *L);
int luaopen_msagen_reference(lua_State *L);
int luaopen_msagen_resize(lua_State *L);
int luaopen_msagen_safetensors(lua_State *L);
int luaopen_msagen_overlay(lua_State *L);
int luaopen_msagen_sandbox(lua_State *L);
int luaopen_msagen_sha256(lua_State *L);
int luaopen_msagen_synth(lua_State *L);
int luaopen_msagen_speed(lua_State *L);
int luaopen_msagen_sys(lua_State *L);
int luaopen_msagen_tensor(lua_State *L);
int luaopen_msagen_tiff(lua_State *L);
int luaopen_msagen_unicode(lua_State *L);

/* Raise { msagen = TEXT }: an error in what the user gave, shown as "msagen: TEXT". The text follows printf, any
 * length, and names file, thing, expected, found. Never returns; the int lets callers write
 * `return msagen_fail(...)`. */
int msagen_fail(lua_State *L, const char *format, ...) MSAGEN_PRINTF(2, 3);

/* Open a Lua state with the standard library, the modules above and the global `msagen` {datadir, version};
 * package.path is this installation's lua/ and the system's Lua modules, never the current folder. NULL: out of
 * memory. */
lua_State *msagen_host_open(void);

/* Run `script`, NULL for msagen's own command line, with the strings argv[0..argc-1] as its arguments. Returns the exit
 * status: the integer that the script returns, 0 if it returns nothing, 1 after an error, which is printed as one line.
 * It begins as the global `msagen`'s error_begins says, or with "msagen:". */
int msagen_host_run(lua_State *L, const char *script, int argc, char **argv);

/* Files and trees to remove when the program ends early. */
int msagen_cleanup(const char *path);  /* register; 0, or -1: out of memory, or 64 are registered already */
int msagen_cleanup_if_empty(const char *path); /* the same for a folder that is removed only if it is empty by then */
int msagen_temporary_folder(char *path); /* mkdtemp, lock and register, no signal between; 0, or -1 with errno */
/* remove the temporary folders in it that killed processes of this user left; once a process */
void msagen_sweep(const char *folder);
void msagen_keep(const char *path);    /* forget; the path as registered */
void msagen_cleanup_now(void);         /* remove and forget all */
void msagen_cleanup_in_handler(void);  /* remove all, from within a signal's handler: the program must end then */
void msagen_cleanup_on_signals(void);  /* remove all on SIGINT, SIGTERM, SIGHUP and SIGPIPE; survive SIGXFSZ */
void msagen_cleanup_child(long pid);   /* pass such a signal on to this process first; 0: none */

/* Remove a file or a whole tree, following no link. Returns 0, also if there was nothing; else -1 with errno. */
int msagen_remove_tree(const char *path);

#endif
