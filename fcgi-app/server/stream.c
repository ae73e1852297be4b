/* SPDX-License-Identifier: MIT */
#include "server/stream.h"

struct sink {
	struct api_sink api; /* the first member: the stream knows the sink by it */
	struct exchange *exchange;
	struct intake *intake;
	struct connection *connection;
};

static bool sink_write(struct api_sink *api, const void *bytes, size_t len)
{
	struct sink *sink = (struct sink *)api;
	return exchange_write(sink->exchange, bytes, len);
}

static void sink_end(struct api_sink *api)
{
	struct sink *sink = (struct sink *)api;
	enum intake_end end = exchange_end(sink->exchange) ? INTAKE_KEPT : INTAKE_CLOSE;
	exchange_done(sink->exchange);
	exchange_free(sink->exchange);
	intake_give(sink->intake, sink->connection, end);
	free(sink);
}

void stream_start(struct api_reply *reply, struct exchange **exchange, struct intake *intake,
	struct connection *connection)
{
	AUTO(exchange_free) struct exchange *fresh = exchange_new();
	struct sink *sink = calloc(1, sizeof *sink);
	if (!fresh || !sink) {
		free(sink);
		exchange_done(*exchange);
		intake_give(intake, connection, INTAKE_CLOSE);
		return;
	}
	*sink = (struct sink){ { sink_write, sink_end }, *exchange, intake, connection };
	*exchange = TAKE(fresh);
	struct api_stream *stream = TAKE(reply->stream);
	stream->start(stream, &sink->api);
}
