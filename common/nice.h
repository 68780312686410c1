// Nice: threads that give way to others of their process.
#ifndef RTM_COMMON_NICE_H
#define RTM_COMMON_NICE_H

// The calling thread, and threads that it starts, get the processor when others leave it (on Linux a thread
// has a nice value of its own).
void nice_thread(void);

#endif
