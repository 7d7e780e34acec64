#include "monitor/health.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "monitor/reading.h"
#include "tests/unit/run.h"

static struct reading before, now;
static struct health health;

/* Two workers that serve, one listener whose queue is empty. */
static void
create(void)
{
	memset(&now, 0, sizeof(now));
	now.taken_ms = 160000;
	now.worker_count = 2;
	for (int i = 0; i < 2; i++) {
		now.workers[i].slot = i;
		now.workers[i].pid = 100 + i;
		now.workers[i].state = BOARD_WORKER_SERVING;
	}
	now.listener_count = 1;
	(void)strcpy(now.listeners[0].name, "front");
	now.listeners[0].queue[STAT_QUEUE_limit] = 100;
	now.listeners[0].queue[STAT_QUEUE_asked] = 100;
	before = now;
	before.taken_ms = 100000;
}

static void
nothing(void)
{
}
static void
one_is_silent(void)
{
	now.workers[1].silent_ms = 3000;
}
static void
one_is_starting(void)
{
	now.workers[1].state = BOARD_WORKER_STARTING;
}
static void
one_finishes(void)
{
	now.workers[1].state = BOARD_WORKER_DRAINING;
}
static void
all_finish(void)
{
	now.workers[0].state = now.workers[1].state = BOARD_WORKER_DRAINING;
}
static void
an_upgrade_failed(void)
{
	now.master[STAT_MASTER_upgrades_failed] = 1;
}
static void
a_slot_is_unused(void)
{
	now.workers[1].state = BOARD_WORKER_EMPTY;
	now.workers[1].pid = 0;
}
static void
none_serves(void)
{
	now.workers[0].state = now.workers[1].state = BOARD_WORKER_EMPTY;
}
static void
queue_is_full(void)
{
	now.listeners[0].queue[STAT_QUEUE_depth] = 101;
}
static void
queue_holds_its_limit(void)
{
	now.listeners[0].queue[STAT_QUEUE_depth] = 100;
}
static void
queue_is_half_full(void)
{
	now.listeners[0].queue[STAT_QUEUE_depth] = 50;
}
static void
segments_were_dropped(void)
{
	now.listeners[0].queue[STAT_QUEUE_dropped_segments] = 7;
}
static void
segments_were_dropped_long_ago(void)
{
	now.listeners[0].queue[STAT_QUEUE_dropped_segments] = 7;
	before.listeners[0].queue[STAT_QUEUE_dropped_segments] = 7;
}
static void
backlog_is_cut(void)
{
	now.listeners[0].queue[STAT_QUEUE_asked] = 65535;
}
static void
two_servers(void)
{
	now.server_count = 2;
	for (int i = 0; i < 2; i++) {
		struct reading_server *server = &now.servers[i];

		(void)strcpy(server->upstream, "java");
		(void)strcpy(server->name, i == 0 ? "a" : "b");
		server->is_configured = server->is_up = true;
		server->weight = 1;
	}
	before.server_count = 2;
	memcpy(before.servers, now.servers, sizeof(now.servers));
}
static void
one_back_end_is_down(void)
{
	two_servers();
	now.servers[1].is_up = false;
	now.servers[1].since_ms = 35000;
	now.servers[1].cause = ETIMEDOUT;
}
static void
a_removed_back_end_is_down(void)
{
	one_back_end_is_down();
	now.servers[1].is_configured = false;
}
static void
the_only_other_is_drained(void)
{
	two_servers();
	now.servers[0].is_drained = now.servers[1].is_drained = true;
	now.servers[0].waiting = 7;
	now.servers[0].oldest_wait_ms = 4000;
}
static void
syns_were_dropped(void)
{
	two_servers();
	now.servers[1].stats[STAT_SERVER_syn_retries] = 3;
}
static void
syns_were_dropped_long_ago(void)
{
	syns_were_dropped();
	before.servers[1].stats[STAT_SERVER_syn_retries] = 3;
}
static void
ports_ran_out(void)
{
	two_servers();
	now.servers[0].stats[STAT_SERVER_no_port] = 5;
}
static void
more_is_declared_than_there_is(void)
{
	two_servers();
	now.servers[0].has_queue = true;
	now.servers[0].backlog = 100;
	now.servers[0].queue_limit = 50;
}
static void
queue_of_a_back_end_overflows(void)
{
	two_servers();
	now.servers[0].has_queue = true;
	now.servers[0].queue_depth = 51;
	now.servers[0].queue_limit = 50;
}
static void
others_overrun_a_paced_back_end(void)
{
	queue_of_a_back_end_overflows();
	now.servers[0].backlog = 50;
}
static void
clients_wait_for_one_that_does_not_accept(void)
{
	two_servers();
	now.servers[0].held = now.servers[0].max_connections = 9;
	now.servers[1].backlog = 50;
	now.servers[1].unproven = 20;
	now.servers[1].settled = 40;
	now.servers[1].has_queue = true;
	now.servers[1].queue_depth = 30;
	now.servers[1].queue_limit = 50;
	now.servers[0].waiting = now.servers[1].waiting = 30;
	now.servers[0].oldest_wait_ms = now.servers[1].oldest_wait_ms = 12000;
}
static void
clients_wait_a_little(void)
{
	clients_wait_for_one_that_does_not_accept();
	now.servers[0].oldest_wait_ms = now.servers[1].oldest_wait_ms = 4999;
}
static void
clients_got_no_place(void)
{
	now.listeners[0].sum.closed[CLOSE_queue_timeout] = 15;
	now.listeners[0].sum.closed[CLOSE_queue_full] = 3;
	before.listeners[0].sum.closed[CLOSE_queue_full] = 1;
	now.listeners[0].sum.closed[CLOSE_source_limit] = 99;
}
static void
a_name_has_no_address_yet(void)
{
	two_servers();
	now.servers[1].place = 1;
	now.servers[1].place_state = BOARD_PLACE_EMPTY;
	(void)strcpy(now.servers[1].asked, "b.internal:80");
	now.servers[1].lookup.state = BOARD_LOOKUP_FAILING;
	now.servers[1].lookup.failing_ms = 3000;
	now.servers[1].lookup.age_ms = -1;
}
static void
a_name_that_had_one_fails(void)
{
	a_name_has_no_address_yet();
	now.servers[1].place_state = BOARD_PLACE_HELD;
	now.servers[1].lookup.age_ms = 5000;
}
static void
log_lines_were_lost(void)
{
	now.workers[1].stats[STAT_WORKER_log_lines_dropped] = 2;
	now.master[STAT_MASTER_log_lines_dropped] = 5;
}
static void
session_lines_were_lost(void)
{
	now.workers[1].stats[STAT_WORKER_session_lines_dropped] = 9;
}
static void
listener_is_drained(void)
{
	now.listeners[0].queue[STAT_QUEUE_drained] = 1;
	now.listeners[0].queue[STAT_QUEUE_dropped_segments] = 7; /* who is kept out */
}
static void
descriptors_are_gone(void)
{
	now.workers[0].pause = BOARD_PAUSE_DESCRIPTORS;
}
static void
limit_is_reached(void)
{
	now.workers[0].pause = now.workers[1].pause = BOARD_PAUSE_LIMIT;
}
static void
balance_pauses(void)
{
	now.workers[0].pause = BOARD_PAUSE_BALANCE;
}
static void
a_worker_crashed(void)
{
	now.master[STAT_MASTER_worker_crashes] = 3;
	before.master[STAT_MASTER_worker_crashes] = 1;
}
static void
a_reload_was_refused(void)
{
	now.master[STAT_MASTER_reloads_failed] = 1;
}

