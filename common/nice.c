// Nice: setpriority of one thread.
#include "common/nice.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NICE = 10 };

void nice_thread(void)
{
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid),
                NICE); // without the right to it, it goes on as it is
}
