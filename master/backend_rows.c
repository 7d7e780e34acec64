#include "master/backend_rows.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/config.h"
#include "common/fault.h"

static_assert(BOARD_SERVER_MAX > 120 + sizeof("/32"), "the configuration allows such names");

enum row_use {
	ROW_FREE,    /* nobody's */
	ROW_IDLE,    /* of a name that nothing uses any more */
	ROW_WANTED,  /* the new configuration has it */
	ROW_LEAVING, /* the one in force has it, the new one has not */
	ROW_HELD,    /* connections that came under an earlier configuration use it */
	ROW_AWAITED, /* a worker may still work under a configuration that has it */
	ROW_USES,
};
struct row {
	enum row_use use;
	uint64_t left_generation; /* as its head says */
};
struct rows {
	struct row upstreams[BOARD_UPSTREAMS];
	struct row servers[BOARD_SERVERS];
	unsigned new_upstreams, new_servers; /* that have no row yet */
};

static bool
is_set(const _Atomic uint32_t *flag)
{
	return atomic_load((_Atomic uint32_t *)(uintptr_t)flag) != 0;
}

/* --- what the rows are used for --- */

static bool
is_known(const struct board *board, int upstream)
{
	int slots = board_slots_used(board);

	for (int slot = 0; slot < slots; slot++) {
		if (atomic_load(&board->slots[slot].upstreams[upstream].known) != 0) {
			return true;
		}
	}
	return false;
}

/* As far as it is the same for both. */
static struct row
row_of(const _Atomic uint32_t *is_used, const _Atomic uint32_t *is_configured,
	const board_cell *left_generation, uint64_t oldest_generation)
{
	struct row row = {ROW_FREE, 0};

	if (!is_set(is_used)) {
		return row;
	}
	row.left_generation = stat_get(left_generation);
	if (is_set(is_configured)) {
		row.use = ROW_LEAVING;
	} else if (oldest_generation < row.left_generation) {
		row.use = ROW_AWAITED;
	} else {
		row.use = ROW_IDLE;
	}
	return row;
}

static struct row
look_at_upstream(const struct board *board, int index, uint64_t oldest_generation)
{
	const struct board_upstream_head *head = &board->master->upstreams[index];
	struct row row = row_of(
		&head->is_used, &head->is_configured, &head->left_generation, oldest_generation);

	if (row.use == ROW_IDLE && is_known(board, index)) {
		row.use = ROW_HELD;
	}
	return row;
}

/* Of an upstream that is not configured, whoever still knows it may get a place at any server. */
static struct row
look_at_server(const struct board *board, int index, uint64_t oldest_generation)
{
	const struct board_server_head *head = &board->master->servers[index];
	const struct board_upstream_head *above = &board->master->upstreams[head->upstream];
	struct row row = row_of(
		&head->is_used, &head->is_configured, &head->left_generation, oldest_generation);

	if (row.use == ROW_IDLE &&
		(board_server_held(board, index) > 0 ||
			(!is_set(&above->is_configured) && is_known(board, head->upstream)))) {
		row.use = ROW_HELD;
	}
	return row;
}

/* An upstream's row takes those of its servers with it. */
static void
keep_upstreams_of_servers(const struct board *board, struct rows *rows)
{
	for (int i = 0; i < BOARD_SERVERS; i++) {
		int upstream = board->master->servers[i].upstream;

		if (rows->servers[i].use > ROW_IDLE && rows->upstreams[upstream].use == ROW_IDLE) {
			rows->upstreams[upstream].use = rows->servers[i].use;
		}
	}
}

static void
want_servers(const struct board *board, int upstream, const struct upstream_config *config,
	struct rows *rows)
{
	char name[CONFIG_ROW_NAME_MAX];

	for (size_t i = 0; i < config->server_count; i++) {
		size_t count = config_server_rows(&config->servers[i]);

		for (size_t k = 0; k < count; k++) {
			int row = board_find_server(
				board, upstream, config_row_name(&config->servers[i], k, name));

			if (row >= 0) {
				rows->servers[row].use = ROW_WANTED;
			} else {
				rows->new_servers++;
			}
		}
	}
}

static void
want(const struct board *board, const struct config *config, struct rows *rows)
{
	for (size_t i = 0; i < config->upstream_count; i++) {
		int row = board_find_upstream(board, config->upstreams[i].name);

		if (row >= 0) {
			rows->upstreams[row].use = ROW_WANTED;
		} else {
			rows->new_upstreams++;
		}
		want_servers(board, row, &config->upstreams[i], rows);
	}
}

