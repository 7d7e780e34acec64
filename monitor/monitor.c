/* Life of the monitor: greeted, told, serves until the channel ends; then it gives its clients a
 * moment to take what is owed to them, the result of `stop` among it, and goes. */
#include "monitor/monitor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/fault.h"
#include "common/inherit.h"
#include "common/log.h"
#include "monitor/admin.h"
#ifdef HAVE_CARES
#include "monitor/resolver.h"
#endif
#include "monitor/states.h"
#include "monitor/web.h"

#define SECOND_MS     1000
#define FRESH_MS      10
#define LAST_WORDS_MS 500
#define TEN           10
#define HOUR_MS       3600000
#define STATES_SHARE  100 /* counting sockets takes no more of the time than one part in this */

const struct reading *
monitor_now(struct monitor *monitor)
{
	if (clock_monotonic_ms() - monitor->now.taken_ms >= FRESH_MS) {
		reading_take(&monitor->board, &monitor->now);
	}
	return &monitor->now;
}

void
monitor_forget_now(struct monitor *monitor)
{
	monitor->now.taken_ms = 0;
}

const struct reading *
monitor_second_ago(const struct monitor *monitor)
{
	return &monitor->seconds[1 - monitor->at_second];
}

const struct reading *
monitor_minute_ago(const struct monitor *monitor)
{
	unsigned oldest =
		monitor->ten_count < MONITOR_TENS ? 0 : (monitor->at_ten + 1) % MONITOR_TENS;

	return &monitor->tens[oldest];
}

static void
monitor_remember_ten(struct monitor *monitor)
{
	monitor->at_ten = monitor->ten_count == 0 ? 0 : (monitor->at_ten + 1) % MONITOR_TENS;
	monitor->ten_count += monitor->ten_count < MONITOR_TENS;
	reading_take(&monitor->board, &monitor->tens[monitor->at_ten]);
}

const struct states *
monitor_states(struct monitor *monitor, struct fault *why)
{
	int64_t age_ms = clock_monotonic_ms() - monitor->states->taken_ms;

	if ((monitor->states->taken_ms == 0 || age_ms >= SECOND_MS) &&
		states_take(monitor->config, monitor->states, why) != 0) {
		return NULL;
	}
	return monitor->states;
}

/* For the metrics and the page, while somebody asks for them: once a second, and more seldom where
 * it takes long. */
static void
monitor_renew_states(struct monitor *monitor)
{
	int64_t age_ms = clock_monotonic_ms() - monitor->states->taken_ms;
	struct log_limit *limit = &monitor->no_states;
	struct fault why;
	uint64_t suppressed;

	if (monitor->config != NULL &&
		(monitor->states->taken_ms == 0 ||
			(age_ms >= SECOND_MS &&
				age_ms >= monitor->states->cost_us * STATES_SHARE / 1000)) &&
		states_take(monitor->config, monitor->states, &why) != 0 &&
		log_limit_allows(limit, HOUR_MS, &suppressed)) {
		log_warning("cannot count sockets by state: %s; the metrics go without", why.text);
	}
}

static void
monitor_on_second(struct ev_loop *loop, struct loop_timer *timer)
{
	struct monitor *monitor = container_of(timer, struct monitor, second);

	(void)loop;
	monitor->at_second = 1 - monitor->at_second;
	reading_take(&monitor->board, &monitor->seconds[monitor->at_second]);
	if (++monitor->ticks % TEN == 0) {
		monitor_remember_ten(monitor);
	}
	admin_tend(monitor->admin);
	web_tick(monitor->web);
}

static void
monitor_on_look(void *owner, bool with_states, struct web_readings *readings)
{
	struct monitor *monitor = owner;

	if (with_states) {
		monitor_renew_states(monitor);
	}
	readings->now = &monitor->seconds[monitor->at_second];
	readings->second_ago = monitor_second_ago(monitor);
	readings->minute_ago = monitor_minute_ago(monitor);
	readings->states = monitor->states;
	readings->states_age_ms = clock_monotonic_ms() - monitor->states->taken_ms;
}

