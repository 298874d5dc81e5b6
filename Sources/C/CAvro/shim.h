#pragma once
#include <avro.h>
#include <errno.h>

// avro-c's accessors are macros over a method table, which Swift cannot see.

static inline int cavro_get_boolean(const avro_value_t *value, int *out) { return avro_value_get_boolean(value, out); }
static inline int cavro_get_int(const avro_value_t *value, int32_t *out) { return avro_value_get_int(value, out); }
static inline int cavro_get_long(const avro_value_t *value, int64_t *out) { return avro_value_get_long(value, out); }
static inline int cavro_get_float(const avro_value_t *value, float *out) { return avro_value_get_float(value, out); }
static inline int cavro_get_double(const avro_value_t *value, double *out) { return avro_value_get_double(value, out); }
static inline int cavro_get_enum(const avro_value_t *value, int *out) { return avro_value_get_enum(value, out); }
static inline int cavro_get_bytes(const avro_value_t *value, const void **bytes, size_t *size) {
    return avro_value_get_bytes(value, bytes, size);
}
static inline int cavro_get_fixed(const avro_value_t *value, const void **bytes, size_t *size) {
    return avro_value_get_fixed(value, bytes, size);
}
// The size includes the terminating NUL.
static inline int cavro_get_string(const avro_value_t *value, const char **string, size_t *size) {
    return avro_value_get_string(value, string, size);
}
static inline int cavro_get_size(const avro_value_t *value, size_t *size) { return avro_value_get_size(value, size); }
static inline int cavro_get_by_index(const avro_value_t *value, size_t index, avro_value_t *child, const char **name) {
    return avro_value_get_by_index(value, index, child, name);
}
static inline int cavro_get_discriminant(const avro_value_t *value, int *out) {
    return avro_value_get_discriminant(value, out);
}
static inline int cavro_get_current_branch(const avro_value_t *value, avro_value_t *branch) {
    return avro_value_get_current_branch(value, branch);
}
static inline void cavro_iface_decref(avro_value_iface_t *iface) { avro_value_iface_decref(iface); }

// Setters, used where speed is compared.
static inline int cavro_reset(avro_value_t *value) { return avro_value_reset(value); }
static inline int cavro_set_long(avro_value_t *value, int64_t number) { return avro_value_set_long(value, number); }
static inline int cavro_set_null(avro_value_t *value) { return avro_value_set_null(value); }
static inline int cavro_set_string(avro_value_t *value, const char *string, size_t size_with_nul) {
    return avro_value_set_string_len(value, string, size_with_nul);
}
static inline int cavro_set_branch(avro_value_t *value, int discriminant, avro_value_t *branch) {
    return avro_value_set_branch(value, discriminant, branch);
}
