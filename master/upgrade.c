/* Nothing here waits: the check is a child, and its end a signal. The exec happens outside of the
 * loop with every signal held, so that none is lost between the two programs: what libev has caught
 * is obeyed first, what comes later stays pending for the next program. */
#include "master/upgrade.h"
#include "build.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/board.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "common/inherit.h"
#include "common/log.h"
#include "common/text.h"
#include "master/fleet.h"
#include "master/heritage.h"
#include "master/lifecycle.h"
#include "master/listeners.h"
#include "master/master.h"
#include "master/monitor_child.h"
#include "master/program.h"
#include "master/reload.h"
#include "master/requests.h"

#define STATE_NAME      "acceptd-state"
#define FAILURE         "ACCEPTD_UPGRADE_FAILURE" /* what the one that goes back has to say */
#define WORDS_LINES_MAX 20                        /* of a check, for the log */
#define ANSWER_MAX      (UPGRADE_WORDS_MAX + 1024)
#define BUSY_LINE_MS    1000

void
upgrade_init(struct upgrade *upgrade, struct master *master)
{
	memset(upgrade, 0, sizeof(*upgrade));
	upgrade->program = -1;
	upgrade->probe.words = -1;
	master->upgrade = upgrade;
}

void
upgrade_close(struct master *master)
{
	if (master->upgrade != NULL && master->loop != NULL) {
		upgrade_probe_close(&master->upgrade->probe, master->loop);
		descriptor_close(&master->upgrade->program);
	}
}

bool
upgrade_is_going_on(const struct master *master)
{
	return master->upgrade != NULL && master->upgrade->stage != UPGRADE_IDLE;
}

/* --- its end, in the program that began it --- */

/* What was put off goes on. */
static void
upgrade_end(struct master *master)
{
	struct upgrade *upgrade = master->upgrade;

	upgrade->stage = UPGRADE_IDLE;
	descriptor_close(&upgrade->program);
	if (master->state == MASTER_SERVING && master->reload->is_wanted) {
		master->reload->is_wanted = false;
		reload_request(master);
	}
}

/* @param words  of the new program; "" : it said nothing */
static void
upgrade_refuse(struct master *master, const char *sentence, const char *words)
{
	char path[512] = "the new program", *answer = malloc(ANSWER_MAX);

	if (master->program != NULL) {
		(void)snprintf(path, sizeof(path), "%s", master->program);
	}
	stat_add(&master->board.writable->stats[STAT_MASTER_upgrades_failed], 1);
	master_event(master, LOG_LEVEL_ERROR,
		"upgrade refused: %s: %s; nothing changed, acceptd " PACKAGE_VERSION " goes on",
		path, sentence);
	if (answer != NULL) {
		(void)snprintf(answer, ANSWER_MAX,
			"%supgrade refused: %s: %s; nothing changed, acceptd " PACKAGE_VERSION
			" goes on\n",
			words, path, sentence);
	}
	requests_on_upgrade(master, -EINVAL, answer != NULL ? answer : sentence);
	free(answer);
	upgrade_end(master);
}

/* --- the check --- */

static int
upgrade_write_state(
	const struct master *master, struct upgrade_state *state, int *memory, struct fault *why)
{
	uint8_t *bytes;
	size_t len;
	int status = heritage_collect(master, state);

	if (status == 0) {
		status = upgrade_state_write(state, &bytes, &len);
	}
	if (status != 0) {
		return fault_set(why, -status, "cannot write the state to hand over");
	}
	status = descriptor_seal_bytes(STATE_NAME, bytes, len);
	free(bytes);
	if (status < 0) {
		return fault_set(why, -status, "cannot seal the state to hand over");
	}
	*memory = status;
	return 0;
}