static void
look(const struct board *board, const struct config *config, uint64_t oldest_generation,
	struct rows *rows)
{
	memset(rows, 0, sizeof(*rows));
	for (int i = 0; i < BOARD_UPSTREAMS; i++) {
		rows->upstreams[i] = look_at_upstream(board, i, oldest_generation);
	}
	for (int i = 0; i < BOARD_SERVERS; i++) {
		rows->servers[i] = look_at_server(board, i, oldest_generation);
	}
	want(board, config, rows);
	keep_upstreams_of_servers(board, rows);
}

/* --- whether there is room --- */

static int
check(const struct row *rows, unsigned row_count, unsigned wanted, const char *what,
	struct fault *why)
{
	unsigned counts[ROW_USES] = {0};

	for (unsigned i = 0; i < row_count; i++) {
		counts[rows[i].use]++;
	}
	if (wanted <= counts[ROW_FREE] + counts[ROW_IDLE]) {
		return 0;
	}
	return fault_say(why, ENOSPC,
		"upstreams: the statistics have room for %u names of %s (a server given by name "
		"has one for each of its places), and this configuration has %u; %u more are in "
		"the one in force and can go only after it, %u are in neither, but connections "
		"that came under an earlier one go on, %u wait for a worker that starts, is slow "
		"or on its way out; take the old ones out with one reload and put the new ones in "
		"with the next, or wait until those connections have ended",
		row_count, what, wanted + counts[ROW_WANTED], counts[ROW_LEAVING], counts[ROW_HELD],
		counts[ROW_AWAITED]);
}

int
backend_rows_check(const struct board *board, const struct config *config,
	uint64_t oldest_generation, struct fault *why)
{
	struct rows rows;
	int status;

	look(board, config, oldest_generation, &rows);
	status = check(rows.upstreams, BOARD_UPSTREAMS, rows.new_upstreams, "upstreams", why);
	return status == 0 ? check(rows.servers, BOARD_SERVERS, rows.new_servers, "servers", why)
			   : status;
}

/* --- giving --- */

/* Of the idle ones that which left first. There is one: the room was checked. */
static int
oldest(const struct row *rows, int count)
{
	int found = -1;

	for (int i = 0; i < count; i++) {
		if (rows[i].use == ROW_IDLE &&
			(found < 0 || rows[i].left_generation < rows[found].left_generation)) {
			found = i;
		}
	}
	assert(found >= 0);
	return found;
}

/* @return its row */
static int
give_upstream(struct board *board, const char *name, struct rows *rows)
{
	int row = board_upstream_index(board, name);

	if (row >= 0) {
		rows->upstreams[row].use = ROW_WANTED;
		return row;
	}
	row = oldest(rows->upstreams, BOARD_UPSTREAMS);
	for (int i = 0; i < BOARD_SERVERS; i++) {
		if (rows->servers[i].use == ROW_IDLE && board->master->servers[i].upstream == row) {
			rows->servers[i].use = ROW_FREE;
		}
	}
	board_give_upstream(board, row, name);
	rows->upstreams[row].use = ROW_WANTED;
	return row;
}

static void
give_server(struct board *board, int upstream, const char *name, struct rows *rows)
{
	int row = board_server_index(board, upstream, name);

	if (row < 0) {
		row = oldest(rows->servers, BOARD_SERVERS);
		board_give_server(board, row, upstream, name);
	}
	rows->servers[row].use = ROW_WANTED;
}

static void
give_servers(
	struct board *board, int upstream, const struct upstream_config *config, struct rows *rows)
{
	char name[CONFIG_ROW_NAME_MAX];

	for (size_t i = 0; i < config->server_count; i++) {
		size_t count = config_server_rows(&config->servers[i]);

		for (size_t k = 0; k < count; k++) {
			give_server(board, upstream, config_row_name(&config->servers[i], k, name),
				rows);
		}
	}
}

void
backend_rows_give(struct board *board, const struct config *config, uint64_t oldest_generation)
{
	struct rows rows;

	look(board, config, oldest_generation, &rows);
	for (size_t i = 0; i < config->upstream_count; i++) {
		const struct upstream_config *upstream = &config->upstreams[i];

		give_servers(board, give_upstream(board, upstream->name, &rows), upstream, &rows);
	}
}
