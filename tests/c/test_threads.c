/* SPDX-License-Identifier: Apache-2.0 */
/* Several cores: the team of POSIX threads with its barrier, and a session that is theirs, around layers whose answers
 * are known. */
#define _POSIX_C_SOURCE 200809L
#define MSA_MODEL_CORES 3

#include "../../runtime/msa_threads.h"

#include <errno.h>
#include <fenv.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

/* Threads are counted; the create_fails-th from now on (0: none) is refused. What a team's threads do depends on the
 * session. */
static uint32_t created, joined, create_fails;
static int create_thread(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);
static int join_thread(pthread_t thread, void **result);
static void team_work(msa_session *session, uint32_t core);
#define pthread_create create_thread
#define pthread_join join_thread
#define msa_work team_work
#include "../../runtime/msa_threads.c"
#undef pthread_create
#undef pthread_join
#undef msa_work

#define msa_cores_start no_cores_start
#define msa_cores_wait no_cores_wait
int no_cores_start(void *team, msa_session *session);
void no_cores_wait(void *team, msa_session *session, uint32_t core);
#include "../../runtime/msa_cores.c"
#undef msa_cores_start
#undef msa_cores_wait

#include "fake/session.h"

#include <criterion/criterion.h>

static int create_thread(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    if (create_fails != 0 && --create_fails == 0)
        return EAGAIN;
    const int error = pthread_create(thread, attributes, start, argument);
    if (error == 0)
        __atomic_add_fetch(&created, 1u, __ATOMIC_RELAXED);
    return error;
}

static int join_thread(pthread_t thread, void **result)
{
    __atomic_add_fetch(&joined, 1u, __ATOMIC_RELAXED);
    return pthread_join(thread, result);
}

/* Now and then a core is late, each at its own times. */
static void dawdle(uint32_t core, uint32_t round)
{
    if ((round + 3u * core) % 17u == 0)
        sched_yield();
    if ((round * 7u + core * 131u) % 1999u == 0)
        nanosleep(&(struct timespec){0, 200000}, NULL);
}

/* Work without a model: in each round a core notes the round, and must then find that all have. A core that is a round
 * ahead writes to the other half; one that is two ahead is found. */
static msa_session rounds_session;
static uint32_t rounds, marks[2][MSA_MAX_CORES], wrong[MSA_MAX_CORES], times[MSA_MAX_CORES];

static void play_rounds(msa_threads *team, uint32_t core)
{
    ++times[core];
    for (uint32_t round = 1; round <= rounds; ++round) {
        dawdle(core, round);
        marks[round % 2u][core] = round;
        msa_cores_wait(team, &rounds_session, core);
        for (uint32_t other = 0; other < rounds_session.cores; ++other)
            wrong[core] += marks[round % 2u][other] != round;
    }
    msa_cores_wait(team, &rounds_session, core);
}

static void team_work(msa_session *session, uint32_t core)
{
    if (session == &rounds_session)
        play_rounds(session->team, core);
    else
        msa_work(session, core);
}

static void play(msa_threads *team, uint32_t cores, uint32_t count)
{
    rounds = count;
    rounds_session.cores = cores;
    rounds_session.leaving = 1;
    rounds_session.team = team;
    memset(marks, 0, sizeof marks);
    cr_assert_eq(msa_cores_start(team, &rounds_session), 0);
    play_rounds(team, 0);
    for (uint32_t core = 0; core < cores; ++core)
        cr_assert_eq(wrong[core], 0, "%u cores: core %u went on without the others %u times", cores, core, wrong[core]);
}

Test(threads, no_core_passes_the_barrier_before_all_have_come, .timeout = 60)
{
    for (uint32_t cores = 2; cores <= MSA_MAX_CORES; ++cores)
        for (uint32_t spins = 0; spins <= SPINS; spins += SPINS) {
            msa_threads team;
            cr_assert_eq(msa_threads_start(&team, cores), 0);
            team.spins = spins;
            play(&team, cores, spins == 0 || cores == 2 ? 3000 : 500);
            msa_threads_end(&team);
        }
}