void
monitor_use_doors(struct monitor *monitor, int admin_fd, int web_fd)
{
	admin_listen(monitor->admin, admin_fd);
	web_listen(monitor->web, web_fd);
}

void
monitor_use_names(struct monitor *monitor)
{
#ifdef HAVE_CARES
	resolver_free(&monitor->resolver);
	if (config_has_names(monitor->config)) {
		monitor->resolver = resolver_new(monitor);
	}
#else
	(void)monitor; /* a configuration with names is refused */
#endif
}

static void
monitor_forget_names(struct monitor *monitor)
{
#ifdef HAVE_CARES
	resolver_free(&monitor->resolver);
#else
	(void)monitor;
#endif
}

void
monitor_look_for_end(struct monitor *monitor)
{
	if (monitor->is_ending && admin_is_idle(monitor->admin)) {
		ev_break(monitor->loop, EVBREAK_ALL);
	}
}

static void
monitor_on_last_words(struct ev_loop *loop, struct loop_timer *timer)
{
	(void)timer;
	ev_break(loop, EVBREAK_ALL);
}

void
monitor_end(struct monitor *monitor, const char *reason)
{
	if (monitor->is_ending) {
		return;
	}
	log_info("ending: %s", reason);
	monitor->is_ending = true;
	admin_listen(monitor->admin, -1);
	web_listen(monitor->web, -1);
	monitor_forget_names(monitor);
	admin_end(monitor->admin);
	loop_timer_start(monitor->loop, &monitor->last_words, LAST_WORDS_MS);
	monitor_look_for_end(monitor);
}

/* What a terminal sends to the whole group is the master's to understand. TERM comes when the
 * master dies, and so does the end of the channel, which says it better. */
static void
monitor_ignore_signals(void)
{
	static const int ignored[] = {SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ, SIGUSR1, SIGUSR2,
		SIGTTIN, SIGTTOU, SIGTERM};

	for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
		(void)signal(ignored[i], SIG_IGN);
	}
}

static int
monitor_start(struct monitor *monitor, const struct inherit *inherit, struct fault *why)
{
	int status = link_open(monitor, inherit->channel, why);

	if (status != 0) {
		return status;
	}
	monitor->loop = loop_new();
	monitor->admin = monitor->loop == NULL ? NULL : admin_new(monitor);
	monitor->states = calloc(1, sizeof(*monitor->states));
	monitor->web = monitor->loop == NULL
			       ? NULL
			       : web_new(monitor->loop, &monitor->board, monitor_on_look, monitor);
	if (monitor->admin == NULL || monitor->states == NULL || monitor->web == NULL) {
		return fault_say(why, ENOMEM, "out of memory");
	}
	reading_take(&monitor->board, &monitor->seconds[0]);
	reading_take(&monitor->board, &monitor->seconds[1]);
	monitor_remember_ten(monitor);
	loop_timer_init(&monitor->last_words, monitor_on_last_words);
	loop_timer_init(&monitor->second, monitor_on_second);
	loop_timer_repeat(monitor->loop, &monitor->second, SECOND_MS);
	link_start(monitor);
	return 0;
}

int
monitor_main(const struct inherit *inherit)
{
	static struct monitor monitor;
	struct fault why;

	log_set_identity("monitor");
	(void)prctl(PR_SET_NAME, "acceptd");
	monitor_ignore_signals();
	if (monitor_start(&monitor, inherit, &why) != 0) {
		log_error("cannot start: %s", why.text);
		return EXIT_FAILURE;
	}
	(void)ev_run(monitor.loop, 0);
	loop_timer_stop(monitor.loop, &monitor.second);
	loop_timer_stop(monitor.loop, &monitor.last_words);
	admin_free(&monitor.admin);
	web_free(&monitor.web);
	monitor_forget_names(&monitor);
	link_close(&monitor);
	config_free(&monitor.config);
	free(monitor.states);
	ev_loop_destroy(monitor.loop);
	board_detach(&monitor.board);
	return EXIT_SUCCESS;
}
