/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * ThreadSanitizer sees what is compiled with it and the C library's calls, but not the futexes and
 * atomics inside the distribution's GLib, so that everything guarded by a GMutex looks like a race.
 * Linked into the tests of a build with -Db_sanitize=thread, this file puts in front of GLib:
 *
 *  - mutexes, conditions, read-write locks and once-blocks made of pthreads, which the sanitizer
 *    knows (a lock that only GLib uses is untouched: its own calls do not come here);
 *  - thread pools and sources that tell the sanitizer what the real ones guarantee: what was done
 *    before a push or an attach is seen by the function that is then called.
 *
 * No report is suppressed: what is not ordered by these is still a race.
 */

#include <dlfcn.h>
#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <sanitizer/tsan_interface.h>
#include <stdbool.h>
#include <stdlib.h>

/* The definition that this one hides. */
#define REAL(function) ((__typeof__(&function))real(#function))

static void *real(const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);

    if (!symbol)
        abort();
    return symbol;
}

/* The pthread object behind the pointer at SLOT, made by MAKE at the first use: a zeroed GMutex is
 * a valid one. */
static void *behind(gpointer *slot, void *(*make)(void))
{
    void *object = __atomic_load_n(slot, __ATOMIC_ACQUIRE);

    if (object)
        return object;
    void *made = make();
    if (__atomic_compare_exchange_n(slot, &object, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return made;
    free(made);
    return object;
}

/* --- mutexes ---------------------------------------------------------------------------------- */

static void *make_mutex(void)
{
    pthread_mutex_t *mutex = calloc(1, sizeof(*mutex));

    pthread_mutex_init(mutex, NULL);
    return mutex;
}

static pthread_mutex_t *mutex_of(GMutex *mutex)
{
    return behind(&mutex->p, make_mutex);
}

void g_mutex_init(GMutex *mutex)
{
    mutex->p = NULL;
}

void g_mutex_clear(GMutex *mutex)
{
    if (mutex->p)
        pthread_mutex_destroy(mutex->p);
    free(mutex->p);
    mutex->p = NULL;
}

void g_mutex_lock(GMutex *mutex)
{
    pthread_mutex_lock(mutex_of(mutex));
}

gboolean g_mutex_trylock(GMutex *mutex)
{
    return pthread_mutex_trylock(mutex_of(mutex)) == 0;
}

void g_mutex_unlock(GMutex *mutex)
{
    pthread_mutex_unlock(mutex_of(mutex));
}

/* --- conditions ------------------------------------------------------------------------------- */

static void *make_cond(void)
{
    pthread_cond_t *cond = calloc(1, sizeof(*cond));
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* g_get_monotonic_time()'s */
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
    return cond;
}

static pthread_cond_t *cond_of(GCond *cond)
{
    return behind(&cond->p, make_cond);
}

void g_cond_init(GCond *cond)
{
    cond->p = NULL;
}

void g_cond_clear(GCond *cond)
{
    if (cond->p)
        pthread_cond_destroy(cond->p);
    free(cond->p);
    cond->p = NULL;
}

void g_cond_wait(GCond *cond, GMutex *mutex)
{
    pthread_cond_wait(cond_of(cond), mutex_of(mutex));
}

gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time)
{
    struct timespec end = {.tv_sec = end_time / G_USEC_PER_SEC,
                           .tv_nsec = end_time % G_USEC_PER_SEC * 1000};

    return pthread_cond_timedwait(cond_of(cond), mutex_of(mutex), &end) != ETIMEDOUT;
}

void g_cond_signal(GCond *cond)
{
    pthread_cond_signal(cond_of(cond));
}

void g_cond_broadcast(GCond *cond)
{
    pthread_cond_broadcast(cond_of(cond));
}

/* --- read-write locks ------------------------------------------------------------------------- */

static void *make_rw_lock(void)
{
    pthread_rwlock_t *lock = calloc(1, sizeof(*lock));

    pthread_rwlock_init(lock, NULL);
    return lock;
}

static pthread_rwlock_t *rw_lock_of(GRWLock *lock)
{
    return behind(&lock->p, make_rw_lock);
}

void g_rw_lock_init(GRWLock *lock)
{
    lock->p = NULL;
}

void g_rw_lock_clear(GRWLock *lock)
{
    if (lock->p)
        pthread_rwlock_destroy(lock->p);
    free(lock->p);
    lock->p = NULL;
}

void g_rw_lock_reader_lock(GRWLock *lock)
{
    pthread_rwlock_rdlock(rw_lock_of(lock));
}

void g_rw_lock_reader_unlock(GRWLock *lock)
{
    pthread_rwlock_unlock(rw_lock_of(lock));
}

void g_rw_lock_writer_lock(GRWLock *lock)
{
    pthread_rwlock_wrlock(rw_lock_of(lock));
}

void g_rw_lock_writer_unlock(GRWLock *lock)
{
    pthread_rwlock_unlock(rw_lock_of(lock));
}

/* --- once ------------------------------------------------------------------------------------- */

/* The header's macros read *LOCATION by themselves, with an instrumented atomic; so the value must
 * be published by one as well. Initialisers may nest, hence the recursive lock. */
static pthread_mutex_t once_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

gboolean(g_once_init_enter)(volatile void *location)
{
    pthread_mutex_lock(&once_lock);
    if (!__atomic_load_n((volatile gsize *)location, __ATOMIC_ACQUIRE))
        return TRUE;
    pthread_mutex_unlock(&once_lock);
    return FALSE;
}

void(g_once_init_leave)(volatile void *location, gsize result)
{
    __atomic_store_n((volatile gsize *)location, result, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&once_lock);
}

/* --- thread pools ----------------------------------------------------------------------------- */

typedef struct {
    GFunc func;
    gpointer user_data;
} PoolFunc;

static void run_pooled(gpointer data, gpointer user_data)
{
    PoolFunc *pool = user_data;

    __tsan_acquire(data);
    pool->func(data, pool->user_data);
}

GThreadPool *g_thread_pool_new(GFunc func, gpointer user_data, gint max_threads, gboolean exclusive,
                               GError **error)
{
    PoolFunc *pool = g_new(PoolFunc, 1); /* as long as the process: pools are few */

    *pool = (PoolFunc){func, user_data};
    return REAL(g_thread_pool_new)(run_pooled, pool, max_threads, exclusive, error);
}

gboolean g_thread_pool_push(GThreadPool *pool, gpointer data, GError **error)
{
    __tsan_release(data);
    return REAL(g_thread_pool_push)(pool, data, error);
}

/* --- sources ---------------------------------------------------------------------------------- */

/* A source's functions run one after another, after what came before its attachment or a change of
 * it. */
typedef struct {
    GSourceFuncs funcs; /* first */
    GSourceFuncs *wrapped;
} SourceFuncs;

static GSourceFuncs *wrapped(GSource *source)
{
    return ((SourceFuncs *)source->source_funcs)->wrapped;
}

static gboolean source_prepare(GSource *source, gint *timeout)
{
    __tsan_acquire(source);
    gboolean ready = wrapped(source)->prepare(source, timeout);
    __tsan_release(source);
    return ready;
}

static gboolean source_check(GSource *source)
{
    __tsan_acquire(source);
    gboolean ready = wrapped(source)->check(source);
    __tsan_release(source);
    return ready;
}

static gboolean source_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    __tsan_acquire(source);
    gboolean stays = wrapped(source)->dispatch(source, callback, data);
    __tsan_release(source);
    return stays;
}

