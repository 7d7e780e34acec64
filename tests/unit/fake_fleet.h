/* The fleet as the rest of the master sees it, for tests that need no workers: it remembers what it
 * was asked for. Include once per test program. */
#pragma once

#include "common/channel.h"
#include "master/fleet.h"

static struct {
	unsigned wanted, serving;
	unsigned resized, applied, drained, killed, logs_sent;
	int64_t drain_timeout_ms;
	uint32_t released;
	bool holds;
	uint64_t askable; /* bit i: the worker in slot i hears questions */
	uint64_t deaf;    /* of these: the question cannot be sent */
	uint64_t asked;   /* for its list */
	int list_memory;  /* of the last one asked; borrowed */
	unsigned asked_kills;
	int kill_slot;
	uint32_t kill_serial;
	void (*on_settled)(struct master *master, const char *failure);
	void (*on_gone)(struct master *master);
} fake_fleet = {.wanted = 2, .serving = 2};

int
fleet_start(struct master *master, unsigned count, struct fault *why)
{
	(void)master;
	(void)why;
	fake_fleet.wanted = count;
	return 0;
}
void
fleet_resize(struct fleet *fleet, unsigned count)
{
	(void)fleet;
	fake_fleet.wanted = count;
	fake_fleet.resized++;
}
unsigned
fleet_wanted(const struct fleet *fleet)
{
	(void)fleet;
	return fake_fleet.wanted;
}
unsigned
fleet_serving(const struct fleet *fleet)
{
	(void)fleet;
	return fake_fleet.serving;
}
uint64_t
fleet_oldest_generation(const struct fleet *fleet)
{
	(void)fleet;
	return UINT64_MAX; /* nobody is there */
}
void
fleet_apply(struct fleet *fleet, void (*on_settled)(struct master *master, const char *failure))
{
	(void)fleet;
	fake_fleet.applied++;
	fake_fleet.on_settled = on_settled;
}
void
fleet_release_socket(struct fleet *fleet, uint32_t number)
{
	(void)fleet;
	fake_fleet.released = number;
}
bool
fleet_holds_socket(const struct fleet *fleet, uint32_t number)
{
	(void)fleet;
	(void)number;
	return fake_fleet.holds;
}
bool
fleet_can_be_asked(const struct fleet *fleet, int slot)
{
	(void)fleet;
	return slot < 64 && (fake_fleet.askable >> slot & 1) != 0;
}
bool
fleet_ask_list(struct fleet *fleet, int slot, uint32_t id, int memory)
{
	(void)fleet;
	(void)id;
	if ((fake_fleet.deaf >> slot & 1) != 0) {
		return false;
	}
	fake_fleet.asked |= UINT64_C(1) << slot;
	fake_fleet.list_memory = memory;
	return true;
}
bool
fleet_ask_kill(struct fleet *fleet, int slot, const struct channel_kill *kill)
{
	(void)fleet;
	fake_fleet.asked_kills++;
	fake_fleet.kill_slot = slot;
	fake_fleet.kill_serial = kill->serial;
	return (fake_fleet.deaf >> slot & 1) == 0;
}
void
fleet_send_log(struct fleet *fleet)
{
	(void)fleet;
	fake_fleet.logs_sent++;
}
void
fleet_drain(struct fleet *fleet, int64_t timeout_ms, void (*on_gone)(struct master *master))
{
	(void)fleet;
	fake_fleet.drained++;
	fake_fleet.drain_timeout_ms = timeout_ms;
	fake_fleet.on_gone = on_gone;
}
void
fleet_kill(struct fleet *fleet)
{
	(void)fleet;
	fake_fleet.killed++;
}
void
fleet_reap(struct fleet *fleet)
{
	(void)fleet;
}
unsigned
fleet_outdated(const struct fleet *fleet)
{
	(void)fleet;
	return 0;
}
unsigned
fleet_finishing(const struct fleet *fleet, uint64_t *connections)
{
	(void)fleet;
	*connections = 0;
	return 0;
}
bool
fleet_has_room(const struct fleet *fleet)
{
	(void)fleet;
	return true;
}
int
fleet_hand_over(const struct fleet *fleet, struct upgrade_state *state)
{
	(void)fleet;
	(void)state;
	return 0;
}
int
fleet_take_over(struct fleet *fleet, const struct upgrade_state *state, bool are_old)
{
	(void)fleet;
	(void)are_old;
	(void)state;
	return 0;
}
void
fleet_free(struct fleet **fleet)
{
	*fleet = NULL;
}
