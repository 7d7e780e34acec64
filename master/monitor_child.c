/* Much simpler than the fleet: one process, no slot, nothing to lose. A monitor that breaks the
 * grammar, does not read its channel or dies is replaced after its own back-off. */
#include "master/monitor_child.h"

#include <errno.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/board.h"
#include "common/channel.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/text.h"
#include "master/child.h"
#include "master/doors.h"
#include "master/fleet.h"
#include "master/master.h"
#include "master/names.h"
#include "master/proc.h"
#include "master/requests.h"

#define MESSAGES_PER_TURN 64
#define ENDING_MS         1000
#define HANG_MIN_MS       5000 /* nobody waits for it: it is not worth a false verdict */

static void
monitor_kill(struct monitor_child *monitor, const char *ending)
{
	if (monitor->pid > 0) {
		monitor->ending = monitor->ending == NULL ? ending : monitor->ending;
		(void)kill(monitor->pid, SIGKILL);
	}
}

static void
monitor_close_channel(struct monitor_child *monitor)
{
	if (monitor->channel >= 0) {
		ev_io_stop(monitor->master->loop, &monitor->watcher);
		descriptor_close(&monitor->channel);
	}
}

/* --- what it is told --- */

static bool
monitor_send(struct monitor_child *monitor, enum channel_type type, const void *payload,
	const int *fds, size_t fd_count)
{
	int status;

	if (monitor == NULL || monitor->channel < 0) {
		return false;
	}
	status = channel_send(monitor->channel, type, payload, fds, fd_count);
	if (status < 0 && status != -EPIPE) {
		monitor_kill(monitor,
			status == -EAGAIN ? "does not read its channel" : "cannot be talked to");
	}
	return status == 0;
}

void
monitor_child_send_log(struct monitor_child *monitor)
{
	enum log_sink sink;
	int fd = log_descriptor(&sink);
	struct channel_log payload = {.sink = (int32_t)sink, .level = (int32_t)log_level_now()};

	(void)monitor_send(monitor, CHANNEL_LOG, &payload, &fd, fd >= 0 ? 1 : 0);
}

static void
monitor_brief(struct monitor_child *monitor)
{
	const struct master *master = monitor->master;
	struct channel_config config = {.generation = master->generation, .cpu = -1};
	struct channel_commit commit = {.generation = master->generation};
	struct channel_doors doors;
	int fds[DOOR_COUNT];
	size_t fd_count = doors_describe(master->doors, &doors, fds);

	config.worker_count = (int32_t)fleet_wanted(master->fleet);
	monitor_child_send_log(monitor);
	if (monitor_send(monitor, CHANNEL_CONFIG, &config, &master->config_memory, 1) &&
		monitor_send(monitor, CHANNEL_DOORS, &doors, fds, fd_count) &&
		monitor_send(monitor, CHANNEL_COMMIT, &commit, NULL, 0)) {
		monitor->commits_due++;
	}
}

/* One that starts slowly, or is busy, is not told of every reload meanwhile: they would fill its
 * channel. */
static void
monitor_brief_when_free(struct monitor_child *monitor)
{
	monitor->is_behind = monitor->commits_due > 0;
	if (!monitor->is_behind) {
		monitor_brief(monitor);
	}
}

static void
monitor_has_answered(struct monitor_child *monitor)
{
	monitor->commits_due -= monitor->commits_due > 0 ? 1 : 0;
	if (monitor->is_behind) {
		monitor_brief_when_free(monitor);
	}
}

static void
monitor_greet(struct monitor_child *monitor)
{
	const struct master *master = monitor->master;
	struct channel_hello hello = {
		.master_pid = (int32_t)getpid(), .descriptor_limit = master->descriptor_limit};

	if (monitor_send(monitor, CHANNEL_HELLO, &hello, &master->board_memory, 1)) {
		monitor_brief(monitor);
	}
}

void
monitor_child_answer(struct monitor_child *monitor, uint32_t id, int status, const char *text)
{
	size_t left = strlen(text);

	for (;;) {
		struct channel_result result = {.id = id, .status = status};

		result.len = (uint32_t)(left < sizeof(result.text) ? left : sizeof(result.text));
		memcpy(result.text, text, result.len);
		text += result.len;
		left -= result.len;
		result.is_last = left == 0;
		if (!monitor_send(monitor, CHANNEL_RESULT, &result, NULL, 0) || left == 0) {
			return;
		}
	}
}

