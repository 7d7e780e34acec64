/* Contradictions between values that are good each for itself. Pure. */
#include <inttypes.h>
#include <string.h>

#include "common/config_private.h"
#include "common/text.h"

void
config_check(const struct config *config, struct findings *findings)
{
	(void)config;
	(void)findings;
}
