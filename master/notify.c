/* sd_notify(3) by hand: three environment variables and datagrams. The socket is non-blocking,
 * because a manager that does not read must not stop the master. */
#include "master/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/text.h"

#define US_PER_MS 1000

static int
notify_parse_address(struct notify *notify, const char *name, struct fault *why)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2) {
		return fault_say(why, EINVAL,
			"NOTIFY_SOCKET is '%s', neither a path nor an abstract name; the service "
			"manager will not be told anything",
			name);
	}
	if (len >= sizeof(notify->address.sun_path)) {
		return fault_say(why, EINVAL,
			"NOTIFY_SOCKET is longer than a socket's path can be; the service manager "
			"will not be told anything");
	}
	notify->address.sun_family = AF_UNIX;
	memcpy(notify->address.sun_path, name, len + 1);
	notify->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	if (name[0] == '@') {
		notify->address.sun_path[0] = '\0';
		notify->address_len--; /* every byte of an abstract name counts: no terminator */
	}
	return 0;
}

/* The manager gives up after WATCHDOG_USEC; sd_watchdog_enabled(3) advises half of it. */
static int64_t
notify_watchdog_period_ms(const char *usec, const char *pid)
{
	int64_t number;

	if (usec == NULL) {
		return 0;
	}
	if (pid != NULL && (text_parse_number(pid, &number) != 0 || number != getpid())) {
		return 0;
	}
	if (text_parse_number(usec, &number) != 0 || number <= 0) {
		return 0;
	}
	number /= 2 * US_PER_MS;
	return number > 0 ? number : 1;
}

int
notify_open(struct notify *notify, struct fault *why)
{
	const char *name = getenv("NOTIFY_SOCKET");
	int status = 0;

	memset(notify, 0, sizeof(*notify));
	notify->fd = -1;
	if (name != NULL) {
		status = notify_parse_address(notify, name, why);
		if (status == 0) {
			notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
			if (notify->fd < 0) {
				status = fault_set(
					why, errno, "cannot make a socket for NOTIFY_SOCKET");
			}
		}
		notify->watchdog_ms =
			notify_watchdog_period_ms(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
	}
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	return status;
}

void
notify_close(struct notify *notify)
{
	if (notify->fd >= 0) {
		(void)close(notify->fd);
	}
	notify->fd = -1;
}

static bool
notify_send(struct notify *notify, const char *text)
{
	ssize_t sent;

	if (notify->fd < 0) {
		return true;
	}
	do {
		sent = sendto(notify->fd, text, strlen(text), MSG_NOSIGNAL,
			(const struct sockaddr *)&notify->address, notify->address_len);
	} while (sent < 0 && errno == EINTR);
	return sent >= 0;
}

/* Steps must arrive in order and the last one must arrive: a later step replaces an unsent one,
 * because the manager wants to know what holds now. */
static void
notify_step(struct notify *notify, const char *text)
{
	if (notify_send(notify, text)) {
		notify->unsent[0] = '\0';
		return;
	}
	(void)snprintf(notify->unsent, sizeof(notify->unsent), "%s", text);
}

void
notify_ready(struct notify *notify, const char *status)
{
	char text[NOTIFY_TEXT_MAX];

	(void)snprintf(text, sizeof(text), "READY=1\nMAINPID=%d\nSTATUS=%s", (int)getpid(), status);
	notify_step(notify, text);
}

void
notify_reloading(struct notify *notify, int64_t monotonic_us)
{
	char text[NOTIFY_TEXT_MAX];

	(void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=Reloading",
		(long long)monotonic_us);
	notify_step(notify, text);
}

void
notify_stopping(struct notify *notify, const char *status)
{
	char text[NOTIFY_TEXT_MAX];

	(void)snprintf(text, sizeof(text), "STOPPING=1\nSTATUS=%s", status);
	notify_step(notify, text);
}

void
notify_alive(struct notify *notify)
{
	(void)notify_send(notify, "WATCHDOG=1");
}

void
notify_retry(struct notify *notify)
{
	if (notify->unsent[0] != '\0' && notify_send(notify, notify->unsent)) {
		notify->unsent[0] = '\0';
	}
}
