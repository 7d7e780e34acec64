/* One upstream of a worker's service, and sessions that ask it for places and only note what they
 * are told. */
#pragma once

#include <stdio.h>
#include <string.h>

#include "common/config.h"
#include "tests/unit/run.h"
#include "tests/unit/service_help.h"
#include "worker/upstream_private.h"

#define SESSIONS 8

static struct board board;
static struct service service;
static struct upstream *upstream;

/* What a session was told last. */
static struct session {
	struct upstream_request request;
	int granted, refused;
	enum close_reason reason;
} sessions[SESSIONS];

static inline void
session_on_granted(struct upstream_request *request)
{
	container_of(request, struct session, request)->granted++;
}

static inline void
session_on_refused(struct upstream_request *request, enum close_reason reason)
{
	struct session *session = container_of(request, struct session, request);

	session->refused++;
	session->reason = reason;
}

/** A configuration with the upstream "u", whose rows are on the board; as the master does it, but
 *  for the workers' part, which follows with help_commit. */
static inline struct config *
help_load_upstream(const char *options, const char *servers)
{
	static struct findings findings;
	struct config *config = NULL;
	char text[1024], name[CONFIG_ROW_NAME_MAX];

	memset(&findings, 0, sizeof(findings));
	(void)snprintf(text, sizeof(text),
		"listeners = ( { name = \"l\"; address = \"127.0.0.1:7000\"; protocol = \"echo\"; "
		"} );"
		"upstreams = ( { name = \"u\"; %s servers = ( %s ); } );",
		options, servers);
	ck_assert_msg(config_load_text(text, "t.conf", &config, &findings) == 0, "%s",
		findings.items[0].text);
	ck_assert_int_eq(board_upstream_index(&board, "u"), 0);
	for (size_t i = 0; i < config->server_count; i++) {
		const struct upstream_server_config *server = &config->servers[i];

		for (size_t k = 0; k < config_server_rows(server); k++) {
			int row = board_server_index(&board, 0, config_row_name(server, k, name));

			ck_assert_int_ge(row, 0);
			if (endpoint_is_name(&server->where)) {
				board.writable->servers[row].place = (int32_t)k + 1;
			}
		}
	}
	return config;
}

/** This configuration is in force from here on. @param config  taken over */
static inline void
help_commit_upstream(struct config *config)
{
	ck_assert_int_eq(upstreams_prepare(&service, config), 0);
	upstreams_commit(&service);
	config_free(&config);
	upstream = upstream_find(&service, "u");
	ck_assert_ptr_nonnull(upstream);
}

static inline void
upstream_setup(void)
{
	help_open_service(&service, &board);
	for (int i = 0; i < SESSIONS; i++) {
		sessions[i].request.on_granted = session_on_granted;
		sessions[i].request.on_refused = session_on_refused;
	}
}

/** Every test ends with every place free. */
static inline void
upstream_teardown(void)
{
	for (int i = 0; i < SESSIONS; i++) {
		upstream_done(&sessions[i].request);
	}
	for (int i = 0; i < BOARD_SERVERS; i++) {
		ck_assert_uint_eq(stat_get(&service.slot->servers[i].held), 0);
		ck_assert_uint_eq(stat_get(&service.slot->servers[i].unproven), 0);
		ck_assert_uint_eq(stat_get(&service.slot->servers[i].settled), 0);
	}
	ck_assert_uint_eq(stat_get(&service.slot->upstreams[0].waiting), 0);
	ck_assert_uint_eq(stat_get(&service.slot->upstreams[0].ticket), 0);
	upstreams_fini(&service);
	service_fini(&service);
}