void
monitor_child_send_rows(
	struct monitor_child *monitor, uint32_t id, int slot, uint64_t count, int fd)
{
	struct channel_rows rows = {.id = id, .slot = slot, .count = count};

	(void)monitor_send(monitor, CHANNEL_ROWS, &rows, &fd, 1);
}

/* --- what it says --- */

/* @return 0 to go on; anything else: nothing more to hear */
static int
monitor_hear(struct monitor_child *monitor)
{
	struct channel_message message;
	int status = channel_receive(monitor->channel, CHANNEL_MASTER, &message);

	if (status == -EPROTO) {
		monitor_kill(monitor, "broke the grammar of its channel");
	}
	if (status != 0) {
		return status;
	}
	switch (message.type) {
	case CHANNEL_READY:
		break;
	case CHANNEL_APPLIED:
		monitor_has_answered(monitor);
		break;
	case CHANNEL_REFUSED:
		monitor_has_answered(monitor);
		message.refused.why[sizeof(message.refused.why) - 1] = '\0';
		log_warning("the monitor (pid %d) cannot take configuration %llu: %s",
			(int)monitor->pid, (unsigned long long)message.refused.generation,
			message.refused.why);
		break;
	case CHANNEL_REQUEST:
		requests_take(monitor->master, &message.request);
		break;
	case CHANNEL_ANSWER:
		if (names_take(monitor->master, &message.answer) != 0) {
			monitor_kill(monitor, "answered for a name that nobody asked for");
			return -EPROTO;
		}
		break;
	default:
		monitor_kill(monitor, "broke the grammar of its channel");
		return -EPROTO;
	}
	return 0;
}

static void
monitor_on_message(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct monitor_child *monitor = container_of(watcher, struct monitor_child, watcher);
	int status = 0;

	(void)events;
	for (int heard = 0; status == 0 && heard < MESSAGES_PER_TURN; heard++) {
		status = monitor_hear(monitor);
	}
	if (status != 0 && status != -EAGAIN) {
		ev_io_stop(loop, watcher); /* its death follows */
	}
}

static void
monitor_listen(struct monitor_child *monitor)
{
	ev_io_init(&monitor->watcher, monitor_on_message, monitor->channel, EV_READ);
	ev_io_start(monitor->master->loop, &monitor->watcher);
}

/* --- whether it stands still --- */

/* It has no page on the board for a stamp. That it reads what it is told is its proof of life, so
 * it is told something now and then. */
static bool
monitor_has_read_all(const struct monitor_child *monitor)
{
	int unread_bytes = 0;

	return ioctl(monitor->channel, SIOCOUTQ, &unread_bytes) < 0 || unread_bytes == 0;
}

static void
monitor_judge(struct monitor_child *monitor, int64_t now_ms)
{
	int64_t hang_timeout_ms = monitor->master->config->hang_timeout_ms;
	struct watchdog_sample sample;

	if (proc_read_stat(monitor->pid, &sample) < 0) {
		return;
	}
	switch (watchdog_judge(&monitor->watchdog, &sample, now_ms,
		hang_timeout_ms > HANG_MIN_MS ? hang_timeout_ms : HANG_MIN_MS)) {
	case WATCHDOG_HUNG:
	case WATCHDOG_LOOPING:
		monitor_kill(monitor, "made no progress");
		break;
	default: /* nobody waits for it */
		break;
	}
}

void
monitor_child_watch(struct monitor_child *monitor)
{
	int64_t now_ms;

	if (monitor == NULL || monitor->channel < 0) {
		return;
	}
	now_ms = patience_look(&monitor->patience, clock_monotonic_ms());
	if (monitor_has_read_all(monitor)) {
		monitor->looks_read++;
		(void)monitor_send(monitor, CHANNEL_NUDGE, NULL, NULL, 0);
	}
	if (watchdog_is_stale(&monitor->watchdog, monitor->looks_read, 0, now_ms)) {
		monitor_judge(monitor, now_ms);
	}
}

