/* name_cache: what is found, for how long, and what is forgotten to make room. */
#include "tests/unit/check.h"

#include "tests/unit/rng.h"
#include "worker/session/name_cache.h"

#include <string.h>

static struct addr at(const char *text) {
    struct addr addr;
    assert_true(addr_parse(&addr, text));
    return addr;
}

static void put(struct name_cache *cache, const char *key, const char *value, int64_t until_us) {
    struct addr addr = at(key);
    name_cache_put(cache, &addr, value, strlen(value) + 1, until_us);
}

/* The value, or "-" if there is none. */
static const char *find(struct name_cache *cache, const char *key, int64_t now_us) {
    struct addr addr = at(key);
    const char *found = name_cache_find(cache, &addr, now_us);
    return found != NULL ? found : "-";
}

static void what_is_put_is_found(void **state) {
    (void)state;
    struct name_cache *cache = name_cache_new(10);
    assert_string_equal(find(cache, "10.0.0.1", 0), "-");
    put(cache, "10.0.0.1", "one", 100);
    put(cache, "10.0.0.2", "", 100);
    put(cache, "::a00:1", "v6", 100); /* the bytes of 10.0.0.1 are its last */
    put(cache, "a00:1::", "prefix", 100);
    assert_string_equal(find(cache, "10.0.0.1", 0), "one");
    assert_string_equal(find(cache, "10.0.0.2", 0), "");
    assert_string_equal(find(cache, "::a00:1", 0), "v6");
    assert_string_equal(find(cache, "a00:1::", 0), "prefix"); /* and here its first */
    assert_string_equal(find(cache, "10.0.0.3", 0), "-");
    assert_int_equal(name_cache_count(cache), 4);
    put(cache, "10.0.0.1", "another", 100);
    assert_string_equal(find(cache, "10.0.0.1", 0), "another");
    assert_int_equal(name_cache_count(cache), 4);
    name_cache_destroy(&cache);
    assert_null(cache);
    name_cache_destroy(&cache);
}

static void its_time_ends(void **state) {
    (void)state;
    struct name_cache *cache = name_cache_new(10);
    put(cache, "10.0.0.1", "one", 100);
    put(cache, "10.0.0.2", "two", 200);
    assert_string_equal(find(cache, "10.0.0.1", 99), "one");
    assert_string_equal(find(cache, "10.0.0.1", 100), "-");
    assert_string_equal(find(cache, "10.0.0.1", 0), "-"); /* it is gone */
    assert_string_equal(find(cache, "10.0.0.2", 100), "two");
    assert_int_equal(name_cache_count(cache), 1);
    put(cache, "10.0.0.2", "two", 300); /* the later time holds */
    assert_string_equal(find(cache, "10.0.0.2", 250), "two");
    name_cache_destroy(&cache);
}

static void the_one_not_asked_for_the_longest_goes(void **state) {
    (void)state;
    struct name_cache *cache = name_cache_new(3);
    put(cache, "10.0.0.1", "one", 100);
    put(cache, "10.0.0.2", "two", 100);
    put(cache, "10.0.0.3", "three", 100);
    assert_string_equal(find(cache, "10.0.0.1", 0), "one");
    put(cache, "10.0.0.2", "zwei", 100); /* this counts as a use, and needs no room */
    assert_int_equal(name_cache_count(cache), 3);
    put(cache, "10.0.0.4", "four", 100);
    assert_string_equal(find(cache, "10.0.0.3", 0), "-");
    assert_string_equal(find(cache, "10.0.0.1", 0), "one");
    assert_string_equal(find(cache, "10.0.0.2", 0), "zwei");
    assert_string_equal(find(cache, "10.0.0.4", 0), "four");
    name_cache_destroy(&cache);
}

/* Compared with a plain array, at random. */
static void like_a_model(void **state) {
    (void)state;
    enum { KEYS = 40, ROOM = 16 };
    uint64_t rng = rng_seed("like_a_model");
    struct {
        int64_t value, until_us;
        uint64_t used;
        bool held;
    } model[KEYS] = {{0}};
    struct name_cache *cache = name_cache_new(ROOM);
    size_t count = 0;
    uint64_t uses = 0;
    for (int64_t now = 0; now < 20000; now++) {
        uint32_t k = rng_below(&rng, KEYS);
        struct addr key = {.af = k % 2 == 0 ? 4 : 6, .bytes = {(uint8_t)(k / 2)}};
        if (rng_below(&rng, 2) == 0) {
            int64_t value = (int64_t)rng_next(&rng), until = now + rng_below(&rng, 100);
            name_cache_put(cache, &key, &value, sizeof value, until);
            uint32_t oldest = KEYS;
            for (uint32_t i = 0; i < KEYS; i++)
                if (model[i].held && (oldest == KEYS || model[i].used < model[oldest].used))
                    oldest = i;
            if (!model[k].held && count == ROOM)
                model[oldest].held = false;
            else
                count += !model[k].held;
            model[k].value = value;
            model[k].until_us = until;
            model[k].held = true;
            model[k].used = ++uses;
        } else {
            const int64_t *found = name_cache_find(cache, &key, now);
            if (model[k].held && model[k].until_us <= now) {
                model[k].held = false;
                count--;
            }
            assert_int_equal(found != NULL, model[k].held);
            if (found != NULL) {
                assert_int_equal((uintptr_t)found % _Alignof(max_align_t), 0);
                assert_true(*found == model[k].value);
                model[k].used = ++uses;
            }
        }
        assert_int_equal(name_cache_count(cache), count);
    }
    name_cache_destroy(&cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_found),
        cmocka_unit_test(its_time_ends),
        cmocka_unit_test(the_one_not_asked_for_the_longest_goes),
        cmocka_unit_test(like_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
