//! Totals in any order and in parts, against numbers that are wide enough.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, BooleanArray, Decimal128Array, Int64Array, UInt64Array};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, UInt64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use proptest::prelude::*;

use super::groups::Groups;
use super::single::{Distinct, Plain, Sliding, SlidingDistinct};
use super::total::{Addend as _, Total};
use crate::engine::classify::classify;
use crate::error::Code;

/// What is left when a total was asked for: NULL, a number, or nothing because it overflows.
type Answer = std::result::Result<Option<i128>, ()>;

/// Of values that are added as they are.
fn expected(values: &[Option<i64>]) -> Answer {
    let there: Vec<i128> = values.iter().flatten().map(|value| i128::from(*value)).collect();
    let total: i128 = there.iter().sum();
    if there.is_empty() {
        return Ok(None);
    }
    if i64::try_from(total).is_ok() { Ok(Some(total)) } else { Err(()) }
}

fn answer(outcome: Result<ScalarValue>) -> Answer {
    match outcome {
        Ok(ScalarValue::Int64(value)) => Ok(value.map(i128::from)),
        Ok(ScalarValue::UInt64(value)) => Ok(value.map(i128::from)),
        Ok(ScalarValue::Decimal128(value, ..)) => Ok(value),
        Ok(other) => panic!("{other:?}"),
        Err(error) => {
            let error = classify(error);
            assert_eq!(error.code(), Code::BadData);
            assert!(error.to_string().starts_with("overflow happened on `sum`"), "{error}");
            Err(())
        }
    }
}

