/* Signals become named requests on the loop. Many of one kind before the loop comes round are one
 * request; nothing but libev's own handler runs in signal context. */
#pragma once

#include <ev.h>

#define SIGNALS_MAX 9

struct master;

/* What to do; called from the loop. All must be given. */
struct signals_actions {
	void (*reload)(struct master *master);      /* HUP */
	void (*drain)(struct master *master);       /* TERM */
	void (*stop)(struct master *master);        /* QUIT, INT */
	void (*reopen_logs)(struct master *master); /* USR1 */
	void (*upgrade)(struct master *master);     /* USR2 */
	void (*reap)(struct master *master);        /* CHLD */
	void (*add_worker)(struct master *master);  /* TTIN */
	void (*drop_worker)(struct master *master); /* TTOU */
};

/* Embedded in its owner. */
struct signals {
	struct signals_watcher {
		ev_signal watcher;
		struct signals *owner;
		void (*act)(struct master *master);
	} watchers[SIGNALS_MAX];
	struct master *master;
};

/** Until signals_start: let what asks for a change wait rather than end the process. */
void signals_hold(void);
/** Begin to watch; SIGPIPE and SIGXFSZ are ignored from here on. Does not keep the loop alive. */
void signals_start(struct signals *signals, struct ev_loop *loop, struct master *master,
	const struct signals_actions *actions);
void signals_stop(struct signals *signals, struct ev_loop *loop);
