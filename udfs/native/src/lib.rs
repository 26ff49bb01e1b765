//! SQL functions that analysts miss in DataFusion: divisions that do not fail, Japanese text and calendars, digits.
//!
//! Why a package of its own: a function is a leaf. It gets arrays and gives arrays, so it must not know a dataset, a
//! caller, a clock or a setting. [`functions`] is what the engine registers; [`era`] and [`calendar`] are pure and
//! also read dates while files are imported.
//!
//! One function a file. Each opens with its documentation, whose example a test runs through the engine and compares.
//! What does the arithmetic is a plain function beside it, with a table of cases. Rules that hold for all:
//!
//! - NULL in, NULL out. A value that has no answer (a zero divisor, text that is no date, a day outside of the holiday
//!   table) is NULL too; an argument that can only be a mistake (a thirteenth month) is an error that names it.
//! - An argument may be a column or a constant, and text may have any of Arrow's three layouts.
//! - No value grows beyond [`TEXT_BYTES_MAX`].

pub mod calendar;
pub mod era;

#[macro_use]
mod scalar_function;

mod arrays;
mod business;
mod fiscal;
mod holidays;
mod kana;
mod numbers;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

mod add_business_days;
mod business_days_between;
mod fiscal_period;
mod fiscal_quarter;
mod fiscal_year;
mod format_era;
mod hiragana_to_katakana;
mod holiday_name_ja;
mod is_business_day;
mod katakana_to_hiragana;
mod leading_digits;
mod match_key_ja;
mod normalize_ja;
mod parse_era;
mod percent_change;
mod safe_divide;
mod to_fullwidth;
mod to_halfwidth;

use datafusion_expr::ScalarUDF;

pub use arrays::TEXT_BYTES_MAX;

/// Every function, by name.
#[must_use]
pub fn functions() -> Vec<ScalarUDF> {
    vec![
        add_business_days::AddBusinessDays::new().into(),
        business_days_between::BusinessDaysBetween::new().into(),
        fiscal_period::FiscalPeriod::new().into(),
        fiscal_quarter::FiscalQuarter::new().into(),
        fiscal_year::FiscalYear::new().into(),
        format_era::FormatEra::new().into(),
        hiragana_to_katakana::HiraganaToKatakana::new().into(),
        holiday_name_ja::HolidayNameJa::new().into(),
        is_business_day::IsBusinessDay::new().into(),
        katakana_to_hiragana::KatakanaToHiragana::new().into(),
        leading_digits::LeadingDigits::new().into(),
        match_key_ja::MatchKeyJa::new().into(),
        normalize_ja::NormalizeJa::new().into(),
        parse_era::ParseEra::new().into(),
        percent_change::PercentChange::new().into(),
        safe_divide::SafeDivide::new().into(),
        to_fullwidth::ToFullwidth::new().into(),
        to_halfwidth::ToHalfwidth::new().into(),
    ]
}