/* --- birth and death --- */

/* @return 0 or negative errno */
static int
monitor_fork(struct monitor_child *monitor)
{
	const struct master *master = monitor->master;
	struct child_birth birth = {
		.role = ROLE_MONITOR,
		.binary = master->binary,
		.drops_privileges = master->drops_privileges,
		.identity = master->identity,
		.report = monitor->report,
	};
	int status = channel_pair(&monitor->channel, &birth.channel);

	if (status < 0) {
		return status;
	}
	monitor_listen(monitor);
	status = child_start(&birth, &monitor->pid);
	descriptor_close(&birth.channel);
	if (status < 0) {
		monitor_close_channel(monitor);
	}
	return status;
}

/* @return the words for the wait */
static const char *
monitor_plan_next(struct monitor_child *monitor, int64_t healthy_ms, bool *is_told, char words[32])
{
	int64_t now_ms = clock_monotonic_ms();
	int64_t delay_ms =
		backoff_fail(&monitor->backoff, now_ms, healthy_ms, (uint32_t)clock_monotonic_us());
	struct text text;
	unsigned untold;

	loop_timer_start(monitor->master->loop, &monitor->alarm, delay_ms);
	*is_told = backoff_should_tell(&monitor->backoff, now_ms, false, &untold);
	text_init(&text, words, 32);
	if (delay_ms == 0) {
		text_add(&text, "now");
	} else {
		text_add(&text, "in ");
		text_add_span_ms(&text, delay_ms);
	}
	return words;
}

/* To show something, or to look up names. */
static bool
monitor_is_needed(const struct monitor_child *monitor)
{
	return !doors_are_closed(monitor->master->doors) ||
	       config_has_names(monitor->master->config);
}

static void
monitor_give_birth(struct monitor_child *monitor)
{
	char words[32];
	bool is_told;
	int status;

	if (monitor->pid > 0 || monitor->is_closing || !monitor_is_needed(monitor)) {
		return;
	}
	monitor->is_leaving = monitor->is_behind = false;
	monitor->commits_due = 0;
	monitor->ending = NULL;
	monitor->born_ms = clock_monotonic_ms();
	watchdog_begin(&monitor->watchdog, monitor->looks_read,
		patience_look(&monitor->patience, monitor->born_ms));
	status = monitor_fork(monitor);
	if (status == 0) {
		monitor_greet(monitor);
		return;
	}
	(void)monitor_plan_next(monitor, 0, &is_told, words);
	if (is_told) {
		master_event(monitor->master, LOG_LEVEL_WARNING,
			"cannot start the monitor: %s; clients are served, acceptctl waits; trying "
			"again %s",
			strerror(-status), words);
	}
}

static void
monitor_on_alarm(struct ev_loop *loop, struct loop_timer *timer)
{
	struct monitor_child *monitor = container_of(timer, struct monitor_child, alarm);

	(void)loop;
	if (monitor->pid > 0) {
		monitor_kill(monitor, "does not end");
	} else {
		monitor_give_birth(monitor);
	}
}

