/* SPDX-License-Identifier: MIT */
#include "convert/qemu_option.h"

#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void qemu_say(struct qemu_option *o, enum qemu_outcome outcome, const char *fmt, ...)
{
	va_list args;
	o->item.outcome = outcome;
	va_start(args, fmt);
	(void)vsnprintf(o->item.text, sizeof o->item.text, fmt, args);
	va_end(args);
	text_mask_malformed(o->item.text);
}

int qemu_bad(struct qemu_reading *r, const struct qemu_option *o, const char *right)
{
	return err_set(r->err, ERR_INVALID_SPEC, "-%s %.128s: %s", o->item.option,
		o->value ? o->value : "", right);
}

struct qemu_option *qemu_find_backend(
	struct qemu_reading *r, const char *name, const char *key, const char *id)
{
	for (size_t i = 0; id && i < r->option_count; i++) {
		struct qemu_option *o = &r->options[i];
		const char *own = o->row ? qemu_list_look(&o->list, key) : NULL;
		if (own && !strcmp(own, id) && !strcmp(o->item.option, name)) {
			(void)qemu_list_take(&o->list, key);
			return o;
		}
	}
	return NULL;
}

/* Values */

bool qemu_read_size(const char *text, uint64_t unit, uint64_t *ret)
{
	static const char suffixes[] = "BKMGTPE";
	char *end = NULL;
	errno = 0;
	double n = strtod(text, &end);
	if (errno || end == text || !isdigit((unsigned char)text[0]) ||
		strspn(text, "0123456789.") != (size_t)(end - text))
		return false;
	if (*end) {
		const char *suffix = strchr(suffixes, toupper((unsigned char)*end));
		if (!suffix || end[1])
			return false;
		unit = 1ULL << (10 * (suffix - suffixes));
	}
	if (n * (double)unit >= (double)(1ULL << 62))
		return false;
	*ret = (uint64_t)(n * (double)unit);
	return true;
}

bool qemu_read_count(const char *text, int *ret)
{
	char *end = NULL;
	errno = 0;
	long n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < 1 || n > 4096 || !isdigit((unsigned char)text[0]))
		return false;
	*ret = (int)n;
	return true;
}

const char *qemu_path(const char *path)
{
	while (!strncmp(path, "./", 2))
		path += 2 + strspn(path + 2, "/");
	return path;
}

/* QEMU probes an image without a format; virtgate goes by the name. */
static const char *guess_format(const char *source)
{
	const char *dot = strrchr(source, '.');
	return dot && !strcmp(dot, ".qcow2") ? "qcow2" : "raw";
}

int qemu_add_disk(struct qemu_reading *r, struct qemu_option *o, const struct qemu_disk *disk)
{
	struct qemu_guest *g = r->guest;
	if (g->disk_count == QEMU_DISKS_MAX)
		return qemu_bad(r, o, "there are more than 16 disks");
	struct qemu_disk *to = &g->disks[g->disk_count];
	*to = *disk;
	if (to->source && !to->format) {
		to->format = guess_format(to->source);
		qemu_say(o, QEMU_MAPPED, "disks[%zu], a %s image by its name", g->disk_count,
			to->format);
	} else {
		qemu_say(o, QEMU_MAPPED, "disks[%zu]", g->disk_count);
	}
	g->disk_count++;
	return 0;
}

void qemu_read_image(struct qemu_list *list, struct qemu_disk *disk)
{
	const char *media = qemu_list_take(list, "media");
	const char *cache = qemu_list_take(list, "cache");
	disk->source = qemu_list_take(list, "file");
	disk->format = qemu_list_take(list, "format");
	const char *io = qemu_list_take(list, "aio");
	const char *discard = qemu_list_take(list, "discard");
	if (disk->source && !strncmp(disk->source, "file:", strlen("file:")))
		disk->source += strlen("file:");
	if (disk->source)
		disk->source = qemu_path(disk->source);
	if (io)
		disk->io = io;
	if (discard)
		disk->discard = text_is_word("unmap|on", '|', discard) ? "unmap" : "ignore";
	if (qemu_list_take_flag(list, "readonly") || qemu_list_take_flag(list, "read-only"))
		disk->readonly = true;
	if (media && !strcmp(media, "cdrom"))
		disk->device = "cdrom";
	if (cache)
		disk->cache = cache;
	qemu_list_ignore(list, "werror|rerror");
}

int qemu_add_interface(
	struct qemu_reading *r, struct qemu_option *o, const struct qemu_interface *interface)
{
	struct qemu_guest *g = r->guest;
	if (g->interface_count == QEMU_INTERFACES_MAX)
		return qemu_bad(r, o, "there are more than 16 interfaces");
	g->interfaces[g->interface_count] = *interface;
	qemu_say(o, QEMU_MAPPED, "interfaces[%zu]%s%s", g->interface_count++,
		interface->bridge ? " on bridge " : " on the network",
		interface->bridge ? interface->bridge : "");
	return 0;
}