Test(threads, each_core_has_one_part_of_each_call, .timeout = 60)
{
    for (uint32_t cores = 2; cores <= MSA_MAX_CORES; ++cores) {
        msa_threads team;
        memset(times, 0, sizeof times);
        cr_assert_eq(msa_threads_start(&team, cores), 0);
        for (uint32_t call = 0; call < 200; ++call)
            play(&team, cores, call % 3u);
        msa_threads_end(&team);
        for (uint32_t core = 0; core < MSA_MAX_CORES; ++core)
            cr_assert_eq(times[core], core < cores ? 200u : 0u, "%u cores: core %u worked %u times", cores, core,
                times[core]);
    }
}

Test(threads, start_and_end_many_times, .timeout = 60)
{
    msa_threads team;
    for (uint32_t i = 0; i < 600; ++i) {
        const uint32_t cores = 2u + i % 7u;
        cr_assert_eq(msa_threads_start(&team, cores), 0);
        if (i % 3u != 0)
            play(&team, cores, i % 5u);
        msa_threads_end(&team);
        cr_assert_eq(created, joined);
        msa_threads_end(&team); /* has ended */
    }
    cr_assert_eq(created, joined);
}

Test(threads, wrong_numbers_of_cores)
{
    static const uint32_t numbers[] = {0, 1, MSA_MAX_CORES + 1u, 256, UINT32_MAX};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; ++i) {
        msa_threads team;
        memset(&team, 0xee, sizeof team);
        cr_assert_eq(msa_threads_start(&team, numbers[i]), EINVAL, "%u cores", numbers[i]);
        msa_threads_end(&team); /* did not start */
    }
    cr_assert_eq(msa_threads_start(NULL, 2), EINVAL);
    msa_threads_end(NULL);
    cr_assert_eq(created, 0);
}

Test(threads, a_thread_that_cannot_start_leaves_none, .timeout = 60)
{
    msa_threads team;
    for (uint32_t i = 0; i < 200; ++i)
        for (uint32_t nth = 1; nth < MSA_MAX_CORES; ++nth) {
            create_fails = nth;
            cr_assert_eq(msa_threads_start(&team, MSA_MAX_CORES), EAGAIN);
            cr_assert_eq(created, joined, "%u threads are left", created - joined);
            msa_threads_end(&team);
            rounds_session.cores = MSA_MAX_CORES;
            cr_assert_neq(msa_cores_start(&team, &rounds_session), 0, "a team that did not start");
        }
    cr_assert_eq(msa_threads_start(&team, MSA_MAX_CORES), 0);
    play(&team, MSA_MAX_CORES, 10);
    msa_threads_end(&team);
}

static volatile sig_atomic_t on_main;
static pthread_t main_thread;
static void on_signal(int number)
{
    (void)number;
    on_main = pthread_equal(pthread_self(), main_thread) != 0;
}

Test(threads, signals_stay_with_the_program, .timeout = 60)
{
    main_thread = pthread_self();
    sigset_t usr1, before, after;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, &usr1, NULL), 0);
    const struct sigaction action = {.sa_handler = on_signal};
    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    msa_threads team;
    cr_assert_eq(msa_threads_start(&team, 4), 0);
    create_fails = 2;
    msa_threads other;
    cr_assert_eq(msa_threads_start(&other, 4), EAGAIN);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int number = 1; number < 32; ++number)
        cr_assert_eq(sigismember(&before, number), sigismember(&after, number), "signal %d", number);
    raise(SIGUSR1);
    kill(getpid(), SIGUSR1);
    play(&team, 4, 100);
    cr_assert_eq(on_main, 0, "blocked everywhere, so nobody has taken it");
    pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
    cr_assert_eq(on_main, 1);
    msa_threads_end(&team);
}

