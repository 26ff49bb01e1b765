//! Which of DataFusion's functions a statement may call.
//!
//! Why a list: an upgrade of DataFusion brings functions that nobody here has looked at, and one that reads a file
//! or makes a gigabyte out of a byte would be open to everybody. A test compares the list with what DataFusion has,
//! so that each new function is decided about.

/// Scalar functions, by what they are about.
const SCALAR: &[&str] = &[
    // Choosing and converting.
    "arrow_cast arrow_try_cast arrow_typeof coalesce get_field greatest least named_struct nullif nvl nvl2 struct",
    // Dates and times.
    "current_date current_time date_bin date_part date_trunc from_unixtime make_date make_time now to_char to_date
     to_local_time to_time to_timestamp to_timestamp_micros to_timestamp_millis to_timestamp_nanos
     to_timestamp_seconds to_unixtime",
    // Numbers.
    "abs acos acosh asin asinh atan atan2 atanh cbrt ceil cos cosh cot degrees exp factorial floor gcd isnan iszero
     lcm ln log log10 log2 nanvl pi power radians random round signum sin sinh sqrt tan tanh trunc",
    // Text.
    "ascii bit_length btrim character_length chr concat concat_ws contains ends_with find_in_set initcap left
     levenshtein lower lpad ltrim octet_length overlay repeat replace reverse right rpad rtrim split_part starts_with
     strpos substr substr_index to_hex translate upper uuid",
    "regexp_count regexp_instr regexp_like regexp_match regexp_replace",
    // Bytes.
    "decode digest encode md5 sha224 sha256 sha384 sha512",
    // Arrays and maps.
    "array_any_value array_append array_compact array_concat array_dims array_distinct array_element array_except
     array_has array_has_all array_has_any array_intersect array_length array_max array_min array_ndims
     array_pop_back array_pop_front array_position array_positions array_prepend array_remove array_remove_all
     array_remove_n array_repeat array_replace array_replace_all array_replace_n array_resize array_reverse
     array_slice array_sort array_to_string array_union arrays_zip cardinality empty flatten generate_series
     make_array range string_to_array",
    "array_add array_avg array_distance array_normalize array_product array_scale array_subtract array_sum
     cosine_distance inner_product",
    "map map_entries map_extract map_keys map_values",
];

const AGGREGATE: &[&str] = &[
    "any_value approx_distinct approx_median approx_percentile_cont approx_percentile_cont_with_weight array_agg avg
     bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp first_value grouping last_value max
     median min nth_value percentile_cont regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx
     regr_sxy regr_syy stddev stddev_pop string_agg sum var var_pop",
];

const WINDOW: &[&str] =
    &["cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank
     row_number"];

/// As tables they make their rows batch by batch, however many.
const TABLE: &[&str] = &["generate_series range"];

/// What DataFusion has and a statement may not call, with the reason.
#[cfg(test)]
const LEFT_OUT: &[(&str, &str)] = &[
    ("array_any_match", "lambdas repeat what they capture for each element, which nothing bounds yet"),
    ("array_filter", "as `array_any_match`"),
    ("array_first", "as `array_any_match`"),
    ("array_transform", "as `array_any_match`"),
    ("arrow_field", "shows metadata of our storage"),
    ("arrow_metadata", "as `arrow_field`"),
    ("with_metadata", "writes metadata into results, which readers of Arrow act on"),
    ("cast_to_type", "for programs that write SQL; `CAST` does the same"),
    ("try_cast_to_type", "as `cast_to_type`"),
    ("file_row_index", "shows how a version is cut into files"),
    ("input_file_name", "names stored objects"),
    ("union_extract", "no dataset has a union"),
    ("union_tag", "as `union_extract`"),
    ("version", "tells which engine this is, and nothing about the data"),
];

fn is_in(list: &[&str], name: &str) -> bool {
    list.iter().flat_map(|names| names.split_whitespace()).any(|listed| listed == name)
}

pub(super) fn scalar(name: &str) -> bool {
    is_in(SCALAR, name)
}

pub(super) fn aggregate(name: &str) -> bool {
    is_in(AGGREGATE, name)
}

pub(super) fn window(name: &str) -> bool {
    is_in(WINDOW, name)
}

pub(super) fn table(name: &str) -> bool {
    is_in(TABLE, name)
}

#[cfg(test)]
mod tests {
    use datafusion::execution::SessionStateDefaults as Defaults;

    use super::*;

    /// Fails after an upgrade that brings a function, or takes one away: add it to a list above.
    #[test]
    fn each_function_of_datafusion_is_decided_about() {
        let names = Defaults::default_scalar_functions();
        check("scalar", names.iter().map(|function| function.name()), SCALAR);
        let names = Defaults::default_aggregate_functions();
        check("aggregate", names.iter().map(|function| function.name()), AGGREGATE);
        let names = Defaults::default_window_functions();
        check("window", names.iter().map(|function| function.name()), WINDOW);
        let names = Defaults::default_table_functions();
        check("table", names.iter().map(|function| function.name()), TABLE);
        let names = Defaults::default_higher_order_functions();
        check("higher-order", names.iter().map(|function| function.name()), &[]);

        #[track_caller]
        fn check<'a>(kind: &str, there: impl Iterator<Item = &'a str>, listed: &[&str]) {
            let left_out = |name: &&str| LEFT_OUT.iter().any(|(left_out, _)| left_out == name);
            let mut there: Vec<_> = there.filter(|name| !left_out(name)).collect();
            let mut listed: Vec<_> = listed.iter().flat_map(|names| names.split_whitespace()).collect();
            there.sort_unstable();
            listed.sort_unstable();
            assert_eq!(there, listed, "{kind}");
        }
    }

    #[test]
    fn what_is_left_out_is_there_to_be_left_out() {
        let scalar = Defaults::default_scalar_functions();
        let higher = Defaults::default_higher_order_functions();
        let there: Vec<_> = scalar.iter().map(|f| f.name()).chain(higher.iter().map(|f| f.name())).collect();
        for (name, reason) in LEFT_OUT {
            assert!(there.contains(name), "`{name}` ({reason}) is gone from DataFusion");
        }
    }
}
