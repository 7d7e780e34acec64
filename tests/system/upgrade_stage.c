/* What goes wrong in a program that is to take over: linked with --wrap, so that one function of
 * the real acceptd fails and everything else is as it is. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/inherit.h"

struct fleet;
struct upgrade_state;

int __wrap_worker_main(const struct inherit *inherit);
uint64_t __wrap_channel_version(void);
int __wrap_fleet_take_over(struct fleet *fleet, const struct upgrade_state *state, bool are_old);

/* Its workers crash as soon as they are born. */
int
__wrap_worker_main(const struct inherit *inherit)
{
	(void)inherit;
	abort();
}

/* Its workers speak another language. */
uint64_t
__wrap_channel_version(void)
{
	return 1;
}

/* It finds out when it is too late for its check. A signal may come just then. */
int
__wrap_fleet_take_over(struct fleet *fleet, const struct upgrade_state *state, bool are_old)
{
	(void)fleet;
	(void)state;
	(void)are_old;
	if (getenv("UPGRADE_STAGE_SIGNAL") != NULL) {
		(void)raise(atoi(getenv("UPGRADE_STAGE_SIGNAL")));
	}
	return -ENOMEM;
}
