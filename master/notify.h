/* What the service manager is told, by the protocol of sd_notify(3): one datagram of lines to the
 * socket that NOTIFY_SOCKET names. Without the variable everything here does nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/defs.h"

struct fault;

#define NOTIFY_TEXT_MAX 512

struct notify {
	int fd; /* -1: nobody wants to know */
	struct sockaddr_un address;
	socklen_t address_len;
	int64_t watchdog_ms;          /* how often to say that we are alive; 0: not asked for */
	char unsent[NOTIFY_TEXT_MAX]; /* the last step of life that the manager did not take yet */
};

/** Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and remove them from the environment.
 *  The address is a path or, with a leading '@', an abstract name.
 *  @return 0, also when there is no manager; -EINVAL for a damaged variable (fd is then -1) */
int notify_open(struct notify *notify, struct fault *why) MUST_CHECK;
void notify_close(struct notify *notify);

/** Steps of life, with a sentence for `systemctl status`. One that the manager's full socket does
 * not take is sent again by notify_retry.
 */
void notify_ready(struct notify *notify, const char *status);
/** @param monotonic_us  CLOCK_MONOTONIC when the reload began: Type=notify-reload asks for it */
void notify_reloading(struct notify *notify, int64_t monotonic_us);
void notify_stopping(struct notify *notify, const char *status);
/** The sign of life; to be sent each watchdog_ms. */
void notify_alive(struct notify *notify);
/** Once a second: send what the manager did not take. */
void notify_retry(struct notify *notify);