static int
upgrade_check(struct master *master, struct fault *why)
{
	struct upgrade *upgrade = master->upgrade;
	struct upgrade_state state = {0};
	int memory = -1;
	int status;

	if (master->program == NULL) {
		return fault_say(why, ENOENT, "its path could not be found out at the start");
	}
	if (!fleet_has_room(master->fleet)) {
		return fault_say(why, ENOSPC,
			"there are not enough of the %d slots for %u workers more; wait until "
			"workers that finish have ended, or lower workers",
			BOARD_SLOTS, fleet_wanted(master->fleet));
	}
	upgrade->program = program_open(master->program, why);
	if (upgrade->program < 0) {
		return upgrade->program;
	}
	status = upgrade_write_state(master, &state, &memory, why);
	if (status == 0) {
		status = upgrade_probe_start(&upgrade->probe, master->loop, upgrade->program,
			memory, &state, master->config->upgrade_timeout_ms, why);
	}
	upgrade_state_free(&state);
	descriptor_close(&memory);
	return status;
}

/* A queue on its way out is emptied by the workers that have it: they are not told to go. */
static bool
upgrade_has_to_wait(const struct master *master)
{
	return master->state == MASTER_STARTING || master->reload->is_running ||
	       listeners_are_retiring(master->listeners);
}

void
upgrade_request(struct master *master, const char *who)
{
	static struct log_limit limit;
	struct upgrade *upgrade = master->upgrade;
	uint64_t suppressed;
	struct fault why;

	if (master->state > MASTER_SERVING || upgrade_is_going_on(master)) {
		if (log_limit_allows(&limit, BUSY_LINE_MS, &suppressed)) {
			log_notice("%s: %s; nothing is done about it", who,
				upgrade_is_going_on(master) ? "an upgrade is in progress"
							    : "the server is stopping");
		}
		return;
	}
	if (upgrade_has_to_wait(master)) {
		upgrade->is_wanted = true;
		log_notice("upgrade: asked for by %s; it waits for the start or reload that is "
			   "going on, or for the queue of a removed listener",
			who);
		return;
	}
	upgrade->is_wanted = false;
	upgrade->stage = UPGRADE_CHECKING;
	master_event(master, LOG_LEVEL_NOTICE, "upgrade: checking %s, asked for by %s",
		master->program != NULL ? master->program : "the new program", who);
	if (upgrade_check(master, &why) != 0) {
		upgrade_refuse(master, why.text, "");
	}
}

void
upgrade_if_wanted(struct master *master)
{
	if (master->upgrade != NULL && master->upgrade->is_wanted && !upgrade_has_to_wait(master)) {
		master->upgrade->is_wanted = false;
		upgrade_request(master, "a request that had to wait");
	}
}

void
upgrade_cancel(struct master *master)
{
	if (master->upgrade == NULL) {
		return;
	}
	master->upgrade->is_wanted = false;
	if (master->upgrade->stage == UPGRADE_CHECKING || master->upgrade->stage == UPGRADE_DUE) {
		master_event(master, LOG_LEVEL_NOTICE, "upgrade: given up, the server stops");
		upgrade_probe_kill(&master->upgrade->probe);
		descriptor_close(&master->upgrade->program);
		master->upgrade->stage = UPGRADE_IDLE;
	}
}

/* Where the last lines begin: what went wrong stands at the end. */
static const char *
upgrade_last_lines(const char *said)
{
	size_t lines = 0;

	for (const char *at = said; *at != '\0'; at++) {
		lines += *at == '\n' && at[1] != '\0';
	}
	while (lines-- >= WORDS_LINES_MAX) {
		said = strchr(said, '\n') + 1;
	}
	return said;
}

/* Each line of the new program's reasons is a line of ours. @return the same for who asked */
static char *
upgrade_tell_words(struct master *master, const char *said)
{
	char *told = malloc(UPGRADE_WORDS_MAX);
	struct text all;

	if (told == NULL) {
		return NULL;
	}
	text_init(&all, told, UPGRADE_WORDS_MAX);
	said = upgrade_last_lines(said);
	while (*said != '\0') {
		size_t len = strcspn(said, "\n");
		char line[700];
		struct text text;

		text_init(&text, line, sizeof(line));
		text_add_printable(&text, said, len < sizeof(line) / 4 * 3 ? len : 512);
		if (len > 0) {
			master_event(
				master, LOG_LEVEL_ERROR, "upgrade: the new program says: %s", line);
			text_add(&all, "%s\n", line);
		}
		said += len + (said[len] == '\n');
	}
	return told;
}