/* "was killed by SIGKILL", "exited with status 1: cannot execute its program: …" */
static void
monitor_explain(const struct monitor_child *monitor, int status, struct text *text)
{
	char unborn[128];

	if (WIFSIGNALED(status)) {
		text_add(text, "was killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
	} else {
		text_add(text, "exited with status %d", WEXITSTATUS(status));
	}
	if (monitor->ending != NULL) {
		text_add(text, " because it %s", monitor->ending);
	} else if (status == W_EXITCODE(CHILD_NOT_BORN, 0)) {
		text_add(text, ": %s", child_explain(monitor->report, unborn, sizeof(unborn)));
	}
}

static void
monitor_replace(struct monitor_child *monitor, pid_t pid, int status)
{
	char cause[256], words[32];
	struct text text;
	bool is_told;

	text_init(&text, cause, sizeof(cause));
	monitor_explain(monitor, status, &text);
	(void)monitor_plan_next(monitor, clock_monotonic_ms() - monitor->born_ms, &is_told, words);
	if (is_told) {
		master_event(monitor->master, LOG_LEVEL_WARNING,
			"the monitor (pid %d) %s; clients are not concerned; starting another %s",
			(int)pid, cause, words);
	}
}

bool
monitor_child_reap(struct monitor_child *monitor, pid_t pid, int status)
{
	void (*on_gone)(struct master * master);

	if (monitor == NULL || pid != monitor->pid || pid == 0) {
		return false;
	}
	monitor->pid = 0;
	monitor->is_old = false;
	monitor_close_channel(monitor);
	loop_timer_stop(monitor->master->loop, &monitor->alarm);
	requests_forget(monitor->master);
	if (monitor->is_closing) {
		on_gone = monitor->on_gone;
		monitor->on_gone = NULL;
		if (on_gone != NULL) {
			on_gone(monitor->master);
		}
	} else if (monitor->is_leaving) {
		monitor_give_birth(monitor); /* a door may have opened meanwhile */
	} else {
		monitor_replace(monitor, pid, status);
	}
	return true;
}

/* The end of the channel is its order to go. */
static void
monitor_dismiss(struct monitor_child *monitor)
{
	monitor->is_leaving = true;
	monitor_close_channel(monitor);
	loop_timer_start(monitor->master->loop, &monitor->alarm, ENDING_MS);
}

static int
monitor_init(struct monitor_child *monitor, struct master *master, struct fault *why)
{
	monitor->master = master;
	monitor->channel = -1;
	loop_timer_init(&monitor->alarm, monitor_on_alarm);
	patience_init(&monitor->patience, clock_monotonic_ms());
	monitor->report = child_reports_new(1);
	return monitor->report != NULL ? 0
				       : fault_set(why, ENOMEM, "cannot make room for the monitor");
}

int
monitor_child_start(struct monitor_child *monitor, struct master *master, struct fault *why)
{
	int status = monitor_init(monitor, master, why);

	if (status == 0) {
		monitor_give_birth(monitor);
	}
	return status;
}

int
monitor_child_take_over(struct monitor_child *monitor, struct master *master, pid_t pid,
	int channel, int64_t born_ms, bool is_leaving, struct fault *why)
{
	int status = monitor_init(monitor, master, why);

	if (status != 0 || pid == 0) {
		loop_timer_start(master->loop, &monitor->alarm, 0);
		return status;
	}
	monitor->pid = pid;
	monitor->channel = channel;
	monitor->born_ms = born_ms;
	monitor->is_leaving = is_leaving;
	monitor->is_old = true;
	watchdog_begin(&monitor->watchdog, monitor->looks_read,
		patience_look(&monitor->patience, clock_monotonic_ms()));
	if (channel >= 0) {
		monitor_listen(monitor);
	}
	if (is_leaving) {
		loop_timer_start(master->loop, &monitor->alarm, ENDING_MS);
	}
	return 0;
}

void
monitor_child_renew(struct monitor_child *monitor)
{
	if (monitor != NULL && monitor->pid > 0 && monitor->is_old && !monitor->is_leaving) {
		monitor_dismiss(monitor);
	}
}

void
monitor_child_apply(struct monitor_child *monitor)
{
	if (monitor == NULL) {
		return;
	}
	if (monitor->pid == 0) {
		monitor_give_birth(monitor);
	} else if (!monitor_is_needed(monitor) ||
		   (monitor->is_old && fleet_outdated(monitor->master->fleet) == 0)) {
		monitor_dismiss(monitor);
	} else {
		monitor_brief_when_free(monitor);
	}
}

void
monitor_child_end(struct master *master, void (*on_gone)(struct master *master))
{
	struct monitor_child *monitor = master->monitor;

	if (monitor == NULL || monitor->pid == 0) {
		if (monitor != NULL) {
			monitor->is_closing = true;
			loop_timer_stop(master->loop, &monitor->alarm);
		}
		on_gone(master);
		return;
	}
	monitor->is_closing = true;
	monitor->on_gone = on_gone;
	monitor_dismiss(monitor);
}

void
monitor_child_close(struct monitor_child *monitor)
{
	if (monitor->master == NULL) {
		return; /* never started */
	}
	monitor_kill(monitor, "is to end at once");
	monitor_close_channel(monitor);
	loop_timer_stop(monitor->master->loop, &monitor->alarm);
	child_reports_free(&monitor->report, 1);
}
