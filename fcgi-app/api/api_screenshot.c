/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "vm/screenshot.h"

const struct field api_screenshot_query[] = {
	{ "screen", .type = FIELD_NUMBER, .max = SCREENSHOT_SCREEN_MAX,
		.says = "number of the screen; default 0", .example = "0" },
	{ 0 },
};

int api_screenshot_get(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const char *screen = api_text(call, "screen");
	struct screenshot shot;
	if (screenshot_take(call->api->host, api_text(call, "ref"),
		    screen ? (unsigned)strtoul(screen, NULL, 10) : 0, &shot, err) < 0)
		return -1;
	reply->type = call->route->media;
	reply->body = shot.png;
	reply->body_len = shot.len;
	return 0;
}
