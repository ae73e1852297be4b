/* SPDX-License-Identifier: MIT */
#include "server/later.h"

#include <poll.h>

/* nginx closes its connection when its client has gone. */
static bool later_is_gone(struct api_waiter *waiter)
{
	const struct later *later = (const struct later *)waiter;
	struct pollfd peer = { .fd = intake_fd(later->connection), .events = POLLRDHUP };
	return poll(&peer, 1, 0) == 1;
}

static void later_is_ready(struct api_waiter *waiter)
{
	struct later *later = (struct later *)waiter;
	intake_resume(later->intake, later->connection, later);
}

bool later_start(struct api_reply *reply, struct api_call *call, struct exchange **exchange,
	struct intake *intake, struct connection *connection, int64_t began_at)
{
	AUTO(exchange_free) struct exchange *fresh = exchange_new();
	struct later *later = calloc(1, sizeof *later);
	if (!fresh || !later) {
		struct err err;
		free(later);
		api_reply_done(reply);
		(void)err_memory(&err);
		api_answer_error(call, &err, reply);
		return false;
	}
	*later = (struct later){
		.waiter = { later_is_gone, later_is_ready },
		.reply = reply->later,
		.call = *call,
		.exchange = *exchange,
		.intake = intake,
		.connection = connection,
		.began_at = began_at,
	};
	reply->later = NULL;
	*call = (struct api_call){ 0 };
	*exchange = TAKE(fresh);
	/* From here on another thread may end it. */
	later->reply->wait(later->reply, &later->waiter);
	return true;
}

void later_done(struct later *later)
{
	api_call_done(&later->call);
	free(later);
}
