/* Everything is read by the code that takes over (heritage) and reloads (reload_read), so that what
 * is checked is what will happen. Nothing is changed: descriptors and board are closed as they
 * came. */
#include "master/upgrade_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/config.h"
#include "common/fault.h"
#include "common/inherit.h"
#include "master/heritage.h"
#include "master/master.h"
#include "master/reload.h"
#include "master/startup.h"
#include "master/upgrade_verdict.h"

/* Against the sockets and the configuration in force, as the reload after an upgrade will. */
static int
check_file(struct heritage *heritage)
{
	static struct master master;
	static struct findings findings;
	struct config *config;

	master.config_path = heritage->state.head.config_path;
	master.config = heritage->config;
	master.listeners = &heritage->listeners;
	master.doors = &heritage->doors;
	master.activation = heritage->activation;
	config = reload_read(&master, &findings);
	if (config == NULL) {
		findings_print(&findings, stderr);
		return EXIT_FILE;
	}
	config_free(&config);
	return EXIT_SUCCESS;
}

int
upgrade_check_main(const struct inherit *inherit)
{
	static struct heritage heritage;
	struct fault why;
	int found = heritage_read(inherit->channel, &heritage, &why);
	int status = EXIT_FAILURE;

	if (found == 0) {
		status = check_file(&heritage);
	} else {
		(void)fprintf(stderr, "%s%s\n", why.text,
			found == -EPROTO ? "; the two are too different for an upgrade in place: "
					   "stop the running acceptd and start this one"
					 : "");
	}
	heritage_dispose(&heritage);
	if (status == EXIT_SUCCESS && (puts(UPGRADE_WORD) < 0 || fflush(stdout) != 0)) {
		status = EXIT_FAILURE;
	}
	return status;
}
