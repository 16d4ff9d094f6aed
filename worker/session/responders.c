#include "worker/session/responders.h"

#include "common/mem.h"

#include <stdlib.h>
#include <string.h>

static struct result_name *responders_find(const struct responders *r, const struct addr *addr) {
    for (size_t i = 0; i < r->count; i++)
        if (addr_equal(&r->list[i].addr, addr))
            return &r->list[i];
    return NULL;
}

bool responders_add(struct responders *r, const struct addr *addr) {
    if (r->count == RESULT_MAX_NAMES || responders_find(r, addr) != NULL)
        return false;
    if (r->count == r->room) {
        r->room = r->room == 0 ? 16 : r->room * 2;
        r->list = mem_grow(r->list, r->room, sizeof *r->list);
    }
    r->list[r->count++] = (struct result_name){.addr = *addr};
    r->awaited++;
    return true;
}

bool responders_name(struct responders *r, const struct addr *addr, const char *name) {
    struct result_name *found = responders_find(r, addr);
    if (found == NULL || found->name != NULL)
        return false;
    found->name = mem_copy(name, strlen(name) + 1);
    r->awaited--;
    return true;
}

void responders_free(struct responders *r) {
    for (size_t i = 0; i < r->count; i++)
        free(r->list[i].name);
    free(r->list);
    *r = (struct responders){0};
}
