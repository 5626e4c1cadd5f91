/* io/source/log_values.h: a part of log_common.c, which includes it once for each kind of machine: LOG_VALUES is the function's name,
 * LOG_TARGET what it may use. A template, since vectors are cut to a machine's own before functions are put in line. */
/* Amounts and numbers up to the first row that has something which is not common, or a number of another length; how many.
 * `*sum`: of the amounts. First all is loaded, then reckoned LANES at once. */
LOG_TARGET static inline uint32_t LOG_VALUES(struct group *group, const struct log_group *rows,
                                             const struct log_plan *plan, const struct log_plan *was,
                                             struct log_number *number, int64_t *sum)
{
    const struct log_plan p = *plan;
    const uint32_t count = rows->count, full = (count + LANES - 1) / LANES * LANES;
    uint64_t value[LOG_GROUP], time[LOG_GROUP], bytes[LOG_GROUP], old[LOG_GROUP];
    if (was) { /* bits that are not 0 where what a row was is odd, or has another number */
        const struct log_plan w = *was;
        const uint32_t back = rows->before_size;
        for (uint32_t i = 0; i < full; i++) {
            const uint8_t *row = rows->row[i < count ? i : 0], *before = row - back;
            old[i] = (read_le64(before + w.places.occurrence) << w.number_shift) ^
                     (read_le64(row + p.places.occurrence) << p.number_shift);
            time[i] = read_be64(before + w.places.time);
            bytes[i] = read_be64(before + w.digits[0].at);
        }
        for (uint32_t k = 0; k < full; k += LANES) {
            lanes t, d, o;
            memcpy(&o, old + k, sizeof o);
            memcpy(&t, time + k, sizeof t);
            memcpy(&d, bytes + k, sizeof d);
            o |= (lanes)ARE_ODD(w, t, DIGITS_A(w, d), DIGITS_B(w, d));
            memcpy(old + k, &o, sizeof o);
        }
    }
    for (uint32_t i = 0; i < full; i++) {
        const uint8_t *row = rows->row[i < count ? i : 0];
        value[i] = read_le64(row + p.places.occurrence);
        time[i] = read_be64(row + p.places.time);
        bytes[i] = read_be64(row + p.digits[0].at);
    }
    number_begin(number, read_le64(rows->row[0] + p.places.occurrence) << p.number_shift >> p.number_shift);
    const struct log_number n = *number;
    const unsigned zeros = 8 * (8 - n.low_size);
    int64_t total = 0;
    for (uint32_t k = 0; k < full; k += LANES) {
        lanes v, t, w, odd, low, amount;
        memcpy(&v, value + k, sizeof v);
        memcpy(&t, time + k, sizeof t);
        memcpy(&w, bytes + k, sizeof w);
        v = v << p.number_shift >> p.number_shift;
        const lanes a = DIGITS_A(p, w), b = DIGITS_B(p, w);
        odd = (lanes)(IS_OTHER(n, v) | ARE_ODD(p, t, a, b));
        if (was) {
            lanes o;
            memcpy(&o, old + k, sizeof o);
            odd |= o;
        }
        low = (EIGHT_DIGITS(v - n.zero) + 0x3030303030303030ull) >> zeros;
        amount = ((a * (uint64_t)p.digits[0].times + b * (uint64_t)p.digits[1].times + (uint64_t)p.before) ^
                  (uint64_t)p.negative) -
                 (uint64_t)p.negative;
        memcpy(group->low + k, &low, sizeof low);
        memcpy(group->amount + k, &amount, sizeof amount);
        uint64_t any = 0;
        for (unsigned i = 0; i < LANES; i++)
            any |= odd[i];
        const uint32_t here = count - k < LANES ? count - k : LANES;
        for (uint32_t i = 0; i < here; i++) {
            if (UNLIKELY(any) && odd[i]) {
                *sum = total;
                return k + i;
            }
            total += group->amount[k + i];
        }
    }
    *sum = total;
    return count;
}

#undef LOG_VALUES
#undef LOG_TARGET
