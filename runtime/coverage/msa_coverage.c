/* SPDX-License-Identifier: 0BSD */
/* msa_coverage.c - reaches the statements, branches and conditions of a build's network, front end or training step,
 * and of the runtime: right calls, wrong ones of each kind, the edges between them, hooks that fail or misbehave,
 * weights that are not what they were. What each call must return is checked. No part of a product; made for a host.
 * Compiled once with hooks of its own, and once with those of the library (MSA_COVERAGE_OWN_HOOKS), linked with
 * --wrap=msa_crc32c.
 * usage: msa_coverage WEIGHTS [flags]   flags: a file was compiled by flags that change arithmetic, which is refused
 * Prints "N calls, M wrong", before it a line for each that is wrong; returns 0 if none is. */
#include "msa_coverage.h"

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        (void)fputs("usage: msa_coverage WEIGHTS [flags]\n", stderr);
        return 2;
    }
    cover_begin(argv[1]);
    if (argc == 3) {
        COVER(cover_open_anew(), MSA_E_FLAGS);
        return cover.wrong != 0u;
    }
    cover_statuses();
    cover_sums();
#if MSA_COVERAGE_OWN_HOOKS
    cover_library_hooks();
#else
#if COVER_TRAINING
    cover_header();
    cover_parts();
    cover_training();
#else
    cover_open();
    cover_header();
    cover_environment();
#if COVER_NETWORK
    cover_images();
    cover_prompts();
    cover_overlaps();
    cover_hooks();
#endif
    cover_slices();
#if COVER_NETWORK
    cover_answers();
    cover_results();
    cover_fetches();
    cover_team();
#endif
#ifdef MSA_FRONT_LINES
    cover_front();
    cover_front_tables();
#endif
#endif
#endif
    (void)printf("%u calls, %u wrong\n", cover.calls, cover.wrong);
    return cover.wrong != 0u || cover.calls == 0u;
}
