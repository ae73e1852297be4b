/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "../fuzz/argv_oracle.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* @ stands for the directory that all is in. */
static char base_dir[] = "/tmp/virtgate-argv-XXXXXX";
static char images[64], shares[64], logs[64];
static const struct argv_world world = {
	.images = images,
	.shares = shares,
	.logs = logs,
	.traps = "trap.qcow2|d.img",
};

#define OWN "/var/lib/libvirt/qemu/domain--1-a"
#define ENVIRONMENT \
	"LC_ALL=C PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin HOME=" OWN \
	" XDG_DATA_HOME=" OWN "/.local/share XDG_CONFIG_HOME=" OWN "/.config "
#define COMMAND ENVIRONMENT "/usr/bin/qemu-system-x86_64 -name guest=a,debug-threads=on -S "

/* Does the oracle say so, and of this? */
static void refuse(const char *command, const char *word)
{
	char text[2048] = "";
	char why[ARGV_WHY_SIZE] = "";
	size_t n = 0;
	for (const char *s = command; *s; s++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%.*s",
			*s == '@' ? (int)strlen(base_dir) : 1, *s == '@' ? base_dir : s);
	bool within = argv_stays_within(text, &world, why);
	CHECK(within == !word, "%s: %s", text, why);
	CHECK(!word || strstr(why, word), "%s: '%s' and not '%s'", text, why, word);
}

static void test_what_libvirt_writes_stays_within(void **state)
{
	static const char *const ends[] = {
		"",
		"-object "
		"'{\"qom-type\":\"secret\",\"id\":\"masterKey0\",\"format\":\"raw\",\"file\":"
		"\"" OWN "/master-key.aes\"}' -machine pc-i440fx-7.2,usb=off,dump-guest-core=off",
		"-chardev socket,id=charmonitor,path=" OWN "/monitor.sock,server=on,wait=off "
		"-mon chardev=charmonitor,id=monitor,mode=control",
		"-kernel @/images/hello -append 'a '\\''b'\\'' -vnc 0.0.0.0:0 c'",
		"-kernel @/images/a..b/..c/d.. -append ..",
		"-fsdev local,security_model=mapped,id=fsdev-fs0,path=@/shares/a,,b,readonly",
		"-netdev '{\"type\":\"tap\",\"fd\":\"25\",\"id\":\"hostnet0\"}'",
		"-vnc '[::1]:0,websocket=-1,audiodev=audio1'",
		"-chardev pty,id=charserial0,logfile=@/logs/a.log,logappend=on",
		"-blockdev '{\"driver\":\"file\",\"filename\":\"@/images/linux.qcow2\","
		"\"node-name\":\"s\",\"cache\":{\"direct\":true}}' -blockdev "
		"'{\"node-name\":\"f\",\"driver\":\"qcow2\",\"file\":\"s\",\"backing\":null}'",
		"-blockdev '{\"driver\":\"file\",\"filename\":\"@/images/d.img\",\"node-name\":"
		"\"s\"}' -blockdev '{\"node-name\":\"f\",\"driver\":\"raw\",\"file\":\"s\"}'",
	};
	char command[1024];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		(void)snprintf(command, sizeof command, "%s%s", COMMAND, ends[i]);
		refuse(command, NULL);
	}
}