static void
upgrade_on_good(struct master *master)
{
	master_event(master, LOG_LEVEL_NOTICE,
		"upgrade: %s can take over; executing it in place of acceptd " PACKAGE_VERSION,
		master->program);
	master->upgrade->stage = UPGRADE_DUE;
	notify_reloading(&master->notify, clock_monotonic_us());
	ev_break(master->loop, EVBREAK_ALL);
}

bool
upgrade_reap(struct master *master, pid_t pid, int status)
{
	struct upgrade *upgrade = master->upgrade;
	char sentence[512], *told;
	struct text text;
	bool is_good;

	if (upgrade == NULL || upgrade->probe.pid == 0 || upgrade->probe.pid != pid) {
		return false;
	}
	text_init(&text, sentence, sizeof(sentence));
	is_good = upgrade_probe_end(&upgrade->probe, master->loop, status, &text);
	if (upgrade->stage != UPGRADE_CHECKING) {
		return true; /* given up meanwhile */
	}
	if (is_good) {
		upgrade_on_good(master);
	} else {
		told = upgrade_tell_words(master, upgrade->probe.said);
		upgrade_refuse(master, sentence, told != NULL ? told : "");
		free(told);
	}
	return true;
}

/* --- the exec --- */

/* @return only when it failed: the errno */
static int
execute(int program, struct inherit *inherit, const struct upgrade_state *state, char *path)
{
	char option[] = "-f";
	char *config_path = strdup(state->head.config_path);
	char *argv[] = {path, option, config_path, NULL};
	char **environment = inherit_environment(inherit);
	int error = ENOMEM;

	if (environment != NULL && config_path != NULL) {
		error = -upgrade_let_through(state, inherit->channel, true);
	}
	if (error == 0) {
		(void)execveat(program, "", argv, environment, AT_EMPTY_PATH);
		error = errno;
	}
	(void)!upgrade_let_through(state, inherit->channel, false);
	free(environment);
	free(config_path);
	return error;
}

static void
upgrade_try(struct master *master, struct fault *why)
{
	struct inherit inherit = {.role = ROLE_HEIR, .channel = -1};
	struct upgrade_state state = {0};
	int status = upgrade_write_state(master, &state, &inherit.channel, why);

	if (status == 0) {
		int error = execute(master->upgrade->program, &inherit, &state, master->program);

		(void)fault_set(why, error, "cannot execute it");
	}
	upgrade_state_free(&state);
	descriptor_close(&inherit.channel);
}

void
upgrade_execute(struct master *master)
{
	sigset_t all, before;
	struct fault why;

	if (master->upgrade->stage != UPGRADE_DUE) {
		return;
	}
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	(void)ev_run(master->loop, EVRUN_NOWAIT); /* what was caught, as a SIGTERM */
	if (master->upgrade->stage == UPGRADE_DUE) {
		lifecycle_settle_logs(master);
		requests_dismiss(master);
		upgrade_try(master, &why);
		upgrade_refuse(master, why.text, "");
		lifecycle_say_ready(master);
	}
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
}

/* --- in the program that takes over --- */

void
upgrade_go_back(const struct inherit *inherit, const struct heritage *heritage, const char *reason)
{
	struct inherit back = {.role = ROLE_HEIR, .slot = 1, .channel = inherit->channel};
	int binary = (int)heritage->state.head.binary;
	char path[PATH_MAX];

	(void)fprintf(stderr, "acceptd: upgrade: cannot take over: %s\n", reason);
	if (inherit->slot != 0 || binary < 3 || setenv(FAILURE, reason, 1) != 0) {
		return;
	}
	(void)snprintf(path, sizeof(path), "%s", heritage->state.head.program);
	errno = execute(binary, &back, &heritage->state, path);
	(void)fprintf(stderr, "acceptd: upgrade: cannot execute the program before: %m\n");
}