/* The session. */

enum { SIDE = MSA_MODEL_MASK_SIDE };

typedef struct bench {
    unsigned char *arena, *weights;
    msa_session s;
    uint8_t pixels[64 * 64 * 3];
    msa_image image;
    msa_prompt prompt;
    float logits[SIDE * SIDE], iou[MSA_MODEL_MASKS];
    msa_mask mask;
} bench;

static const float point[1][2] = {{3.0f, 4.0f}};
static const int8_t label[1] = {1};

/* Patches of red rising along x by `step`. */
static void set_up(bench *b, uint32_t step)
{
    memset(b, 0, sizeof *b);
    b->arena = aligned_memory(MSA_MODEL_ARENA_BYTES);
    b->weights = fake_weights();
    memset(b->arena, 0xff, MSA_MODEL_ARENA_BYTES);
    memset(&b->s, 0xee, sizeof b->s);
    for (size_t i = 0; i < 64 * 64; ++i)
        b->pixels[3 * i] = (uint8_t)(i % 64 / 16 * step);
    b->image = msa_rgb(b->pixels, 64, 64);
    b->prompt = (msa_prompt){point, label, 1, NULL, NULL, false, 1, false, 0};
    b->mask = (msa_mask){b->logits, b->iou, 99};
}

static void tear_down(bench *b)
{
    free(b->arena);
    free(b->weights);
}

static msa_status open_session(bench *b)
{
    return msa_open(&b->s, b->arena, MSA_MODEL_ARENA_BYTES, b->weights, MSA_MODEL_WEIGHTS_BYTES);
}

/* Encode and one prompt, all cores taking part. How many of the values are wrong. */
static uint32_t answers(bench *b, uint32_t step)
{
    float embedding[MSA_MODEL_OUT][16];
    memset(b->iou, 0, sizeof b->iou);
    if (msa_encode(&b->s, &b->image) != MSA_OK || msa_get_embedding(&b->s, embedding[0]) != MSA_OK
        || msa_segment(&b->s, &b->prompt, &b->mask) != MSA_OK)
        return UINT32_MAX;
    uint32_t bad = b->iou[0] != 0.5f + (float)LAYERS;
    for (uint32_t t = 0; t < 16; ++t)
        bad += embedding[0][t] != (float)(t % 4u * step) || embedding[5][t] != (float)LAYERS;
    for (uint32_t i = 0; i < SIDE * SIDE; ++i)
        bad += b->logits[i] != (float)(i % 16u / 4u * step) - 0.5f;
    return bad;
}

static bench one;
static msa_threads three;
static void setup(void)
{
    set_up(&one, 64);
    in_layer = NULL;
    cr_assert_eq(msa_threads_start(&three, MSA_MODEL_CORES), 0);
}
static void teardown(void)
{
    msa_threads_end(&three);
    cr_assert_eq(created, joined);
    tear_down(&one);
}
TestSuite(cores, .init = setup, .fini = teardown, .timeout = 60);

static void open_with_team(void)
{
    cr_assert_eq(open_session(&one), MSA_OK);
    cr_assert_eq(msa_set_team(&one.s, &three), MSA_OK);
}

Test(cores, all_take_part)
{
    in_layer = dawdle;
    open_with_team();
    for (int i = 0; i < 500; ++i)
        cr_assert_eq(answers(&one, 64), 0);
    cr_assert_eq(calls, 500 * 2 * LAYERS, "core 0 alone calls msa_progress");
}

