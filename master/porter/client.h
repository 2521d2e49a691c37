/* SPDX-License-Identifier: ISC */
/*
 * The clients: each one's life from accept until its session has ended. This is the file that
 * decides what a client needs next, and the one that knows acceptors, limits, pools and relays.
 */
#ifndef MASTER_PORTER_CLIENT_H
#define MASTER_PORTER_CLIENT_H

#include "lib/base/loop.h"
#include "lib/conf/settings.h"
#include "lib/net/networks.h"
#include "master/porter/limits.h"
#include "master/porter/proxy.h"

struct clients_setup {
	struct loop *loop; /* stopped when clients_retire or clients_stop has come to its end */
	const struct settings *settings;
	struct limits *limits;
	const struct networks *balancers; /* whose connections begin with a PROXY header */
};

/* Accepts from then on, each service once its program has announced itself. */
void clients_start(const struct clients_setup *setup);
/* A successor listens. Those who wait outside are still served as long as there are idle workers
 * that know us; the loop stops with the last client. */
void clients_retire(void);
/* Those without a session are told and let go. Sessions are told by their own programs; relays
 * carry their last words, for a few seconds at most. */
void clients_stop(void);

#endif
