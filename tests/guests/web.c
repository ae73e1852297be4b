// SPDX-License-Identifier: MIT
// A web server with a network card: it stands in for the http-reply unikernel, and, if it finds a
// shared directory and serves that, for nginx. Its address it has from the kernel's command line,
// or else by DHCP.
//
//   ip=192.168.122.50
//   netdev.ipv4_addr=192.168.122.50 --     as Unikraft's kernels are told
#include "bytes.h"
#include "dhcp.h"
#include "guest.h"
#include "http.h"
#include "interrupt.h"
#include "net.h"
#include "tcp.h"

static const struct net_protocol protocols[] = {
	{ NET_UDP, dhcp_receive },
	{ NET_TCP, tcp_receive },
};

static bool find_address(const char *text, uint32_t *ret_address)
{
	static const char *const names[] = { "ip=", "netdev.ipv4_addr=", "netdev.ip=" };

	for (bool begins = true; *text; begins = *text++ == ' ')
		for (unsigned i = 0; begins && i < sizeof names / sizeof *names; i++)
			if (starts_with(text, names[i]) &&
				parse_address(text + strlen(names[i]), ret_address))
				return true;
	return false;
}

static void serve(void)
{
	uint32_t tick = clock_now();

	for (;;) {
		if (tick != clock_now()) {
			tick = clock_now();
			dhcp_tick();
			tcp_tick();
		}
		// Last before sleep: while anything else waited, its interrupt may have come and
		// gone.
		while (net_receive(protocols, sizeof protocols / sizeof *protocols))
			;
		cpu_sleep();
	}
}

void guest_main(void)
{
	uint32_t address;

	put_text("This is virtgate's web guest.\n");
	interrupts_init();
	if (!net_init()) {
		put_text("There is no virtio network card. It has nothing more to do and halts.\n");
		return;
	}
	http_init();
	if (find_address(command_line(), &address))
		net_set_address(address);
	else
		dhcp_start();
	serve();
}