static void source_finalize(GSource *source)
{
    __tsan_acquire(source);
    wrapped(source)->finalize(source);
}

GSource *g_source_new(GSourceFuncs *funcs, guint size)
{
    SourceFuncs *ours = g_new0(SourceFuncs, 1); /* as long as the process */

    ours->wrapped = funcs;
    ours->funcs = (GSourceFuncs){
        .prepare = funcs->prepare ? source_prepare : NULL,
        .check = funcs->check ? source_check : NULL,
        .dispatch = source_dispatch,
        .finalize = funcs->finalize ? source_finalize : NULL,
        .closure_callback = funcs->closure_callback,
        .closure_marshal = funcs->closure_marshal,
    };
    return REAL(g_source_new)(&ours->funcs, size);
}

typedef struct {
    GSourceFunc func;
    gpointer data;
    GDestroyNotify notify;
} Callback;

static gboolean run_callback(gpointer data)
{
    Callback *callback = data;

    __tsan_acquire(callback);
    gboolean stays = callback->func(callback->data);
    __tsan_release(callback);
    return stays;
}

static void callback_free(gpointer data)
{
    Callback *callback = data;

    __tsan_acquire(callback);
    if (callback->notify)
        callback->notify(callback->data);
    g_free(callback);
}

void g_source_set_callback(GSource *source, GSourceFunc func, gpointer data, GDestroyNotify notify)
{
    /* GLib's other sources call functions with other arguments; unlike ours they take closures. */
    bool ours = source->source_funcs->dispatch == source_dispatch &&
                !source->source_funcs->closure_callback;
    bool plain =
        ours || source->source_funcs == &g_idle_funcs || source->source_funcs == &g_timeout_funcs;

    if (!plain) {
        REAL(g_source_set_callback)(source, func, data, notify);
        return;
    }
    Callback *callback = g_new(Callback, 1);
    *callback = (Callback){func, data, notify};
    __tsan_release(callback);
    REAL(g_source_set_callback)(source, run_callback, callback, callback_free);
}

guint g_source_attach(GSource *source, GMainContext *context)
{
    __tsan_release(source);
    return REAL(g_source_attach)(source, context);
}

void g_source_set_ready_time(GSource *source, gint64 ready_time)
{
    __tsan_release(source);
    REAL(g_source_set_ready_time)(source, ready_time);
}

void g_source_destroy(GSource *source)
{
    __tsan_release(source);
    REAL(g_source_destroy)(source);
}
