/*
 * What all yardsticks need around their loop: a listener, descriptors, processes that share it. A
 * yardstick does nothing that the kernel does not ask for, so every failure here ends the program.
 */
#pragma once

#include <stdint.h>

/** Says what failed, with the text of errno, and exits with status 2. */
_Noreturn void yardstick_die(const char *what);

/** Non-blocking; accepted sockets inherit TCP_NODELAY, which costs no call per connection. With
 *  port 0 it prints "port N". */
int yardstick_listen(const char *text, int backlog);

/** Starts `process_count` processes that run `serve`, which never returns; ends when one ends. */
int yardstick_run(int process_count, void (*serve)(void *argument), void *argument);

/** epoll_ctl; `owner` comes back in events. */
void yardstick_watch(int epoll_fd, int operation, int fd, uint32_t events, void *owner);

/** The descriptors that a process may have, raised as far as it can be. */
uint64_t yardstick_descriptor_limit(void);
