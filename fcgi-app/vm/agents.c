/* SPDX-License-Identifier: MIT */
#include "vm/agents.h"

#include "base/clock.h"
#include "base/thread.h"
#include "base/uuid.h"
#include "libvirt/domain.h"

#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

enum { GUESTS_MAX = 256, QUERIES_MAX = 64 };

struct answer {
	size_t count;
	struct {
		char mac[sizeof "52:54:00:00:00:00"];
		struct vm_address address;
	} items[VM_ADDRESSES_MAX];
};

struct guest {
	LIST_ENTRY(guest) link;
	char uuid[UUID_SIZE];
	int id;
	bool queued;         /* its agent is to be queried, or is being queried */
	int64_t queried_at;  /* clock_ms() when it was last queued or last queried */
	int64_t answered_at; /* 0: never */
	struct answer answer;
};

struct agents {
	struct hypervisor *hypervisor;
	pthread_t thread;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool stop;
	LIST_HEAD(guest_list, guest) guests;
};

/* Guests, with the lock held */

static struct guest *find_guest(struct agents *agents, const char *uuid, int id)
{
	struct guest *guest = NULL;
	LIST_FOREACH(guest, &agents->guests, link)
		if (!strcmp(guest->uuid, uuid) && guest->id == id)
			break;
	return guest;
}

/* Drops the guests whose answers are too old. Returns how many are left. */
static size_t drop_old_guests(struct agents *agents)
{
	size_t left = 0;
	for (struct guest *next, *g = LIST_FIRST(&agents->guests); g; g = next) {
		next = LIST_NEXT(g, link);
		if (g->queued || clock_ms() - g->queried_at < AGENTS_FRESH_MS) {
			left++;
			continue;
		}
		LIST_REMOVE(g, link);
		free(g);
	}
	return left;
}

static struct guest *add_guest(struct agents *agents, const char *uuid, int id)
{
	struct guest *guest =
		drop_old_guests(agents) < GUESTS_MAX ? calloc(1, sizeof *guest) : NULL;
	if (!guest)
		return NULL;
	(void)snprintf(guest->uuid, sizeof guest->uuid, "%s", uuid);
	guest->id = id;
	LIST_INSERT_HEAD(&agents->guests, guest, link);
	return guest;
}

/* The guest that has been queued longest; NULL: none. */
static struct guest *first_queued(struct agents *agents, size_t *ret_count)
{
	struct guest *first = NULL;
	struct guest *guest = NULL;
	*ret_count = 0;
	LIST_FOREACH(guest, &agents->guests, link) {
		if (!guest->queued)
			continue;
		++*ret_count;
		if (!first || guest->queried_at < first->queried_at)
			first = guest;
	}
	return first;
}

/* Does nothing if the queue is full: the next call for this guest queues it. */
static void queue_query(struct agents *agents, struct guest *guest)
{
	int64_t now = clock_ms();
	size_t queued = 0;
	(void)first_queued(agents, &queued);
	if (guest->queued || queued == QUERIES_MAX ||
		(guest->queried_at && now - guest->queried_at < AGENTS_QUERY_MS))
		return;
	guest->queued = true;
	guest->queried_at = now;
	(void)pthread_cond_signal(&agents->changed);
}

void agents_each_address(
	struct agents *agents, const char *uuid, int id, address_fn *each, void *data)
{
	LOCK(&agents->lock);
	struct guest *guest = find_guest(agents, uuid, id);
	if (!guest)
		guest = add_guest(agents, uuid, id);
	if (!guest)
		return;
	bool fresh = guest->answered_at && clock_ms() - guest->answered_at < AGENTS_FRESH_MS;
	for (size_t i = 0; fresh && i < guest->answer.count; i++)
		each(guest->answer.items[i].mac, &guest->answer.items[i].address, data);
	queue_query(agents, guest);
}

/* Queries */

static void add_to_answer(const char *mac, const struct vm_address *address, void *data)
{
	struct answer *answer = data;
	if (answer->count == VM_ADDRESSES_MAX)
		return;
	(void)snprintf(answer->items[answer->count].mac, sizeof answer->items[0].mac, "%s", mac);
	answer->items[answer->count++].address = *address;
}

static int query_agent(struct lease *lease, const char *uuid, struct answer *ret, struct err *err)
{
	AUTO(virDomainFree) virDomainPtr dom = NULL;
	if (domain_lookup(lease, uuid, &dom, err) < 0)
		return -1;
	/* libvirt's default is no timeout. */
	if (virDomainAgentSetResponseTimeout(dom, AGENTS_ANSWER_SECONDS, 0) < 0)
		return virt_fail(lease, VIRT_READ, err);
	int rc = addresses_each(dom, ADDRESS_BY_AGENT, add_to_answer, ret);
	if (rc < 0)
		(void)virt_fail(lease, VIRT_READ, err);
	/* The timeout belongs to the domain: somebody else's freeze may take longer. */
	(void)virDomainAgentSetResponseTimeout(dom, VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK, 0);
	return rc;
}

/* false: stop. */
static bool await_queued(struct agents *agents, char uuid[static UUID_SIZE], int *ret_id)
{
	const struct guest *first = NULL;
	size_t queued = 0;
	LOCK(&agents->lock);
	while (!agents->stop && !(first = first_queued(agents, &queued)))
		(void)pthread_cond_wait(&agents->changed, &agents->lock);
	if (!first)
		return false;
	(void)snprintf(uuid, UUID_SIZE, "%s", first->uuid);
	*ret_id = first->id;
	return !agents->stop;
}

/* answer is NULL if the agent did not answer: its last answer is then used until it is too old. */
static void keep_answer(
	struct agents *agents, const char *uuid, int id, const struct answer *answer)
{
	LOCK(&agents->lock);
	struct guest *guest = find_guest(agents, uuid, id);
	if (!guest)
		return;
	guest->queued = false;
	guest->queried_at = clock_ms();
	if (!answer)
		return;
	guest->answer = *answer;
	guest->answered_at = guest->queried_at;
}

static void *query_agents(void *data)
{
	struct agents *agents = data;
	char uuid[UUID_SIZE];
	int id = -1;
	while (await_queued(agents, uuid, &id)) {
		AUTO_LEASE struct lease lease = { 0 };
		struct answer answer = { 0 };
		struct err ignored; /* the VM then has no addresses from its agent */
		bool answered = !lease_take(agents->hypervisor, LEASE_CALL, &lease, &ignored) &&
			!query_agent(&lease, uuid, &answer, &ignored);
		keep_answer(agents, uuid, id, answered ? &answer : NULL);
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
	if (thread_start(&agents->thread, "guest-agents", query_agents, agents) < 0) {
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
	while (!LIST_EMPTY(&agents->guests)) {
		struct guest *guest = LIST_FIRST(&agents->guests);
		LIST_REMOVE(guest, link);
		free(guest);
	}
	(void)pthread_cond_destroy(&agents->changed);
	(void)pthread_mutex_destroy(&agents->lock);
	free(agents);
}
