//! What holds for every function, whatever it does.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, Date32Array, Int64Array, LargeStringArray, StringArray, StringViewArray,
    new_null_array,
};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::testing::shown;

/// Three rows of arguments that suit the function.
fn arguments(function: &ScalarUDF) -> Vec<ArrayRef> {
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![19_727, 0, 30_000]));
    let whole: ArrayRef = Arc::new(Int64Array::from(vec![4, 12, 1]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["令和6年1月5日", "ｶﾞ ABC", ""]));
    let calendars: ArrayRef = Arc::new(StringArray::from(vec!["national", "bank", "government"]));
    let styles: ArrayRef = Arc::new(StringArray::from(vec!["long", "short", "long"]));
    match function.name() {
        "safe_divide" | "percent_change" => vec![Arc::clone(&whole), whole],
        "leading_digits" => vec![Arc::new(StringArray::from(vec!["12.5", "7", "0.03"])), whole],
        "fiscal_year" | "fiscal_quarter" | "fiscal_period" => vec![dates, whole],
        "is_business_day" => vec![dates, calendars],
        "add_business_days" => vec![dates, whole, calendars],
        "business_days_between" => vec![Arc::clone(&dates), dates, calendars],
        "format_era" => vec![dates, styles],
        "holiday_name_ja" => vec![dates],
        _ => vec![texts],
    }
}

fn call(function: &ScalarUDF, args: Vec<ColumnarValue>, number_rows: usize) -> Result<ArrayRef> {
    let types: Vec<_> = args.iter().map(ColumnarValue::data_type).collect();
    let arg_fields = types.iter().map(|kind| Arc::new(Field::new("x", kind.clone(), true))).collect();
    let return_field = Arc::new(Field::new("y", function.return_type(&types)?, true));
    let config_options = Arc::new(ConfigOptions::default());
    let args = ScalarFunctionArgs { args, arg_fields, number_rows, return_field, config_options };
    function.invoke_with_args(args)?.into_array(number_rows)
}

fn columns(args: &[ArrayRef]) -> Vec<ColumnarValue> {
    args.iter().map(|array| ColumnarValue::Array(Arc::clone(array))).collect()
}

#[test]
fn names_are_in_order_and_documented() {
    let functions = crate::functions();
    assert!(functions.is_sorted_by(|a, b| a.name() < b.name()));
    for function in functions {
        let doc =
            function.documentation().unwrap_or_else(|| panic!("`{}` is not documented", function.name()));
        assert!(doc.syntax_example.starts_with(&format!("{}(", function.name())));
        assert!(doc.sql_example.as_ref().unwrap().contains(function.name()));
        let named = doc.arguments.iter().flatten().map(|(name, _)| name);
        assert!(named.clone().count() > 0 && named.clone().all(|name| doc.syntax_example.contains(name)));
        for related in doc.related_udfs.iter().flatten() {
            assert!(crate::functions().iter().any(|other| other.name() == related), "{related}");
        }
    }
}

#[test]
fn a_column_and_constants_give_the_same() {
    for function in crate::functions() {
        let args = arguments(&function);
        let together = call(&function, columns(&args), 3).unwrap();
        assert_eq!(together.len(), 3, "{}", function.name());
        assert_eq!(
            together.data_type(),
            &function.return_type(&types(&args)).unwrap(),
            "{}",
            function.name()
        );
        for row in 0..3 {
            let constants = args.iter().map(|array| ScalarValue::try_from_array(array, row).unwrap());
            let alone = call(&function, constants.map(ColumnarValue::Scalar).collect(), 1).unwrap();
            assert_eq!(shown(&alone), shown(&together.slice(row, 1)), "{}", function.name());
        }
    }
}

#[test]
fn a_null_argument_gives_null() {
    for function in crate::functions() {
        let args = arguments(&function);
        for at in 0..args.len() {
            let mut args = args.clone();
            let null = new_null_array(args[at].data_type(), 1);
            args[at] = concat(&[&null, &args[at].slice(1, 2)]).unwrap();
            let answer = call(&function, columns(&args), 3).unwrap();
            assert!(answer.is_null(0), "{}, argument {at}", function.name());
        }
    }
}

#[test]
fn text_may_have_any_layout() {
    for function in crate::functions() {
        let args = arguments(&function);
        let expected = shown(&call(&function, columns(&args), 3).unwrap());
        for layout in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View] {
            let args: Vec<_> = args
                .iter()
                .map(|array| {
                    if array.data_type() == &DataType::Utf8 {
                        cast(array, &layout).unwrap()
                    } else {
                        Arc::clone(array)
                    }
                })
                .collect();
            assert_eq!(shown(&call(&function, columns(&args), 3).unwrap()), expected, "{}", function.name());
        }
    }
}

#[test]
fn no_rows_are_no_rows() {
    for function in crate::functions() {
        let none: Vec<_> = arguments(&function).iter().map(|array| array.slice(0, 0)).collect();
        assert_eq!(call(&function, columns(&none), 0).unwrap().len(), 0, "{}", function.name());
    }
}

#[test]
fn arguments_that_can_only_be_a_mistake_are_named() {
    let date = || ColumnarValue::Scalar(ScalarValue::Date32(Some(0)));
    let whole = |n| ColumnarValue::Scalar(ScalarValue::Int64(Some(n)));
    let text = |text: &str| ColumnarValue::Scalar(ScalarValue::from(text));
    check("fiscal_year", vec![date(), whole(13)], "a month from 1 to 12 with which the year begins, got 13");
    check("fiscal_period", vec![date(), whole(-1)], "`fiscal_period` expects a month");
    check("format_era", vec![date(), text("tiny")], "the style `long` or `short`, got `tiny`");
    check("is_business_day", vec![date(), text("usa")], "`national`, `bank` or `government`, got `usa`");
    check("add_business_days", vec![date(), whole(1), text("")], "got ``");
    check("leading_digits", vec![whole(1), whole(0)], "expects 1 to 18 digits, got 0");

    #[track_caller]
    fn check(name: &str, args: Vec<ColumnarValue>, expected: &str) {
        let function = crate::functions().into_iter().find(|function| function.name() == name).unwrap();
        let error = call(&function, args, 1).unwrap_err().strip_backtrace();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_text_that_would_grow_too_long_is_refused() {
    // One character of three bytes that becomes eighteen of 33.
    let text = "\u{FDFA}".repeat(crate::TEXT_BYTES_MAX / 33 + 1);
    let function = crate::functions().into_iter().find(|function| function.name() == "normalize_ja").unwrap();
    for array in [
        Arc::new(StringViewArray::from(vec![text.as_str()])) as ArrayRef,
        Arc::new(LargeStringArray::from(vec!["x".repeat(crate::TEXT_BYTES_MAX + 1)])),
    ] {
        let error = call(&function, vec![ColumnarValue::Array(array)], 1).unwrap_err().strip_backtrace();
        assert!(error.contains("`normalize_ja` would make a text of more than 67108864 bytes"), "{error}");
    }
}

fn types(args: &[ArrayRef]) -> Vec<DataType> {
    args.iter().map(|array| array.data_type().clone()).collect()
}