static void
senders_bring_no_header(void)
{
	now.listeners[0].sum.stats[STAT_LISTENER_accepted] = 1000;
	now.listeners[0].sum.closed[CLOSE_proxy_header] = 7;
	now.listeners[0].sum.closed[CLOSE_proxy_timeout] = 4;
	before.listeners[0].sum.closed[CLOSE_proxy_timeout] = 1;
}
static void
only_strangers_came(void)
{
	now.listeners[0].sum.stats[STAT_LISTENER_accepted] = 1010;
	before.listeners[0].sum.stats[STAT_LISTENER_accepted] = 1000;
	now.listeners[0].sum.closed[CLOSE_untrusted] = 10;
}
static void
strangers_came_too(void)
{
	now.listeners[0].sum.stats[STAT_LISTENER_accepted] = 1011;
	before.listeners[0].sum.stats[STAT_LISTENER_accepted] = 1000;
	now.listeners[0].sum.closed[CLOSE_untrusted] = 10;
}
static void
a_few_strangers_came(void)
{
	now.listeners[0].sum.stats[STAT_LISTENER_accepted] = 9;
	now.listeners[0].sum.closed[CLOSE_untrusted] = 9;
}

static const struct {
	void (*happens)(void);
	enum health_level level;
	const char *says; /* NULL: nothing */
} cases[] = {
	{nothing, HEALTH_GOOD, NULL},
	{one_is_silent, HEALTH_WARNING, "worker 1 (pid 101) has made no progress for 3.0 s"},
	{one_is_starting, HEALTH_WARNING, "1 of 2 workers serve"},
	{a_slot_is_unused, HEALTH_GOOD, NULL},
	{one_finishes, HEALTH_GOOD, NULL},
	{all_finish, HEALTH_BAD, "no worker serves"},
	{an_upgrade_failed, HEALTH_WARNING, "upgrades that failed in the last minute: 1"},
	{none_serves, HEALTH_BAD, "no worker serves"},
	{queue_is_full, HEALTH_BAD, "listener front: the accept queue is full (101 of 100)"},
	{queue_holds_its_limit, HEALTH_WARNING, "more than half full (100 of 100)"},
	{queue_is_half_full, HEALTH_GOOD, NULL},
	{segments_were_dropped, HEALTH_WARNING, "dropped 7 segments in the last minute"},
	{segments_were_dropped_long_ago, HEALTH_GOOD, NULL},
	{backlog_is_cut, HEALTH_WARNING, "sysctl -w net.core.somaxconn=65535"},
	{listener_is_drained, HEALTH_WARNING, "listener front is drained"},
	{descriptors_are_gone, HEALTH_BAD, "because their descriptors are used up: 1; raise"},
	{limit_is_reached, HEALTH_WARNING, "because max_connections is reached: 2; clients wait"},
	{balance_pauses, HEALTH_GOOD, NULL},
	{a_worker_crashed, HEALTH_WARNING, "workers that crashed in the last minute: 2; see"},
	{a_reload_was_refused, HEALTH_WARNING,
		"reloads that were refused in the last minute: 1; nothing changed"},
	{senders_bring_no_header, HEALTH_WARNING,
		"listener front: connections from trusted senders without a good PROXY header in "
		"the "
		"last minute: 10"},
	{only_strangers_came, HEALTH_WARNING,
		"listener front: all 10 clients of the last minute were reset because they are not "
		"in trusted"},
	{strangers_came_too, HEALTH_GOOD, NULL},
	{a_few_strangers_came, HEALTH_GOOD, NULL},
	{two_servers, HEALTH_GOOD, NULL},
	{one_back_end_is_down, HEALTH_WARNING, "back end java/b is down for 35 s: no answer"},
	{a_removed_back_end_is_down, HEALTH_GOOD, NULL},
	{the_only_other_is_drained, HEALTH_BAD,
		"upstream java: no server takes clients, every one is down, drained or without an "
		"address; 7 wait, the first for 4.0 s"},
	{syns_were_dropped, HEALTH_WARNING,
		"java/b: its accept queue overflows, SYNs sent again in the last minute: 3; "
		"declare its length"},
	{syns_were_dropped_long_ago, HEALTH_GOOD, NULL},
	{ports_ran_out, HEALTH_WARNING,
		"java/a: connects without a local port in the last minute: 5; add own addresses"},
	{more_is_declared_than_there_is, HEALTH_WARNING, "java/a: backlog = 100 is declared"},
	{queue_of_a_back_end_overflows, HEALTH_WARNING,
		"java/a: its accept queue overflows (51 of 50 now); declare its length as backlog"},
	{others_overrun_a_paced_back_end, HEALTH_WARNING,
		"java/a: its accept queue overflows (51 of 50 now); connects are paced to backlog "
		"= "
		"50, so others connect to it too: raise the queue there"},
	{clients_wait_for_one_that_does_not_accept, HEALTH_WARNING,
		"upstream java: clients that wait for a place: 30, the first for 12 s: back end "
		"java/b leaves 50 connections without an answer, as many as its backlog: it is "
		"stopped or overloaded; look there"},
	{clients_wait_a_little, HEALTH_GOOD, NULL},
	{clients_got_no_place, HEALTH_WARNING,
		"listener front: clients refused in the last minute: queue_timeout 15, queue_full "
		"2; see acceptctl events"},
	{a_name_has_no_address_yet, HEALTH_WARNING,
		"upstream java: b.internal:80 cannot be looked up for 3.0 s, it has no address "
		"yet"},
	{a_name_that_had_one_fails, HEALTH_WARNING, "for 3.0 s, the last answer holds"},
	{log_lines_were_lost, HEALTH_WARNING, "lines of the log lost in the last minute: 7;"},
	{session_lines_were_lost, HEALTH_WARNING,
		"lines of the session log lost in the last minute: 9;"},
};