static void test_what_reaches_out_is_refused(void **state)
{
	static const struct {
		const char *end, *word;
	} cases[] = {
		/* files */
		{ "-kernel /etc/passwd", "-kernel" },
		{ "-kernel @/images/../secret", "-kernel" },
		{ "-kernel @/images/out/secret", "-kernel" },
		{ "-kernel @/images/missing/../../secret", "-kernel" },
		{ "-kernel @/images/..missing/../..", "-kernel" },
		{ "-kernel @/images", "-kernel" },
		{ "-kernel @/images2/a", "-kernel" },
		{ "-kernel relative", "-kernel" },
		{ "-initrd @/shares/a", "-initrd" },
		{ "-dtb @/images/a", "-dtb" },
		{ "-bios @/images/a", "-bios" },
		{ "-fsdev local,security_model=mapped,id=a,path=@/secret", "path" },
		{ "-fsdev local,security_model=passthrough,id=a,path=@/shares/a",
			"security_model" },
		{ "-fsdev local,security_model=mapped,id=a,path=@/shares/a,path=/etc", "path" },
		{ "-virtfs local,path=/etc,mount_tag=a", "-virtfs" },
		{ "-blockdev '{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}'", "filename" },
		{ "-blockdev '{\"driver\":\"host_device\",\"filename\":\"@/images/a\"}'",
			"driver" },
		{ "-blockdev driver=file,filename=/etc/passwd,node-name=a", "filename" },
		{ "-blockdev '{\"driver\":\"raw\",\"file\":{\"driver\":\"file\"}}'",
			"file.driver" },
		{ "-blockdev '{\"driver\":\"nbd\",\"server\":{\"type\":\"inet\"}}'", "driver" },
		{ "-blockdev '{\"driver\":\"file\",\"filename\":\"@/images/d.img\",\"node-name\":"
		  "\"s\"}' -blockdev '{\"node-name\":\"f\",\"driver\":\"qcow2\",\"file\":\"s\"}'",
			"header" },
		{ "-blockdev '{\"driver\":\"file\"", "cannot be read" },
		{ "-blockdev '{\"driver\":\"file\",\"driver\":\"nbd\"}'", "cannot be read" },
		{ "-drive file=@/images/a", "-drive" },
		{ "-hda @/images/a", "-hda" },
		{ "-object '{\"qom-type\":\"rng-random\",\"filename\":\"/dev/sda\"}'", "filename" },
		{ "-object '{\"qom-type\":\"secret\",\"file\":\"/etc/passwd\"}'", "file" },
		{ "-object '{\"qom-type\":\"memory-backend-file\",\"mem-path\":\"/a\"}'",
			"qom-type" },
		{ "-object rng-egd,chardev=a", "qom-type" },
		{ "-fw_cfg name=a,file=/etc/passwd", "-fw_cfg" },
		{ "-smbios file=/etc/passwd", "-smbios" },
		{ "-acpitable file=/etc/passwd", "-acpitable" },
		{ "-readconfig /etc/passwd", "-readconfig" },
		{ "-boot strict=on,splash=/etc/passwd", "splash" },
		{ "-device '{\"driver\":\"rtl8139\",\"romfile\":\"@/images/a\"}'", "romfile" },
		/* programs */
		{ "-netdev tap,id=a,script=/bin/true", "script" },
		{ "-netdev '{\"type\":\"tap\",\"id\":\"a\",\"downscript\":\"/bin/true\"}'",
			"downscript" },
		{ "-netdev tap,id=a,helper=/bin/true", "helper" },
		{ "-net nic", "-net" },
		{ "-sandbox on,spawn=allow", "spawn" },
		{ "-sandbox off", "enable" },
		{ "-daemonize", "-daemonize" },
		{ "-plugin /tmp/a.so", "-plugin" },
		/* the network */
		{ "-vnc 0.0.0.0:0", "addr" },
		{ "-vnc :0", "addr" },
		{ "-vnc 127.0.0.1.example.org:0", "addr" },
		{ "-vnc unix:/tmp/a", "addr" },
		{ "-vnc 127.0.0.1:0,websocket=0.0.0.0:5700", "websocket" },
		{ "-vnc 127.0.0.1:0,websocket=0.0.0.0", "websocket" },
		{ "-vnc 127.0.0.1:0,vnc=0.0.0.0:1", "vnc" },
		{ "-vnc 127.0.0.1:0,to=99", "to" },
		{ "-spice port=1", "-spice" },
		{ "-netdev user,id=a", "type" },
		{ "-netdev socket,id=a,listen=:1", "type" },
		{ "-netdev tap,id=a,ifname=eth0", "ifname" },
		{ "-netdev '{\"type\":\"vhost-user\",\"chardev\":\"a\"}'", "type" },
		{ "-chardev socket,id=a,host=127.0.0.1,port=1,server=on", "host" },
		{ "-chardev socket,id=a,path=/tmp/a,server=on", "path" },
		{ "-chardev socket,id=a,path=" OWN "/../a/monitor.sock,server=on", "path" },
		{ "-chardev socket,id=a,path=" OWN "/monitor.sock,server=off", "server" },
		{ "-chardev udp,id=a,port=1", "backend" },
		{ "-chardev file,id=a,path=@/logs/a", "backend" },
		{ "-chardev pipe,id=a,path=/tmp/a", "backend" },
		{ "-chardev pty,id=a,logfile=@/images/a", "logfile" },
		{ "-chardev pty,id=a,path=@/logs/a", "path" },
		{ "-serial tcp::1,server", "-serial" },
		{ "-monitor stdio", "-monitor" },
		{ "-qmp tcp::1", "-qmp" },
		{ "-gdb tcp::1", "-gdb" },
		{ "-incoming tcp:0.0.0.0:1", "-incoming" },
		/* devices of the host */
		{ "-device '{\"driver\":\"vfio-pci\",\"host\":\"00:02.0\"}'", "driver" },
		{ "-device usb-host,hostbus=1", "driver" },
		{ "-device '{\"driver\":\"scsi-block\",\"drive\":\"a\"}'", "driver" },
		{ "-device vhost-vsock-pci,guest-cid=3", "driver" },
		{ "-device virtio-net-pci,netdev=a,x-unheard-of=1", "x-unheard-of" },
		{ "-device ivshmem-plain,memdev=a", "driver" },
		{ "-mem-path /dev/hugepages", "-mem-path" },
		{ "-audiodev driver=wav,id=a,path=/tmp/a", "driver" },
		/* what a shell or QEMU reads otherwise than it looks */
		{ "'-netdev' 'user'", "type" },
		{ "-name 'a b'", "guest" },
		{ "-name guest=a,,b", "guest" },
		{ "--vnc 127.0.0.1:0", "--vnc" },
		{ "-append a b", "'b'" },
		{ "stray", "'stray'" },
	};
	char command[1024];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		(void)snprintf(command, sizeof command, "%s%s", COMMAND, cases[i].end);
		refuse(command, cases[i].word);
	}
}

