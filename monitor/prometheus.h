/* Text exposition for Prometheus, format 0.0.4: one metric per row of stats.def, base units, HELP
 * from the row, stable labels (listener, worker, reason). Pure. */
#pragma once

#include <stdio.h>

struct reading;

void prometheus_print(const struct reading *reading, FILE *stream);
