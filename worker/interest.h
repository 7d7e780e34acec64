/* What the kernel was told to watch each descriptor for. libev tells it again, at the price of a
 * system call, whenever an event comes beside the one that is waited for; each connection ends so,
 * because a hang-up is an event of both kinds. One epoll set per process. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** The kernel now watches `fd` for `events`; 0: for nothing. One that is closed stays as it was
 *  until its number is used again, which begins with this. */
void interest_note(int fd, uint32_t events);
/** Whether it is known to do so already. Never true by mistake. */
bool interest_is(int fd, uint32_t events);
