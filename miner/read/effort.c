// Effort: the coarse clock says when it is worth to ask for the thread's CPU time, which takes a system call.
// For a library's loops there is a timer on the same CPU time, whose signal comes to the thread itself.
#include "miner/read/effort.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/check.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { FRESH_MS = 8 }; // the CPU time of a document's start may be read so much before it

static _Thread_local struct {
    bool running, over;
    int64_t cpu, look_at; // thread's CPU time / coarse wall time, ms
    int64_t read_at;      // when cpu was read; coarse wall time
    bool has_timer, armed;
    timer_t timer;
    void (*stop)(void);
} effort;

static int64_t ms_of(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void set_timer(int64_t ms)
{
    struct itimerspec in = {.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}};
    CHECK(timer_settime(effort.timer, 0, &in, NULL) == 0);
}

void effort_begin(void)
{
    effort.running = true;
    effort.over = false;
    int64_t now = ms_of(CLOCK_MONOTONIC_COARSE);
    if (now - effort.read_at >= FRESH_MS) { // a small document takes not much longer than this call
        effort.cpu = ms_of(CLOCK_THREAD_CPUTIME_ID);
        effort.read_at = now;
    }
    effort.look_at = now + READ_BUDGET_MS;
}

void effort_end(void)
{
    if (effort.armed) set_timer(0);
    effort.running = effort.over = effort.armed = false;
}

static int64_t left(void)
{
    return effort.cpu + READ_BUDGET_MS - ms_of(CLOCK_THREAD_CPUTIME_ID);
}

bool effort_over(void)
{
    if (!effort.running || effort.over) return effort.over;
    int64_t now = ms_of(CLOCK_MONOTONIC_COARSE);
    if (now < effort.look_at) return false;
    int64_t more = left();
    effort.over = more <= 0;
    effort.look_at = now + more;
    return effort.over;
}

static void on_signal(int signal)
{
    (void)signal;
    if (!effort.armed) return;
    effort.over = true;
    effort.stop();
}

static void install(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(SIGPROF, &action, NULL) == 0);
}

static void make_timer(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF};
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    CHECK(timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &effort.timer) == 0);
    effort.has_timer = true;
}

void effort_alarm(void (*stop)(void))
{
    if (!effort.running || effort.armed) return;
    if (!effort.has_timer) make_timer();
    int64_t more = left();
    effort.stop = stop;
    effort.armed = true;
    set_timer(more > 0 ? more : 1);
}