bool qemu_read_netdev(struct qemu_list *list, struct qemu_interface *interface)
{
	const char *type = qemu_list_take(list, "type");
	const char *bridge = qemu_list_take(list, "br");
	if (!type || !text_is_word("user|tap|bridge", '|', type))
		return false;
	if (strcmp(type, "user") != 0)
		interface->bridge = bridge ? bridge : "";
	/* libvirt chooses the name of the tap and its vhost. */
	qemu_list_ignore(list, "ifname|script|downscript|helper|vhost|fd|vhostfd|queues");
	return true;
}

int qemu_add_filesystem(
	struct qemu_reading *r, struct qemu_option *o, struct qemu_list *list, const char *tag)
{
	struct qemu_guest *g = r->guest;
	const char *driver = qemu_list_take(list, "fsdriver");
	struct qemu_filesystem fs = {
		.source = qemu_list_take(list, "path"),
		.target = tag,
		.readonly = qemu_list_take_flag(list, "readonly"),
	};
	/* virtgate's shares always have the security model "mapped". */
	qemu_list_ignore(list, "security_model|multidevs");
	if (!driver || strcmp(driver, "local") != 0) {
		qemu_say(o, QEMU_UNMAPPED, "virtgate supports local shares only");
		return 0;
	}
	if (fs.source)
		fs.source = qemu_path(fs.source);
	if (!fs.source || !fs.target)
		return qemu_bad(r, o, "a share needs a path and a mount_tag");
	if (g->filesystem_count == QEMU_FILESYSTEMS_MAX)
		return qemu_bad(r, o, "there are more than 8 shares");
	g->filesystems[g->filesystem_count] = fs;
	qemu_say(o, QEMU_MAPPED, "filesystems[%zu]", g->filesystem_count++);
	return 0;
}

int qemu_set_video(struct qemu_reading *r, struct qemu_option *o, const char *model)
{
	r->guest->video = model;
	qemu_say(o, QEMU_MAPPED, "video %s", model);
	return 0;
}

int qemu_set_serial_chardev(struct qemu_reading *r, struct qemu_option *o, const char *id)
{
	struct qemu_option *chardev = qemu_find_backend(r, "chardev", "id", id);
	r->has_serial = true;
	if (!chardev)
		return qemu_bad(r, o, "there is no chardev of this id");
	const char *type = qemu_list_take(&chardev->list, "backend");
	const char *log = qemu_list_take(&chardev->list, "logfile");
	const char *path = qemu_list_look(&chardev->list, "path");
	qemu_list_ignore(&chardev->list, "mux|signal");
	if (log)
		r->guest->serial_log = log;
	if (type && !strcmp(type, "file") && path)
		r->guest->serial_log = qemu_list_take(&chardev->list, "path");
	bool kept = type && text_is_word("stdio|pty|file|null|vc", '|', type);
	qemu_say(chardev, kept ? QEMU_MAPPED : QEMU_UNMAPPED,
		kept ? "the serial console" : "virtgate supports stdio, pty and file only");
	qemu_say(o, chardev->item.outcome, "%s", chardev->item.text);
	return 0;
}

int qemu_add_input(struct qemu_reading *r, struct qemu_option *o, const char *type, const char *bus)
{
	if (r->guest->input_count == QEMU_INPUTS_MAX)
		return qemu_bad(r, o, "there are more than 4 input devices");
	r->guest->inputs[r->guest->input_count++] = (struct qemu_input){ type, bus };
	qemu_say(o, QEMU_MAPPED, "input %s %s", type, bus);
	return 0;
}

int qemu_add_watchdog(struct qemu_reading *r, struct qemu_option *o)
{
	r->guest->watchdog = true;
	qemu_say(o, QEMU_MAPPED, "watchdog i6300esb");
	return 0;
}

void qemu_print_row(
	FILE *out, const char *prefix, const char *names, const char *outcome, const char *text)
{
	enum { WIDTH = 100 };
	size_t column = 0;
	for (const char *n = names; *n; n += strcspn(n, "|"), n += *n == '|') {
		size_t len = strcspn(n, "|");
		size_t end = strlen(prefix) + len + strlen("`…`, ") + strlen(" | ") +
			strlen(outcome) + strlen(" | ") + strlen(text) + strlen(" |");
		if (column && column + end > WIDTH) {
			(void)fprintf(out, " | %s | %s |\n", outcome, text);
			column = 0;
		}
		column += (size_t)fprintf(out, "%s`%s%.*s%s`", column ? ", " : "| ", prefix,
			(int)len, n, n[len - 1] == '-' ? "…" : "");
	}
	(void)fprintf(out, " | %s | %s |\n", outcome, text);
}
