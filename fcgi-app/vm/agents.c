/* SPDX-License-Identifier: MIT */
#include "vm/agents.h"

#include "base/clock.h"
#include "base/thread.h"
#include "base/uuid.h"
#include "libvirt/domain.h"

#include <stdio.h>
#include <string.h>

enum { KNOWN_MAX = 256, WAITING_MAX = 64 };

struct said {
	size_t count;
	struct {
		char mac[sizeof "52:54:00:00:00:00"];
		struct vm_address address;
	} items[VM_ADDRESSES_MAX];
};

struct guest {
	struct guest *next;
	char uuid[UUID_SIZE];
	int id;
	bool waiting;     /* to be asked */
	int64_t asked_at; /* clock_ms() of when that was wanted last */
	int64_t said_at;  /* 0: nothing was said */
	struct said said;
};

struct agents {
	struct hypervisor *hypervisor;
	pthread_t thread;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool stop;
	struct guest *guests;
};

static bool is_fresh(const struct guest *guest)
{
	return guest->said_at && clock_ms() - guest->said_at < AGENTS_FRESH_MS;
}

static struct guest *find(struct agents *agents, const char *uuid, int id)
{
	struct guest *g = agents->guests;
	while (g && (strcmp(g->uuid, uuid) != 0 || g->id != id))
		g = g->next;
	return g;
}

/* Those of whom nothing is known any more; returns how many are left. */
static size_t drop_stale(struct agents *agents)
{
	size_t left = 0;
	for (struct guest **at = &agents->guests; *at;) {
		struct guest *g = *at;
		if (g->waiting || clock_ms() - g->asked_at < AGENTS_FRESH_MS) {
			left++;
			at = &g->next;
			continue;
		}
		*at = g->next;
		free(g);
	}
	return left;
}

static struct guest *add(struct agents *agents, const char *uuid, int id)
{
	struct guest *g = drop_stale(agents) < KNOWN_MAX ? calloc(1, sizeof *g) : NULL;
	if (!g)
		return NULL;
	(void)snprintf(g->uuid, sizeof g->uuid, "%s", uuid);
	g->id = id;
	g->next = agents->guests;
	agents->guests = g;
	return g;
}

static size_t count_waiting(const struct agents *agents)
{
	size_t count = 0;
	for (const struct guest *g = agents->guests; g; g = g->next)
		count += g->waiting;
	return count;
}

/* When too many wait it is asked another time: whoever wants to know asks again. */
static void want(struct agents *agents, struct guest *guest)
{
	int64_t now = clock_ms();
	if (guest->waiting || (guest->asked_at && now - guest->asked_at < AGENTS_ASK_MS) ||
		count_waiting(agents) == WAITING_MAX)
		return;
	guest->waiting = true;
	guest->asked_at = now;
	(void)pthread_cond_signal(&agents->changed);
}

void agents_tell(struct agents *agents, const char *uuid, int id, address_fn *each, void *data)
{
	LOCK(&agents->lock);
	struct guest *guest = find(agents, uuid, id);
	if (!guest)
		guest = add(agents, uuid, id);
	if (!guest)
		return;
	for (size_t i = 0; is_fresh(guest) && i < guest->said.count; i++)
		each(guest->said.items[i].mac, &guest->said.items[i].address, data);
	want(agents, guest);
}

/* Asking */

static void hear(const char *mac, const struct vm_address *address, void *data)
{
	struct said *said = data;
	if (said->count == VM_ADDRESSES_MAX)
		return;
	(void)snprintf(said->items[said->count].mac, sizeof said->items[0].mac, "%s", mac);
	said->items[said->count++].address = *address;
}

static int ask(struct lease *lease, const char *uuid, struct said *ret, struct err *err)
{
	AUTO(virDomainFree) virDomainPtr dom = NULL;
	if (domain_lookup(lease, uuid, &dom, err) < 0)
		return -1;
	/* Its own default is to wait for ever. */
	if (virDomainAgentSetResponseTimeout(dom, AGENTS_ANSWER_SECONDS, 0) < 0)
		return virt_fail(lease, VIRT_READ, err);
	int rc = addresses_each(dom, ADDRESS_BY_AGENT, hear, ret);
	if (rc < 0)
		(void)virt_fail(lease, VIRT_READ, err);
	/* The domain keeps it for all who ask: others' freezes may take longer. */
	(void)virDomainAgentSetResponseTimeout(dom, VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK, 0);
	return rc;
}

/* The one that has waited longest. false: it is time to stop. */
static bool await_guest(struct agents *agents, char uuid[static UUID_SIZE], int *ret_id)
{
	LOCK(&agents->lock);
	while (!agents->stop && !count_waiting(agents))
		(void)pthread_cond_wait(&agents->changed, &agents->lock);
	const struct guest *first = NULL;
	for (const struct guest *g = agents->guests; g; g = g->next)
		if (g->waiting && (!first || g->asked_at < first->asked_at))
			first = g;
	if (agents->stop || !first)
		return false;
	(void)snprintf(uuid, UUID_SIZE, "%s", first->uuid);
	*ret_id = first->id;
	return true;
}

/* said is NULL when the agent did not answer: what it said before still holds for a while. */
static void note(struct agents *agents, const char *uuid, int id, const struct said *said)
{
	LOCK(&agents->lock);
	struct guest *guest = find(agents, uuid, id);
	if (!guest)
		return;
	guest->waiting = false;
	guest->asked_at = clock_ms();
	if (!said)
		return;
	guest->said = *said;
	guest->said_at = guest->asked_at;
}

static void *run(void *data)
{
	struct agents *agents = data;
	char uuid[UUID_SIZE];
	int id = -1;
	while (await_guest(agents, uuid, &id)) {
		AUTO_LEASE struct lease lease = { 0 };
		struct said said = { 0 };
		struct err ignored; /* it has no addresses to tell, then */
		bool heard = !lease_take(agents->hypervisor, LEASE_CALL, &lease, &ignored) &&
			!ask(&lease, uuid, &said, &ignored);
		note(agents, uuid, id, heard ? &said : NULL);
	}
	return NULL;
}

struct agents *agents_new(struct hypervisor *hypervisor)
{
	struct agents *agents = calloc(1, sizeof *agents);
	if (!agents)
		return NULL;
	agents->hypervisor = hypervisor;
	(void)pthread_mutex_init(&agents->lock, NULL);
	cond_init_monotonic(&agents->changed);
	if (thread_start(&agents->thread, "guest-agents", run, agents) < 0) {
		free(agents);
		return NULL;
	}
	return agents;
}

void agents_free(struct agents *agents)
{
	{
		LOCK(&agents->lock);
		agents->stop = true;
		(void)pthread_cond_signal(&agents->changed);
	}
	(void)pthread_join(agents->thread, NULL);
	while (agents->guests) {
		struct guest *g = agents->guests;
		agents->guests = g->next;
		free(g);
	}
	(void)pthread_cond_destroy(&agents->changed);
	(void)pthread_mutex_destroy(&agents->lock);
	free(agents);
}
