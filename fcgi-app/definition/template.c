/* SPDX-License-Identifier: MIT */
#include "definition/template.h"

#include "base/text.h"
#include "format/xml.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int template_missing(const char *name, struct err *err)
{
	return err_set(err, ERR_TEMPLATE_NOT_FOUND, "there is no template '%.64s'", name);
}

static int templates_unreadable(const struct config *config, int why, struct err *err)
{
	(void)err_set(err, ERR_INTERNAL, "the templates cannot be read");
	(void)snprintf(
		err->private, sizeof err->private, "%s: %s", config->templates, strerror(why));
	return -1;
}

static int open_template(const struct config *config, const char *name, struct err *err)
{
	char file[80];
	size_t n = strlen(name);
	bool has_suffix = n > 4 && !strcmp(name + n - 4, ".xml");
	/* A name has no slash, and links are not followed, so it leads nowhere else. */
	if (n >= sizeof file - 4 || !text_is_name(name))
		return template_missing(name, err);
	(void)snprintf(file, sizeof file, has_suffix ? "%s" : "%s.xml", name);
	AUTO(close) int dir = open(config->templates, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = dir < 0 ? -1 : openat(dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	if (dir >= 0 && (errno == ENOENT || errno == ELOOP))
		return template_missing(name, err);
	return templates_unreadable(config, errno, err);
}

int template_read(
	const struct config *config, const char *name, char **ret, size_t *ret_len, struct err *err)
{
	AUTO(close) int fd = open_template(config, name, err);
	if (fd < 0)
		return -1;
	struct stat st;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return template_missing(name, err);
	if (st.st_size > XML_BYTES_MAX)
		return err_set(err, ERR_INVALID_SPEC, "template '%s' is larger than %d bytes", name,
			XML_BYTES_MAX);
	AUTO(free) char *text = malloc((size_t)st.st_size + 1);
	if (!text)
		return err_memory(err);
	ssize_t n = read(fd, text, (size_t)st.st_size);
	if (n != st.st_size)
		return err_set(err, ERR_INTERNAL, "template '%s' cannot be read", name);
	text[n] = '\0';
	*ret = TAKE(text);
	*ret_len = (size_t)n;
	return 0;
}

static void describe_template(const struct config *config, struct template_info *template)
{
	AUTO(free) char *text = NULL;
	AUTO(xml_free) struct xml *doc = NULL;
	size_t len = 0;
	struct err err;
	if (template_read(config, template->name, &text, &len, &err) < 0 ||
		xml_parse(text, len, "template", &doc, &err) < 0 ||
		(!xml_is(xml_root(doc), "domain") &&
			err_set(&err, ERR_INVALID_XML, "the outermost element is not <domain>"))) {
		(void)snprintf(template->error, sizeof template->error, "%.150s", err.text);
		text_mask_malformed(template->error);
		return;
	}
	xml_copy_text(xml_root(doc), "title", template->title, sizeof template->title);
	xml_copy_text(
		xml_root(doc), "description", template->description, sizeof template->description);
}

/* Could open_template() open it? */
static int is_template(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);
	return n > 4 && n < sizeof((struct template_info *)NULL)->name &&
		text_is_name(entry->d_name) && !strcmp(entry->d_name + n - 4, ".xml");
}

struct entries {
	struct dirent **list;
	int count;
};

static void entries_done(struct entries *entries)
{
	for (int i = 0; i < entries->count; i++)
		free(entries->list[i]);
	free(entries->list);
}

int template_list(
	const struct config *config, struct template_info **ret, size_t *ret_count, struct err *err)
{
	__attribute__((cleanup(entries_done))) struct entries entries = { 0 };
	int count = scandir(config->templates, &entries.list, is_template, alphasort);
	if (count < 0)
		return templates_unreadable(config, errno, err);
	entries.count = count;
	size_t kept = count < TEMPLATES_MAX ? (size_t)count : TEMPLATES_MAX;
	struct template_info *list = calloc(kept + 1, sizeof *list);
	if (!list)
		return err_memory(err);
	for (size_t i = 0; i < kept; i++) {
		const char *file = entries.list[i]->d_name;
		(void)snprintf(list[i].name, sizeof list[i].name, "%.*s",
			(int)(strlen(file) - strlen(".xml")), file);
		describe_template(config, &list[i]);
	}
	*ret = list;
	*ret_count = kept;
	return 0;
}
