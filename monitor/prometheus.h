/* Text exposition for Prometheus, format 0.0.4: one metric for each row of stats.def and two
 * histograms, in base units, HELP from the row, stable labels (listener, worker, reason). Pure. */
#pragma once

#include <stdint.h>
#include <stdio.h>

struct board;
struct reading;
struct states;

#define PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/** @param board  for the histograms of the listeners and workers of the reading */
void prometheus_print(const struct reading *reading, const struct board *board, FILE *stream);
/** The sockets of the listeners by state, those that there are, as they were counted so long ago.
 */
void prometheus_print_states(const struct states *states, int64_t age_ms, FILE *stream);