static void
upgrade_say_return(struct master *master)
{
	const char *reason = getenv(FAILURE);
	char sentence[1024];

	(void)snprintf(sentence, sizeof(sentence),
		"upgrade failed: the new program could not take over: %s; acceptd " PACKAGE_VERSION
		" has its place again, with all workers and sockets",
		reason != NULL ? reason : "it did not say why");
	(void)unsetenv(FAILURE);
	stat_add(&master->board.writable->stats[STAT_MASTER_upgrades_failed], 1);
	master_event(master, LOG_LEVEL_ERROR, "%s", sentence);
	requests_on_upgrade(master, -EIO, sentence);
	lifecycle_say_ready(master);
	upgrade_end(master);
}

void
upgrade_begin_life(struct master *master, const struct heritage *heritage, bool returned)
{
	const struct upgrade_head *head = &heritage->state.head;
	int64_t gap_us = clock_monotonic_us() - head->began_us;

	/* Our timer begins again, and the last sign of life may be as old as it was to become. */
	if (master->notify.watchdog_ms > 0) {
		notify_alive(&master->notify);
	}
	if (returned) {
		upgrade_say_return(master);
		return;
	}
	master->upgrade->stage = UPGRADE_SETTLING;
	memcpy(master->upgrade->before, head->version, sizeof(head->version));
	master_event(master, LOG_LEVEL_NOTICE,
		"upgrade: acceptd " PACKAGE_VERSION " has taken the place of acceptd %s within "
		"%" PRId64 ".%" PRId64
		" ms; the %u workers of before serve until as many of its own do",
		head->version, gap_us / 1000, gap_us / 100 % 10, fleet_outdated(master->fleet));
}

static void
upgrade_say_settled(struct master *master, char *answer, size_t size)
{
	uint64_t connections;
	unsigned finishing = fleet_finishing(master->fleet, &connections);
	unsigned serving = fleet_serving(master->fleet);
	char limit[64] = "";
	struct text text;

	text_init(&text, limit, sizeof(limit));
	if (finishing > 0 && master->config->upgrade_drain_timeout_ms != CONFIG_NONE) {
		text_add(&text, ", at most within ");
		text_add_duration_ms(&text, master->config->upgrade_drain_timeout_ms);
	}
	(void)snprintf(answer, size,
		"upgrade: acceptd " PACKAGE_VERSION " serves with %u worker%s; %u of before finish "
		"%" PRIu64 " connection%s%s",
		serving, serving == 1 ? "" : "s", finishing, connections,
		connections == 1 ? "" : "s", limit);
	master_event(master, LOG_LEVEL_NOTICE, "%s", answer);
}

/* A package brings a new file as well as a new program: the one that the check has read is put in
 * force by the means of every other change of it. */
void
upgrade_on_settled(struct master *master, const char *failure)
{
	char answer[1536];

	if (failure == NULL) {
		stat_add(&master->board.writable->stats[STAT_MASTER_upgrades], 1);
		upgrade_say_settled(master, answer, sizeof(answer));
		requests_on_upgrade(master, 0, answer);
		master->reload->is_wanted = true;
	} else {
		stat_add(&master->board.writable->stats[STAT_MASTER_upgrades_failed], 1);
		(void)snprintf(answer, sizeof(answer),
			"upgrade: acceptd " PACKAGE_VERSION " is the master, but its workers do "
			"not serve: %s; the %u workers of acceptd %s go on, others are tried again "
			"and again. To go back, put the former program at %s and run acceptctl "
			"upgrade",
			failure, fleet_outdated(master->fleet), master->upgrade->before,
			master->program);
		master_event(master, LOG_LEVEL_ERROR, "%s", answer);
		requests_on_upgrade(master, -EIO, answer);
	}
	/* Who has said that it stops does not take it back, and who waits for that asked the
	 * monitor that there is. */
	if (master->state == MASTER_SERVING) {
		if (failure == NULL) {
			monitor_child_renew(master->monitor);
		}
		lifecycle_say_ready(master);
	}
	upgrade_end(master);
}