Test(cores, a_team_is_needed)
{
    open_with_team();
    cr_assert_eq(answers(&one, 64), 0);
    one.logits[0] = 7.0f;
    cr_assert_eq(msa_set_team(&one.s, NULL), MSA_OK);
    cr_assert_eq(msa_segment(&one.s, &one.prompt, &one.mask), MSA_E_CORES);
    cr_assert_eq(one.logits[0], 7.0f);
    cr_assert_eq(msa_set_team(&one.s, &three), MSA_OK);
    cr_assert_eq(msa_segment(&one.s, &one.prompt, &one.mask), MSA_OK, "the embedding is as it was");
    cr_assert_eq(open_session(&one), MSA_OK);
    cr_assert_eq(msa_encode(&one.s, &one.image), MSA_E_CORES, "opening forgets the team");
    cr_assert_eq(msa_segment(&one.s, &one.prompt, &one.mask), MSA_E_ORDER);
    cr_assert_eq(msa_self_test(&one.s), MSA_OK, "needs no other cores");
    cr_assert_eq(msa_set_team(&one.s, &three), MSA_OK);
    cr_assert_eq(answers(&one, 64), 0);
}

Test(cores, a_team_of_another_size)
{
    for (uint32_t cores = 2; cores <= MSA_MAX_CORES; ++cores) {
        msa_threads team;
        cr_assert_eq(msa_threads_start(&team, cores), 0);
        cr_assert_eq(open_session(&one), MSA_OK);
        cr_assert_eq(msa_set_team(&one.s, &team), MSA_OK);
        cr_assert_eq(msa_encode(&one.s, &one.image), cores == MSA_MODEL_CORES ? MSA_OK : MSA_E_CORES, "%u cores",
            cores);
        msa_threads_end(&team);
        cr_assert_eq(msa_encode(&one.s, &one.image), MSA_E_CORES, "a team that has ended");
    }
}

Test(cores, the_library_has_no_other_cores)
{
    no_cores_wait(NULL, NULL, 0);
    cr_assert_neq(no_cores_start(NULL, &one.s), 0);
}

Test(cores, a_session_that_is_not_open_has_no_team)
{
    cr_assert_eq(msa_set_team(&one.s, &three), MSA_E_ARGUMENT);
    cr_assert_eq(msa_set_team(NULL, &three), MSA_E_ARGUMENT);
    open_with_team();
    one.s.build ^= 1;
    cr_assert_eq(msa_set_team(&one.s, &three), MSA_E_ARGUMENT, "another model's session");
}

/* A core that the build has not would otherwise be waited for, or write past what a session has. */
Test(cores, cores_that_the_build_has_not)
{
    open_with_team();
    const msa_session before = one.s;
    msa_work(&one.s, 0);
    msa_work(&one.s, MSA_MODEL_CORES);
    msa_work(&one.s, UINT32_MAX);
    cr_assert_eq(memcmp(&before, &one.s, sizeof before), 0);
    cr_assert_eq(answers(&one, 64), 0);
}

static uint32_t seen[MSA_MODEL_CORES];
static void look(uint32_t core, uint32_t layer)
{
    dawdle(core, layer);
    ++seen[core];
}

Test(cores, cancelling_in_any_layer_ends_all)
{
    open_with_team();
    in_layer = look;
    for (uint32_t layer = 0; layer < LAYERS; ++layer)
        for (int decode = 0; decode < 2; ++decode)
            for (int again = 0; again < 20; ++again) {
                if (decode != 0)
                    cr_assert_eq(msa_encode(&one.s, &one.image), MSA_OK);
                memset(seen, 0, sizeof seen);
                one.logits[0] = 7.0f;
                cancel_at = calls + layer + 1u;
                cr_assert_eq(decode != 0 ? msa_segment(&one.s, &one.prompt, &one.mask) : msa_encode(&one.s, &one.image),
                    MSA_E_CANCELLED);
                for (uint32_t core = 0; core < MSA_MODEL_CORES; ++core)
                    cr_assert_eq(seen[core], layer + 1u, "core %u was in %u layers, not %u", core, seen[core],
                        layer + 1u);
                cr_assert_eq(one.logits[0], 7.0f);
                cr_assert_eq(msa_segment(&one.s, &one.prompt, &one.mask), MSA_E_ORDER, "as after opening");
                cr_assert_eq(answers(&one, 64), 0);
            }
}

