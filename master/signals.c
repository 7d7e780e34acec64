/* Signals become named requests on the loop. */
#include "master/signals.h"

#include <assert.h>
#include <signal.h>
#include <stddef.h>

#include "common/defs.h"

static void
signals_on_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
	struct signals_watcher *request = container_of(watcher, struct signals_watcher, watcher);

	(void)loop;
	(void)events;
	request->act(request->owner->master);
}

/* Those whose default is the end of the process, but which ask for less than that. */
static void
signals_mask(int how)
{
	static const int held[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU};
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(held); i++) {
		(void)sigaddset(&set, held[i]);
	}
	(void)sigprocmask(how, &set, NULL);
}

void
signals_hold(void)
{
	signals_mask(SIG_BLOCK);
}

void
signals_start(struct signals *signals, struct ev_loop *loop, struct master *master,
	const struct signals_actions *actions)
{
	const struct {
		int signal;
		void (*act)(struct master *master);
		int priority;
	} rows[] = {
		/* Who asks for an end is heard before who asks for a change; the dead are
		 * collected first, so that every decision knows who is left. */
		{SIGCHLD, actions->reap, EV_MAXPRI},
		{SIGQUIT, actions->stop, 1},
		{SIGINT, actions->stop, 1},
		{SIGTERM, actions->drain, 1},
		{SIGHUP, actions->reload, 0},
		{SIGUSR1, actions->reopen_logs, 0},
		{SIGUSR2, actions->upgrade, 0},
		{SIGTTIN, actions->add_worker, 0},
		{SIGTTOU, actions->drop_worker, 0},
	};
	size_t i;

	_Static_assert(ARRAY_LEN(rows) == SIGNALS_MAX, "a watcher for each row");
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* a log at the limit of files: an error like others */
	signals->master = master;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct signals_watcher *request = &signals->watchers[i];

		assert(rows[i].act != NULL);
		request->owner = signals;
		request->act = rows[i].act;
		ev_signal_init(&request->watcher, signals_on_signal, rows[i].signal);
		ev_set_priority(&request->watcher, rows[i].priority);
		ev_signal_start(loop, &request->watcher);
		ev_unref(loop);
	}
	signals_mask(SIG_UNBLOCK);
}

void
signals_stop(struct signals *signals, struct ev_loop *loop)
{
	size_t i;

	for (i = 0; i < SIGNALS_MAX; i++) {
		ev_ref(loop);
		ev_signal_stop(loop, &signals->watchers[i].watcher);
	}
}