fn column(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

/// Small numbers, and those at both ends.
fn values() -> impl Strategy<Value = Vec<Option<i64>>> {
    let value = prop_oneof![
        Just(i64::MAX),
        Just(i64::MIN),
        Just(-1),
        -3_i64..3,
        i64::MIN / 2..i64::MAX / 2,
        any::<i64>()
    ];
    prop::collection::vec(prop::option::weighted(0.9, value), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn parts_make_the_whole(parts in prop::collection::vec(values(), 0..5)) {
        let all: Vec<_> = parts.concat();
        let mut whole = Plain::<Int64Type>::new(DataType::Int64);
        let mut last = Plain::<Int64Type>::new(DataType::Int64);
        for part in &parts {
            whole.update_batch(&[column(part)]).unwrap();
            let mut first = Plain::<Int64Type>::new(DataType::Int64);
            first.update_batch(&[column(part)]).unwrap();
            let state: Vec<_> = first.state().unwrap().iter().map(|part| part.to_array().unwrap()).collect();
            last.merge_batch(&state).unwrap();
        }
        prop_assert_eq!(answer(whole.evaluate()), expected(&all));
        prop_assert_eq!(answer(last.evaluate()), expected(&all));
    }

    #[test]
    fn a_window_slides_exactly(values in values(), width in 1_usize..6) {
        let mut sliding = Sliding::<Int64Type>::new(DataType::Int64);
        let mut distinct = SlidingDistinct::<Int64Type>::new(DataType::Int64);
        for at in 0..values.len() {
            let new = [column(&values[at..=at])];
            sliding.update_batch(&new).unwrap();
            distinct.update_batch(&new).unwrap();
            let from = (at + 1).saturating_sub(width);
            if let Some(gone) = from.checked_sub(1).filter(|_| at >= width) {
                let gone = [column(&values[gone..=gone])];
                sliding.retract_batch(&gone).unwrap();
                distinct.retract_batch(&gone).unwrap();
            }
            let window = &values[from..=at];
            let mut different: Vec<_> = window.iter().flatten().copied().map(Some).collect();
            different.sort_unstable();
            different.dedup();
            prop_assert_eq!(answer(sliding.evaluate()), expected(window));
            prop_assert_eq!(answer(distinct.evaluate()), expected(&different));
        }
    }

    #[test]
    fn different_values_count_once(parts in prop::collection::vec(values(), 0..3)) {
        let mut whole = Distinct::<Int64Type>::new(DataType::Int64);
        for part in &parts {
            let mut first = Distinct::<Int64Type>::new(DataType::Int64);
            first.update_batch(&[column(part)]).unwrap();
            let state: Vec<_> = first.state().unwrap().iter().map(|part| part.to_array().unwrap()).collect();
            whole.merge_batch(&state).unwrap();
        }
        let mut different: Vec<_> = parts.concat().into_iter().flatten().map(Some).collect();
        different.sort_unstable();
        different.dedup();
        prop_assert_eq!(answer(whole.evaluate()), expected(&different));
    }

    /// Rows of some groups, a few filtered out, aggregated in parts, of which some are passed on as they are.
    #[test]
    fn groups_are_as_each_alone(
        rows in prop::collection::vec(
            (prop::option::weighted(0.9, prop_oneof![Just(i64::MAX), -9_i64..9, any::<i64>()]), 0_usize..4, any::<bool>()),
            1..40,
        ),
        parts in 1_usize..4,
        pass_on in any::<bool>(),
        first in 0_usize..5,
    ) {
        let mut last = Groups::<Int64Type>::new(DataType::Int64);
        let mut known = Vec::new();
        for part in rows.chunks(rows.len().div_ceil(parts)) {
            let values: Vec<_> = part.iter().map(|(value, ..)| *value).collect();
            let filter: BooleanArray = part.iter().map(|(.., kept)| Some(*kept)).collect();
            let mut one = Groups::<Int64Type>::new(DataType::Int64);
            let mut seen = Vec::new();
            let each: Vec<_> = part.iter().map(|(_, group, _)| place(&mut seen, *group)).collect();
            if pass_on {
                let state = one.convert_to_state(&[column(&values)], Some(&filter)).unwrap();
                let groups: Vec<_> = part.iter().map(|(_, group, _)| place(&mut known, *group)).collect();
                last.merge_batch(&state, &groups, known.len()).unwrap();
            } else {
                one.update_batch(&[column(&values)], &each, Some(&filter), seen.len()).unwrap();
                let state = one.state(EmitTo::All).unwrap();
                let groups: Vec<_> = seen.iter().map(|group| place(&mut known, *group)).collect();
                last.merge_batch(&state, &groups, known.len()).unwrap();
            }
        }
        let of_group = |group: &usize| {
            let rows = rows.iter().filter(|(_, of, kept)| of == group && *kept);
            expected(&rows.map(|(value, ..)| *value).collect::<Vec<_>>())
        };
        let wanted: Vec<Answer> = known.iter().map(of_group).collect();
        // Given out in two goes; a go fails when one of its groups does.
        let first = first.min(known.len());
        for (emit_to, wanted) in [(EmitTo::First(first), &wanted[..first]), (EmitTo::All, &wanted[first..])] {
            match (last.evaluate(emit_to), wanted.iter().any(std::result::Result::is_err)) {
                (Err(error), true) => assert_eq!(classify(error).code(), Code::BadData),
                (Ok(got), false) => {
                    let got = got.as_primitive::<Int64Type>().iter().map(|value| Ok(value.map(i128::from)));
                    prop_assert_eq!(got.collect::<Vec<Answer>>(), wanted);
                }
                other => panic!("{other:?}, expected {wanted:?}"),
            }
        }
    }
}

/// The place of a group among those that were seen, as they came.
fn place(seen: &mut Vec<usize>, group: usize) -> usize {
    seen.iter().position(|known| *known == group).unwrap_or_else(|| {
        seen.push(group);
        seen.len() - 1
    })
}

#[test]
fn totals_of_other_types() {
    let decimal = DataType::Decimal128(38, 2);
    let nines = 10_i128.pow(38) - 1;
    check(&[u64::MAX, 1], Err(()));
    check(&[u64::MAX, 0], Ok(Some(i128::from(u64::MAX))));
    check(&[u64::MAX; 5], Err(()));
    check_decimal(&[nines, 1], Err(()));
    check_decimal(&[nines, 1, -1], Ok(Some(nines)));
    check_decimal(&[nines, nines, -nines], Ok(Some(nines)));
    check_decimal(&[nines; 3], Err(()));
    check_decimal(&[-nines, -nines, nines, 5], Ok(Some(5 - nines)));
    check_decimal(&[], Ok(None));

    let mut groups = Groups::<Decimal128Type>::new(decimal.clone());
    let two =
        |value| Arc::new(Decimal128Array::from(vec![value, 1]).with_data_type(decimal.clone())) as ArrayRef;
    groups.update_batch(&[two(nines)], &[0, 1], None, 2).unwrap();
    groups.update_batch(&[two(-1)], &[0, 1], None, 2).unwrap();
    let got = groups.evaluate(EmitTo::All).unwrap();
    assert_eq!(got.data_type(), &decimal);
    assert_eq!(got.as_primitive::<Decimal128Type>().values(), &[nines - 1, 2]);
    groups.update_batch(&[two(nines)], &[0, 0], None, 1).unwrap();
    assert!(groups.evaluate(EmitTo::All).is_err());

    #[track_caller]
    fn check(values: &[u64], expected: Answer) {
        let mut sum = Plain::<UInt64Type>::new(DataType::UInt64);
        sum.update_batch(&[Arc::new(UInt64Array::from(values.to_vec()))]).unwrap();
        assert_eq!(answer(sum.evaluate()), expected);
    }

    #[track_caller]
    fn check_decimal(values: &[i128], expected: Answer) {
        let data_type = DataType::Decimal128(38, 2);
        let mut sum = Plain::<Decimal128Type>::new(data_type.clone());
        let values = Decimal128Array::from(values.to_vec()).with_data_type(data_type);
        sum.update_batch(&[Arc::new(values)]).unwrap();
        assert_eq!(answer(sum.evaluate()), expected);
    }
}

#[test]
fn what_went_past_an_end_comes_back() {
    let mut total = Total::<i64>::default();
    for _ in 0..1_000 {
        total.add(i64::total([i64::MAX, i64::MAX, 7].into_iter()));
        total.subtract(i64::total([i64::MAX; 2].into_iter()));
    }
    assert_eq!(total, Total { value: 7_000, past: 0 });
    let mut total = Total::<u64>::default();
    total.subtract(u64::total([u64::MAX, u64::MAX].into_iter()));
    total.add(u64::total([u64::MAX, u64::MAX, 3].into_iter()));
    assert_eq!(total, Total { value: 3, past: 0 });
}
