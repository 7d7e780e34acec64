/* The source whose client a worker served when it crashed is refused for a while, so that a message
 * that kills cannot be repeated as fast as workers are born. */
#pragma once

#include <stdint.h>

#include "common/board.h"

struct config;
struct listener_config;
struct master;

/** Whether a crash over this peer is held against its source: not when it is a unix peer, on
 *  loopback, in crash_penalty_exempt, or itself a balancer that the listener trusts to speak for
 *  others. Pure. @param listener  NULL: it is configured no more */
bool penalty_applies(const struct config *config, const struct listener_config *listener,
	const union peer *peer);
/** A new configuration is in force: lift what it would not impose. */
void penalty_review(struct master *master);
/** A worker has failed; what it was doing is in the record. Nothing of it is trusted. */
void penalty_impose(struct master *master, const struct board_crash *crash);
