/* SPDX-License-Identifier: MIT */
/*
 * libvirt called directly, on one connection: what virtgate's requests are measured beside, and
 * what fills the test driver with VMs.
 *
 *     direct URI
 *
 * Each line of the input is a command, and each makes one line of output:
 *
 *     vms N            as many VMs on the test driver, all running, and the one that it has itself
 *     list SECONDS     the calls of one list, again and again: median and number
 *     turns SECONDS REF suspend and resume it, again and again: mean of both together and number
 *
 * Times are in milliseconds. The test driver keeps its VMs as long as somebody is connected.
 */
#include "base/base.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <string.h>

enum { SAMPLES_MAX = 1000000 };

static virConnectPtr conn;
static double samples[SAMPLES_MAX];

static _Noreturn void die(const char *what)
{
	(void)fprintf(stderr, "direct: %s: %s\n", what, virGetLastErrorMessage());
	exit(1);
}

static double now_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* One that is there already stays. */
static void make_vm(int i)
{
	char xml[512];
	(void)snprintf(xml, sizeof xml,
		"<domain type='test'><name>vm-%04d</name>"
		"<uuid>00000000-0000-4000-8000-%012d</uuid><memory unit='KiB'>65536</memory>"
		"<vcpu>1</vcpu><os><type>hvm</type></os></domain>",
		i, i);
	virDomainPtr dom = virDomainDefineXML(conn, xml);
	if (!dom || (virDomainIsActive(dom) == 0 && virDomainCreate(dom) < 0))
		die("a VM cannot be made");
	(void)virDomainFree(dom);
}

static void make_vms(int count)
{
	for (int i = virConnectNumOfDomains(conn); i < count; i++)
		make_vm(i);
	(void)printf("%d\n", virConnectNumOfDomains(conn));
}

/* As fcgi-app/vm/inventory.c makes them where most VMs are persistent. */
static void list_once(void)
{
	static const unsigned filters[] = {
		VIR_CONNECT_LIST_DOMAINS_AUTOSTART,
		VIR_CONNECT_LIST_DOMAINS_TRANSIENT,
		VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE,
		VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT,
	};
	virDomainStatsRecordPtr *stats = NULL;
	if (virConnectGetAllDomainStats(conn, VIR_DOMAIN_STATS_STATE, &stats, 0) < 0)
		die("no statistics");
	virDomainStatsRecordListFree(stats);
	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		virDomainPtr *list = NULL;
		int count = virConnectListAllDomains(conn, &list, filters[i]);
		if (count < 0)
			die("no list");
		for (int j = 0; j < count; j++)
			(void)virDomainFree(list[j]);
		free(list);
	}
}

static void turn_once(const char *name)
{
	static int (*const calls[])(virDomainPtr) = { virDomainSuspend, virDomainResume };
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		virDomainPtr dom = virDomainLookupByName(conn, name);
		if (!dom || calls[i](dom) < 0)
			die(name);
		(void)virDomainFree(dom);
	}
}

static int compare_samples(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return (x > y) - (x < y);
}

static void measure_lists(double seconds)
{
	int n = 0;
	double start = now_ms();
	for (double at = start; n < SAMPLES_MAX && at - start < seconds * 1e3; n++) {
		list_once();
		double done = now_ms();
		samples[n] = done - at;
		at = done;
	}
	qsort(samples, (size_t)n, sizeof samples[0], compare_samples);
	(void)printf("%.4f %d\n", samples[n / 2], n);
}

static void measure_turns(double seconds, const char *name)
{
	int n = 0;
	double start = now_ms();
	double at = start;
	for (; at - start < seconds * 1e3; n++) {
		turn_once(name);
		at = now_ms();
	}
	(void)printf("%.4f %d\n", (at - start) / n, n);
}

static void obey(const char *line)
{
	int count = 0;
	double seconds = 0;
	char name[256];
	if (sscanf(line, "vms %d", &count) == 1)
		make_vms(count);
	else if (sscanf(line, "list %lf", &seconds) == 1)
		measure_lists(seconds);
	else if (sscanf(line, "turns %lf %255s", &seconds, name) == 2)
		measure_turns(seconds, name);
	else
		die(line);
	(void)fflush(stdout);
}

int main(int argc, char *argv[])
{
	char line[512];
	conn = argc == 2 ? virConnectOpen(argv[1]) : NULL;
	if (!conn)
		die("no connection");
	while (fgets(line, sizeof line, stdin))
		obey(line);
	(void)virConnectClose(conn);
	return 0;
}
