// SPDX-License-Identifier: MIT OR Apache-2.0
// Shows in the guest what the model can be asked for: a hang, a forgotten invalidation, a GPU that drops off.
//
//     mishaps hang|stale|drop RENDER_NODE
//
// The model's control socket must be the guest's second serial port (qemu -chardev socket,… -serial chardev:…).
#include <drm/xe_drm.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum {
	MI_STORE_DATA_IMM = 0x20 << 23 | 2,
	MI_SEMAPHORE_WAIT_EQUAL = 0x1c << 23 | 4 << 12 | 3,
	MI_BATCH_BUFFER_END = 0x0a << 23,
};
#define BLOCK (2ul << 20)
#define SECOND 1000000000ll

static int gpu;
static uint32_t vm, queue;
static uint64_t *fence;
static uint32_t *batch;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void must(unsigned long request, void *argument, const char *what)
{
	if (ioctl(gpu, request, argument))
		die(what);
}

static void *memory(size_t length)
{
	char *start = mmap(NULL, length + BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (start == MAP_FAILED)
		die("mmap");
	return (void *)(((uintptr_t)start + BLOCK - 1) & ~(BLOCK - 1));
}

// Sends a line to the model and prints its answer.
static void ask(const char *format, ...)
{
	static FILE *control;
	char line[200];
	va_list values;

	if (!control) {
		struct termios raw;
		int port = open("/dev/ttyS1", O_RDWR | O_NOCTTY);

		if (port < 0 || tcgetattr(port, &raw))
			die("/dev/ttyS1");
		cfmakeraw(&raw);
		tcsetattr(port, TCSANOW, &raw);
		control = fdopen(port, "r+");
		setvbuf(control, NULL, _IONBF, 0);
	}
	va_start(values, format);
	vsnprintf(line, sizeof(line), format, values);
	va_end(values);
	printf("> %s\n", line);
	fprintf(control, "%s\n", line);
	while (fgets(line, sizeof(line), control)) {
		printf("< %s", line);
		if (!strcmp(line, "ok\n") || !strncmp(line, "error", 5))
			return;
	}
	die("the model says nothing");
}

// A vm, with the whole process in it where it may fault, and a queue on the copy engine.
static void open_gpu(const char *node, int faults)
{
	struct drm_xe_vm_create create = { .flags = faults ? DRM_XE_VM_CREATE_FLAG_LR_MODE |
								     DRM_XE_VM_CREATE_FLAG_FAULT_MODE : 0 };
	struct drm_xe_engine_class_instance engine = { .engine_class = DRM_XE_ENGINE_CLASS_COPY };
	struct drm_xe_exec_queue_create make = { .width = 1, .num_placements = 1, .instances = (uintptr_t)&engine };

	gpu = open(node, O_RDWR | O_CLOEXEC);
	if (gpu < 0)
		die(node);
	must(DRM_IOCTL_XE_VM_CREATE, &create, "vm");
	vm = make.vm_id = create.vm_id;
	if (faults) {
		struct drm_xe_vm_bind mirror = { .vm_id = vm, .num_binds = 1, .bind = {
			.op = DRM_XE_VM_BIND_OP_MAP, .flags = DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR, .range = 1ull << 47 } };
		must(DRM_IOCTL_XE_VM_BIND, &mirror, "mirror");
	}
	must(DRM_IOCTL_XE_EXEC_QUEUE_CREATE, &make, "queue");
	queue = make.exec_queue_id;
	fence = memory(4096);
	batch = memory(4096);
}

// Runs the batch with a user fence; returns 0 or the errno of the wait.
static int run(int64_t timeout)
{
	static uint64_t value;
	struct drm_xe_sync sync = { .type = DRM_XE_SYNC_TYPE_USER_FENCE, .flags = DRM_XE_SYNC_FLAG_SIGNAL,
				    .addr = (uintptr_t)fence, .timeline_value = ++value };
	struct drm_xe_exec exec = { .exec_queue_id = queue, .num_syncs = 1, .syncs = (uintptr_t)&sync,
				    .address = (uintptr_t)batch, .num_batch_buffer = 1 };
	struct drm_xe_wait_user_fence wait = { .addr = (uintptr_t)fence, .op = DRM_XE_UFENCE_WAIT_OP_EQ, .value = value,
					       .mask = ~0ull, .timeout = timeout, .exec_queue_id = queue };

	if (ioctl(gpu, DRM_IOCTL_XE_EXEC, &exec))
		return errno;
	return ioctl(gpu, DRM_IOCTL_XE_WAIT_USER_FENCE, &wait) ? errno : 0;
}

static int store(volatile uint32_t *word, uint32_t value)
{
	uint32_t commands[] = { MI_STORE_DATA_IMM, (uintptr_t)word, (uintptr_t)word >> 32, value, MI_BATCH_BUFFER_END };

	memcpy(batch, commands, sizeof(commands));
	return run(20 * SECOND);
}

// A semaphore that nobody signals, in a queue whose jobs the driver gives a limited time.
static int hang(const char *node)
{
	struct drm_xe_gem_create create = { .size = 65536, .placement = 1, .cpu_caching = DRM_XE_GEM_CPU_CACHING_WB };
	struct drm_xe_vm_bind bind = { .num_binds = 1, .bind = { .op = DRM_XE_VM_BIND_OP_MAP, .range = 65536, .addr = 1 << 20,
								 .pat_index = 2 } };
	struct drm_xe_gem_mmap_offset offset = { 0 };
	struct drm_xe_exec exec = { .num_batch_buffer = 1, .address = 1 << 20 };
	struct drm_xe_exec_queue_get_property ban = { .property = DRM_XE_EXEC_QUEUE_GET_PROPERTY_BAN };
	uint32_t commands[] = { MI_SEMAPHORE_WAIT_EQUAL, 1, (1 << 20) + 4096, 0, 0, MI_BATCH_BUFFER_END };
	time_t start = time(NULL);
	void *mapped;

	open_gpu(node, 0);
	must(DRM_IOCTL_XE_GEM_CREATE, &create, "buffer");
	offset.handle = bind.bind.obj = create.handle;
	bind.vm_id = vm;
	must(DRM_IOCTL_XE_GEM_MMAP_OFFSET, &offset, "offset");
	mapped = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, gpu, offset.offset);
	if (mapped == MAP_FAILED)
		die("map");
	memcpy(mapped, commands, sizeof(commands));
	must(DRM_IOCTL_XE_VM_BIND, &bind, "bind");
	exec.exec_queue_id = ban.exec_queue_id = queue;
	must(DRM_IOCTL_XE_EXEC, &exec, "exec");
	ask("contexts 0");
	do {
		usleep(100000);
		must(DRM_IOCTL_XE_EXEC_QUEUE_GET_PROPERTY, &ban, "ban");
	} while (!ban.value && time(NULL) - start < 30);
	printf("queue banned %llu after %ld s\n", (unsigned long long)ban.value, (long)(time(NULL) - start));
	return !ban.value;
}

