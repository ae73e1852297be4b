/* SPDX-License-Identifier: MIT */
/*
 * The reference of GET /healthz: libfcgi as its own examples use it, a pool of threads that each
 * stay with one connection, and that do nothing but answer. Its body and headers are virtgate's.
 *
 * A kept connection holds its thread. nginx keeps 64 in each of its workers, and of 64 clients may
 * open as many more: with fewer threads some requests wait until it closes one.
 *
 * VIRTGATE_LISTEN is the socket, VIRTGATE_WORKERS how many threads. SIGTERM ends it.
 */
#include <fcgiapp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	BACKLOG = 511,
	STACK_BYTES = 256 * 1024,
};

static int listener;

static void *work(void *data)
{
	FCGX_Request request;
	(void)FCGX_InitRequest(&request, listener, 0);
	while (!FCGX_Accept_r(&request)) {
		(void)FCGX_FPrintF(request.out,
			"Status: 200 OK\r\nX-Request-Id: %s\r\nCache-Control: no-store\r\n"
			"Vary: Accept-Encoding\r\nContent-Type: application/json\r\n"
			"Content-Length: 14\r\n\r\n{\"alive\":true}",
			FCGX_GetParam("REQUEST_ID", request.envp));
		FCGX_Finish_r(&request);
	}
	return data;
}

static void start_threads(int count)
{
	pthread_attr_t attr;
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (int i = 0; i < count; i++) {
		pthread_t thread;
		if (pthread_create(&thread, &attr, work, NULL))
			abort();
	}
}

int main(void)
{
	sigset_t stop;
	int signal = 0;
	const char *path = getenv("VIRTGATE_LISTEN");
	const char *threads = getenv("VIRTGATE_WORKERS");
	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &stop, NULL);
	(void)umask(0117);
	listener = path && !FCGX_Init() ? FCGX_OpenSocket(path, BACKLOG) : -1;
	if (listener < 0 || !threads)
		return 1;
	start_threads(atoi(threads));
	(void)sigwait(&stop, &signal);
	(void)unlink(path);
	_exit(0);
}