START_TEST(each_trouble_is_named_and_weighed)
{
	cases[_i].happens();
	health_judge(&before, &now, &health);
	ck_assert_int_eq(health.level, cases[_i].level);
	ck_assert_uint_eq(health.count, cases[_i].says == NULL ? 0 : 1);
	if (cases[_i].says != NULL) {
		ck_assert_msg(strstr(health.findings[0].text, cases[_i].says) != NULL, "%s",
			health.findings[0].text);
	}
}
END_TEST

START_TEST(the_worst_decides_and_too_many_are_cut)
{
	now.listener_count = 40;
	for (size_t i = 0; i < 40; i++) {
		now.listeners[i] = now.listeners[0];
		(void)snprintf(now.listeners[i].name, sizeof(now.listeners[i].name), "l%zu", i);
		now.listeners[i].queue[STAT_QUEUE_asked] = 1000;
	}
	now.listeners[39].queue[STAT_QUEUE_depth] = 101;
	health_judge(&before, &now, &health);
	ck_assert_uint_eq(health.count, HEALTH_FINDINGS_MAX);
	ck_assert_int_eq(health.level, HEALTH_BAD);
	ck_assert_str_eq(health_level_name(HEALTH_BAD), "ill");
}
END_TEST

UNIT_TESTS("health", tcase_add_checked_fixture(tests, create, NULL);
	   tcase_add_loop_test(tests, each_trouble_is_named_and_weighed, 0, ARRAY_LEN(cases));
	   tcase_add_test(tests, the_worst_decides_and_too_many_are_cut);)
