/* The master of one real worker, and its clients: what tests of a worker's life share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/address.h"
#include "common/board.h"
#include "common/channel.h"
#include "tests/unit/run.h"

#define SLOT 2

#define CONFIG(options)                                                                            \
	"max_connections = 1000; drain_timeout = \"20s\";\n"                                       \
	"listeners = ({ name = \"first\"; address = \"127.0.0.1:1\"; " options "},\n"              \
	"{ name = \"second\"; address = \"127.0.0.1:2\"; protocol = \"echo\"; });\n"

#define ECHO CONFIG("protocol = \"echo\"; ")

extern struct board board;
extern int board_memory, channel_fd;
extern pid_t worker_pid;
extern uint64_t generation;
extern struct address addresses[3];
extern int listeners[3];

void start_worker(void);
void tell(enum channel_type type, const void *payload, const int *fds, size_t fd_count);
void tell_hello(void);
void tell_config(const char *text);
/** One socket of a listener; its number is its index here.
 * @param listener  in the configuration, -1: retiring */
void tell_socket(uint32_t number, int listener, bool is_new);
void tell_commit(void);
void hear(enum channel_type type, struct channel_message *message);
void hear_applied(void);
void serve(const char *config);
void reload(const char *config);
void drain(int64_t timeout_ms);
/** @return the wait status */
int wait_for_end(void);
void finish(void);
uint64_t closed(enum close_reason reason);
int client_of(size_t listener);
void say(int client, const char *words);
void expect_echo(int client);
/** @return 0 or -errno */
int wait_for_close(int client);
