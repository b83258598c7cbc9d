/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.h - the named tensors of a checkpoint file, .pth or .safetensors. */
#ifndef MSAGEN_CHECKPOINT_H
#define MSAGEN_CHECKPOINT_H

#include "tensor.h"

#include <stdbool.h>
#include <stddef.h>

struct msagen_checkpoint;

/* Open a file; its content, not its name, tells the format. It is mapped, not read. What is checked here: everything
 * but the data, that is directory, pickle or header, and that each tensor lies inside its storage. NULL and a text in
 * error, one line that starts with the path, for whatever is no checkpoint or not a sound one. */
struct msagen_checkpoint *msagen_checkpoint_open(const char *path, char *error, size_t error_size);

/* The same of a training file that may hold several sets of weights (live, averaged, teacher): `set` is the one that is
 * meant, by its keys, "model_ema" or "ema.module"; "." is what lies beside the others. NULL: refused where there are
 * several. A file with one set has that. */
struct msagen_checkpoint *msagen_checkpoint_open_set(const char *path, const char *set, char *error, size_t error_size);

/* The same, and of a TorchScript program (torch.jit.save) as well: its tensors are named by the modules that hold them,
 * and its metadata is the class of each module. Nothing of it is run. */
struct msagen_checkpoint *msagen_checkpoint_open_program(const char *path, const char *set, char *error,
    size_t error_size);

/* The same from memory of the caller's, which must outlive checkpoint and tensors; `name` stands for the path. */
struct msagen_checkpoint *msagen_checkpoint_open_memory(const void *data, size_t bytes, const char *name, char *error,
                                                        size_t error_size);
struct msagen_checkpoint *msagen_checkpoint_open_program_memory(const void *data, size_t bytes, const char *name,
    char *error, size_t error_size);

/* Tensors taken from it stay valid. */
void msagen_checkpoint_close(struct msagen_checkpoint *checkpoint);

const char *msagen_checkpoint_path(const struct msagen_checkpoint *checkpoint);
const char *msagen_checkpoint_format(const struct msagen_checkpoint *checkpoint);       /* "pth", "safetensors" */
/* "training file: epoch, state_dict" */
const char *msagen_checkpoint_container(const struct msagen_checkpoint *checkpoint);

/* The keys under which the weights lie, as of msagen_checkpoint_open_set; "." for a bare state dict. */
const char *msagen_checkpoint_set(const struct msagen_checkpoint *checkpoint);

/* Tensors of the state dict in the file's order; names are unique, one line of UTF-8, prefixes kept. */
size_t msagen_checkpoint_count(const struct msagen_checkpoint *checkpoint);
const char *msagen_checkpoint_name(const struct msagen_checkpoint *checkpoint, size_t index);
bool msagen_checkpoint_find(const struct msagen_checkpoint *checkpoint, const char *name, size_t *index);

/* Pair `index` of a safetensors' __metadata__, or of a program's modules and their classes; false beyond the last. */
bool msagen_checkpoint_metadata(const struct msagen_checkpoint *checkpoint, size_t index, const char **key,
    const char **value);

/* A view of the mapped file, to be freed by the caller. A .pth's storage is checked against its CRC-32 at its first
 * use: NULL and a text in error when it is damaged. */
struct msagen_tensor *msagen_checkpoint_tensor(struct msagen_checkpoint *checkpoint, size_t index, char *error,
                                               size_t error_size);

/* Check the CRC-32 of everything in a .pth that was not checked yet, optimizer state included; a safetensors has none.
 * */
bool msagen_checkpoint_verify(struct msagen_checkpoint *checkpoint, char *error, size_t error_size);

/* Whether the file's size or time of change is another than when it was opened. */
bool msagen_checkpoint_changed(const struct msagen_checkpoint *checkpoint);

/* The whole file, for a digest; valid while the checkpoint is open. msagen_checkpoint_release() gives pages back. */
const unsigned char *msagen_checkpoint_bytes(const struct msagen_checkpoint *checkpoint, size_t *bytes);
void msagen_checkpoint_release(const struct msagen_checkpoint *checkpoint, const unsigned char *data, size_t bytes);

#endif
