/* Each server walks the table in an order of its own and takes the next free place in turn; a
 * server of less than the largest weight sits out its share of the turns. */
#include "common/maglev.h"

#include <errno.h>
#include <string.h>

#include "common/siphash.h"

struct walk {
	uint32_t offset, skip, next;
	unsigned credit; /* grows by the weight each round; a turn costs the largest weight */
};

/* Fixed keys: all machines must agree, and the names come from the configuration, not from clients.
 */
static const struct siphash_key offset_key = {0x6163636570746431, 1};
static const struct siphash_key skip_key = {0x6163636570746432, 2};

static unsigned
heaviest(const struct maglev_server *servers, size_t count)
{
	unsigned most = 0;

	for (size_t i = 0; i < count; i++) {
		most = servers[i].weight > most ? servers[i].weight : most;
	}
	return most;
}

static void
walk_init(struct walk *walk, const char *name)
{
	size_t len = strlen(name);

	*walk = (struct walk){
		.offset = (uint32_t)(siphash(&offset_key, name, len) % MAGLEV_SIZE),
		.skip = (uint32_t)(siphash(&skip_key, name, len) % (MAGLEV_SIZE - 1) + 1),
	};
}

/* The next free place of a server's walk; there is one, or the table would be full. */
static void
walk_take(struct walk *walk, uint16_t server, uint16_t table[MAGLEV_SIZE])
{
	uint32_t place;

	do {
		place = (uint32_t)(((uint64_t)walk->skip * walk->next + walk->offset) %
				   MAGLEV_SIZE);
		walk->next++;
	} while (table[place] != MAGLEV_NONE);
	table[place] = server;
}

static void
fill(const struct maglev_server *servers, size_t count, unsigned most, struct walk *walks,
	uint16_t table[MAGLEV_SIZE])
{
	uint32_t taken = 0;

	for (;;) {
		for (size_t i = 0; i < count; i++) {
			walks[i].credit += servers[i].weight;
			if (walks[i].credit < most) {
				continue;
			}
			walks[i].credit -= most;
			walk_take(&walks[i], (uint16_t)i, table);
			if (++taken == MAGLEV_SIZE) {
				return;
			}
		}
	}
}

int
maglev_build(const struct maglev_server *servers, size_t count, uint16_t table[MAGLEV_SIZE])
{
	struct walk walks[MAGLEV_SERVERS_MAX];
	unsigned most = heaviest(servers, count);

	if (count > MAGLEV_SERVERS_MAX) {
		return -EINVAL;
	}
	for (size_t i = 0; i < MAGLEV_SIZE; i++) {
		table[i] = MAGLEV_NONE;
	}
	if (most == 0) {
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		walk_init(&walks[i], servers[i].name);
	}
	fill(servers, count, most, walks, table);
	return 0;
}
