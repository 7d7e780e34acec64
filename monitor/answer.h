/* What a name means: gathered from several answers of DNS, then reduced to what there is room for.
 * Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/board.h"
#include "common/channel.h"

#define ANSWER_MAX 1024 /* addresses that are chosen from; a hostile answer may have more */

enum answer_family { ANSWER_IPV4 = 1, ANSWER_IPV6 = 2 };

struct answer {
	struct answer_item {
		struct board_place place; /* weight as the record says */
		uint16_t priority;        /* of the SRV record, lower comes first */
	} items[ANSWER_MAX];
	size_t count;
	size_t found;                /* all there were, but for doubles */
	uint32_t ttl_s;              /* the lowest of all parts */
	enum channel_lookup failure; /* of any part */
	unsigned failed_families;    /* enum answer_family: what these are is not known */
};

void answer_init(struct answer *answer);
/** Add an address, unless it is there already or of another family than IP.
 *  @param port  host order */
void answer_add(struct answer *answer, const struct sockaddr *address, uint16_t port,
	uint16_t priority, uint16_t weight);
/** An answer holds no longer than its shortest part. */
void answer_limit_ttl(struct answer *answer, uint32_t ttl_s);
/** A part is not known. @param families  which addresses it could have had */
void answer_fail(struct answer *answer, enum channel_lookup failure, unsigned families);

/** All parts are there: that some had nothing is no failure when others have an address. */
void answer_settle(struct answer *answer);
/** What is in use and may have been in the part that failed stays in the answer.
 *  @param known  the places as they are */
void answer_keep(struct answer *answer, const struct board_place *known, size_t known_count);
/** Choose what there is room for: lowest priority first, then what is in use, then by address, so
 *  that every machine chooses the same. Weights become 1..256, what is not of the lowest priority
 *  becomes a backup.
 *  @param is_srv  the weights mean something
 *  @return how many were written to `chosen` */
size_t answer_choose(struct answer *answer, const struct board_place *known, size_t known_count,
	bool is_srv, struct board_place *chosen, size_t room);
