/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A host that loads the library, works through its table, closes it, and loads it again. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <xeplace.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                           \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

static pthread_barrier_t turn;
static const struct xep_table *table;

/* Has an error text of the library, and ends when that is closed. */
static void *fail_and_outlive(void *unused) {
    (void)unused;
    const int answer = table->machine_open_simulated("nonsense", NULL);
    pthread_barrier_wait(&turn);
    pthread_barrier_wait(&turn);
    return answer == -EINVAL ? NULL : &turn;
}

static int work(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    const struct xep_table *(*get_table)(uint32_t, size_t);
    *(void **)&get_table = dlsym(library, "xep_get_table");
    CHECK(get_table != NULL);
    CHECK(get_table(XEP_TABLE_VERSION + 1, sizeof *table) == NULL);
    CHECK(get_table(XEP_TABLE_VERSION, sizeof *table + sizeof(void *)) == NULL);
    table = get_table(XEP_TABLE_VERSION, sizeof *table);
    CHECK(table != NULL && table->table_version == XEP_TABLE_VERSION && table->table_size == sizeof *table);
    CHECK(table->version() == XEP_VERSION_MAJOR * 1000000 + XEP_VERSION_MINOR * 1000 + XEP_VERSION_PATCH);

    struct xep_machine *machine;
    struct xep_space *space;
    CHECK(table->machine_open_simulated("cpu=zen switch(2x bmg)", &machine) == 0);
    CHECK(table->machine_gpu_count(machine) == 2);
    CHECK(table->space_create(machine, &space) == 0);
    CHECK(table->space_close(space) == 0);
    CHECK(table->space_close(space) == -EBADF && strstr(table->last_error(), "closed") != NULL);
    CHECK(table->machine_close(machine) == 0);

    pthread_t thread;
    void *failed;
    CHECK(pthread_barrier_init(&turn, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, fail_and_outlive, NULL) == 0);
    pthread_barrier_wait(&turn);
    CHECK(dlclose(library) == 0);
    pthread_barrier_wait(&turn);
    CHECK(pthread_join(thread, &failed) == 0 && failed == NULL);
    return 0;
}

int main(int count, char **arguments) {
    if (count != 2 || work(arguments[1]) != 0 || work(arguments[1]) != 0)
        return 1;
    puts("loaded twice");
    return 0;
}