// The page goes to VRAM and comes back; where the GPU does not hear of the latter, it writes to where the page was. The page
// is far from the batch, which comes and goes too, because the driver invalidates 16 MiB around a block.
static int stale(const char *node)
{
	volatile uint32_t *word;
	int wrong = 0;

	open_gpu(node, 1);
	for (int skip = 0; skip <= 1; skip++) {
		word = (uint32_t *)((char *)memory(32 * BLOCK) + 16 * BLOCK);
		memset((void *)word, 0, BLOCK);
		if (store(word, 1))
			die("store");
		if (skip)
			ask("skip 0 invalidation 1");
		printf("after the first store the CPU sees %u\n", *word);
		if (store(word, 2))
			die("store");
		printf("after the second %u: %s\n", *word, skip ? "the invalidation was skipped" : "all is well");
		wrong |= *word != (skip ? 1 : 2);
	}
	ask("reports");
	return wrong;
}

// The GPU is gone without a word; the driver finds out, and nothing but errors is left of it.
static int drop(const char *node)
{
	int error;

	open_gpu(node, 1);
	if (store(memory(4096), 1))
		die("store");
	ask("drop 0");
	error = store(memory(4096), 2);
	printf("a job on it ends with %d (%s)\n", error, strerror(error));
	close(gpu);
	return !error;
}

int main(int count, char **words)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	if (count == 3 && !strcmp(words[1], "hang"))
		return hang(words[2]);
	if (count == 3 && !strcmp(words[1], "stale"))
		return stale(words[2]);
	if (count == 3 && !strcmp(words[1], "drop"))
		return drop(words[2]);
	fprintf(stderr, "usage: mishaps hang|stale|drop RENDER_NODE\n");
	return 2;
}
