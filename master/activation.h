/* Listening sockets that the service manager opened and passed (socket activation, the protocol of
 * sd_listen_fds(3)). They are kept for the life of the master, because the manager keeps listening
 * on them too: an address that a later configuration wants can only be served through them. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "common/address.h"
#include "common/defs.h"

struct fault;

#define ACTIVATION_FIRST_FD 3
#define ACTIVATION_MAX      256

struct activation_socket {
	int fd; /* -1: in use by a listener */
	struct address address;
};
struct activation {
	struct activation_socket sockets[ACTIVATION_MAX];
	size_t count;
};

/** How many descriptors are meant for us. Pure.
 *  @param listen_pid, listen_fds  values of LISTEN_PID and LISTEN_FDS, may be NULL
 *  @return count; 0 when they are absent or meant for another process; -EINVAL when damaged or
 *          more than ACTIVATION_MAX */
int activation_parse(const char *listen_pid, const char *listen_fds, pid_t self) MUST_CHECK;

/** Take over what was passed: close-on-exec, non-blocking; remove the variables. Must come before
 *  anything else opens descriptors and before a daemon changes its pid.
 *  @param first  ACTIVATION_FIRST_FD, but in tests
 *  @return 0; or -EINVAL with a sentence about the first one that is not a listening stream socket;
 *          the good ones are held nevertheless */
int activation_open(struct activation *activation, int first, struct fault *why) MUST_CHECK;
/** The first descriptor behind those that were passed. */
int activation_next_fd(const struct activation *activation);
/** The passed socket that listens on `address`, now the caller's; -1 if there is none. */
int activation_take(struct activation *activation, const struct address *address);
/** Give a socket back that activation_take handed out. */
void activation_give_back(struct activation *activation, int fd, const struct address *address);
void activation_close(struct activation *activation);

/** What a listening socket is bound to, as address_parse would read it. @return 0 or negative errno
 */
int activation_address_of(int fd, struct address *address) MUST_CHECK;
