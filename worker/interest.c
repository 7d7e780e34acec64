/* An array by descriptor, a byte for each: this runs for every change of the epoll set. What it has
 * no memory for is not known, and costs the system call. */
#include "worker/interest.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define INTEREST_LEAST 256

static uint8_t *interests; /* EPOLLIN and EPOLLOUT, which fit; 0: nothing, or not known */
static int interest_count;

static bool
make_room(int fd)
{
	int count = fd < INTEREST_LEAST ? INTEREST_LEAST : fd + fd / 2;
	uint8_t *grown = realloc(interests, (size_t)count);

	if (grown == NULL) {
		return false;
	}
	memset(grown + interest_count, 0, (size_t)(count - interest_count));
	interests = grown;
	interest_count = count;
	return true;
}

void
interest_note(int fd, uint32_t events)
{
	if (fd < interest_count || (events != 0 && make_room(fd))) {
		interests[fd] = (uint8_t)(events <= UINT8_MAX ? events : 0);
	}
}

bool
interest_is(int fd, uint32_t events)
{
	return fd >= 0 && fd < interest_count && interests[fd] != 0 && interests[fd] == events;
}