static void test_the_program_and_its_environment_are_libvirts(void **state)
{
	(void)state;
	refuse(ENVIRONMENT "/usr/bin/qemu-system-x86_64 -S", NULL);
	refuse(ENVIRONMENT "/bin/true -S", "emulator");
	refuse(ENVIRONMENT "/usr/bin/qemu-system-x86_64/../sh -S", "emulator");
	refuse(ENVIRONMENT "LD_PRELOAD=/tmp/a.so /usr/bin/qemu-system-x86_64", "LD_PRELOAD");
	refuse("PATH=/tmp /usr/bin/qemu-system-x86_64", "PATH");
	refuse("HOME=/root /usr/bin/qemu-system-x86_64", "HOME");
	refuse(ENVIRONMENT, "no program");
	refuse("", "no program");
}

static int make_base(void **state)
{
	char path[128];
	(void)state;
	if (!mkdtemp(base_dir))
		return -1;
	(void)snprintf(images, sizeof images, "%s/images", base_dir);
	(void)snprintf(shares, sizeof shares, "%s/shares", base_dir);
	(void)snprintf(logs, sizeof logs, "%s/logs", base_dir);
	(void)snprintf(path, sizeof path, "%s/out", images);
	return mkdir(images, 0700) | mkdir(shares, 0700) | mkdir(logs, 0700) | symlink("..", path);
}

static int remove_base(void **state)
{
	char path[128];
	(void)state;
	(void)snprintf(path, sizeof path, "%s/out", images);
	return unlink(path) | rmdir(images) | rmdir(shares) | rmdir(logs) | rmdir(base_dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_libvirt_writes_stays_within),
		cmocka_unit_test(test_what_reaches_out_is_refused),
		cmocka_unit_test(test_the_program_and_its_environment_are_libvirts),
	};
	return cmocka_run_group_tests(tests, make_base, remove_base);
}
