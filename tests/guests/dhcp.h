// SPDX-License-Identifier: MIT
// Gets the host's address by DHCP (RFC 2131), keeps it for as long as the server extends it, and
// begins anew if that ends. It asks by broadcast only.
#pragma once

#include "net.h"

void dhcp_start(void);
void dhcp_tick(void); // whenever the clock has moved on
void dhcp_receive(const struct net_peer *from, const uint8_t *payload, unsigned size); // of UDP