static void round_upward(uint32_t core, uint32_t layer)
{
    if (core == 2u && layer == 0)
        fesetround(FE_UPWARD);
}
static void round_to_nearest(uint32_t core, uint32_t layer)
{
    if (core == 2u && layer == LAYERS - 1u)
        fesetround(FE_TONEAREST);
}

Test(cores, a_core_whose_float_unit_rounds_otherwise)
{
    open_with_team();
    cr_assert_eq(answers(&one, 64), 0);
    in_layer = round_upward; /* from the first layer on: a core's unit is looked at before and after its work */
    cr_assert_eq(msa_segment(&one.s, &one.prompt, &one.mask), MSA_E_ENVIRONMENT);
    cr_assert_eq(msa_segment(&one.s, &one.prompt, &one.mask), MSA_E_ENVIRONMENT);
    cr_assert_eq(msa_encode(&one.s, &one.image), MSA_E_ENVIRONMENT);
    cr_assert_eq(msa_segment(&one.s, &one.prompt, &one.mask), MSA_E_ORDER);
    in_layer = round_to_nearest;
    cr_assert_eq(msa_encode(&one.s, &one.image), MSA_E_ENVIRONMENT);
    in_layer = NULL;
    cr_assert_eq(answers(&one, 64), 0);
}

Test(cores, threads_have_the_environment_of_their_start)
{
    msa_threads team;
    cr_assert_eq(fesetround(FE_UPWARD), 0);
    cr_assert_eq(msa_threads_start(&team, MSA_MODEL_CORES), 0);
    cr_assert_eq(fesetround(FE_TONEAREST), 0);
    open_with_team();
    cr_assert_eq(msa_set_team(&one.s, &team), MSA_OK);
    cr_assert_eq(msa_encode(&one.s, &one.image), MSA_E_ENVIRONMENT);
    cr_assert_eq(msa_set_team(&one.s, &three), MSA_OK);
    cr_assert_eq(answers(&one, 64), 0);
    msa_threads_end(&team);
}

Test(cores, two_sessions_share_a_team_in_turn)
{
    bench two;
    set_up(&two, 32);
    open_with_team();
    cr_assert_eq(open_session(&two), MSA_OK);
    cr_assert_eq(msa_set_team(&two.s, &three), MSA_OK);
    for (int i = 0; i < 100; ++i) {
        cr_assert_eq(answers(&one, 64), 0);
        cr_assert_eq(answers(&two, 32), 0);
    }
    tear_down(&two);
}

/* Steps 20, 21... of red: each session has its own answers. */
static void *user(void *argument)
{
    uint32_t *const step = argument;
    msa_threads team;
    bench b;
    set_up(&b, *step);
    uint32_t bad = msa_threads_start(&team, MSA_MODEL_CORES) != 0;
    bad += open_session(&b) != MSA_OK || msa_set_team(&b.s, &team) != MSA_OK;
    for (int i = 0; i < 200 && bad == 0; ++i) {
        bad += answers(&b, *step);
        cancel_at = calls + 1u + (uint32_t)i % LAYERS;
        bad += msa_encode(&b.s, &b.image) != MSA_E_CANCELLED;
    }
    msa_threads_end(&team);
    tear_down(&b);
    *step = bad;
    return NULL;
}

Test(cores, sessions_with_teams_of_their_own_at_once)
{
    pthread_t threads[4];
    uint32_t steps[4];
    in_layer = dawdle;
    for (uint32_t i = 0; i < 4; ++i) {
        steps[i] = 20u + i;
        cr_assert_eq(pthread_create(&threads[i], NULL, user, &steps[i]), 0);
    }
    for (uint32_t i = 0; i < 4; ++i) {
        pthread_join(threads[i], NULL);
        cr_assert_eq(steps[i], 0, "session %u: %u answers are wrong", i, steps[i]);
    }
}
