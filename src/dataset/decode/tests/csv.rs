//! CSV: types, headers, quotes, line ends, delimiters, compression, restarts.

use std::io::Write;

use super::{
    super::{ColumnType, DecodeLimits, ReadOptions, Terminator},
    support::{csv, read, read_with, source},
};

#[test]
fn types_and_values() {
    let read = csv("id,code,price,day,at,moment,ok,note\n\
                    1,007,1.50,2024-01-05,2024-01-05 10:00,2024-01-05T10:00:00+09:00,true,a\n\
                    NA,081,-.5,2024/1/6,2024-01-06,2024-01-05T01:00:00Z,FALSE,\n");
    assert_eq!(
        read.types(),
        "id:int64 code:string price:float64 day:date at:datetime moment:datetime_utc ok:bool note:string"
    );
    assert_eq!(
        read.rows(),
        [
            "1|007|1.5|2024-01-05|2024-01-05T10:00:00|2024-01-05T01:00:00Z|true|a",
            "-|081|-0.5|2024-01-06|2024-01-06T00:00:00|2024-01-05T01:00:00Z|false|-"
        ]
    );
    assert_eq!(read.bad, []);
}

#[test]
fn long_ids_stay_exact() {
    let read = csv("a,b,c\n9223372036854775807,18446744073709551615,18446744073709551616\n");
    assert_eq!(read.types(), "a:int64 b:uint64 c:string");
    assert_eq!(read.rows(), ["9223372036854775807|18446744073709551615|18446744073709551616"]);
}

#[test]
fn quotes_line_ends_and_blank_lines() {
    check("a,b\n\"x,1\",\"say \"\"hi\"\"\"\n", &["x,1|say \"hi\""]);
    check("a,b\r\n\"x\r\ny\",2\r\n", &["x\r\ny|2"]);
    check("a,b\rx,y\rz,w\r", &["x|y", "z|w"]);
    check("a,b\n\nx,y\n\r\n\nz,w", &["x|y", "z|w"]);
    check("a,b\nit\"s,5\" wide\n", &["it\"s|5\" wide"]);
    check("a\nx\n\"\"\ny\n", &["x", "-", "y"]);
    check("a\nx\n\"\"", &["x", "-"]);
    check("a,b\nx,\"y\"", &["x|y"]);

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let read = csv(text);
        assert_eq!(
            (read.rows(), read.reasons()),
            (expected.iter().map(|row| (*row).to_owned()).collect(), vec![])
        );
    }
}

#[test]
fn delimiters_and_line_ends_are_found() {
    for (text, delimiter, terminator) in [
        ("a,b\n1,2\n", ',', Terminator::Lf),
        ("a\tb\r\n1,5\t2\r\n", '\t', Terminator::Crlf),
        ("a;b\r1,5;2\r", ';', Terminator::Cr),
        ("a|b\n\"1|2\"|2\n", '|', Terminator::Lf),
        ("name\nx\n", ',', Terminator::Lf),
    ] {
        let contract = csv(text).contract;
        assert_eq!((contract.delimiter, contract.terminator), (delimiter, terminator), "{text:?}");
    }
}

#[test]
fn headers() {
    check("a,b\n1,2\n", true, "a:int64 b:int64");
    check("x,y\nz,w\n", true, "x:string y:string");
    check("1,2\n3,4\n", false, "column_1:int64 column_2:int64");
    check("x,2024-01-05\ny,2024-01-06\n", false, "column_1:string column_2:date");
    check(",b\n1,2\n", true, "column_1:int64 b:int64");
    check("a,A,a,\n1,2,3,4\n", true, "a:int64 A_2:int64 a_3:int64 column_4:int64");
    check("a,b\n", true, "a:string b:string");

    #[track_caller]
    fn check(text: &str, has_header: bool, types: &str) {
        let read = csv(text);
        assert_eq!((read.contract.has_header, read.types().as_str()), (has_header, types));
    }
}

#[test]
fn a_header_alone_is_an_empty_table() {
    let read = csv("a,b\n");
    assert_eq!(read.rows(), Vec::<String>::new());
    assert_eq!(read.inspection.warnings, ["the file has no rows"]);
}

#[test]
fn options_are_followed() {
    let text = "made by\n\"someone\nn;when;zip;price\n1;R6.1.5;007;1.50\n-;令和元年5月1日;x;2\n";
    let options = ReadOptions {
        skip_rows: Some(2),
        null_values: Some(vec!["-".to_owned()]),
        era_dates: Some(true),
        exact_decimals: Some(true),
        types: [("zip".to_owned(), ColumnType::Int64)].into(),
        ..ReadOptions::default()
    };
    let read = read_with(&source("t.csv", text), &options, &DecodeLimits::default()).unwrap();
    assert_eq!(read.types(), "n:int64 when:date zip:int64 price:decimal(18,2)");
    assert_eq!(read.rows(), ["1|2024-01-05|7|1.50"]);
    assert_eq!(read.reasons(), ["5: column `zip`: expected int64, got `x`"]);
    assert_eq!((read.bad[0].column, read.bad[0].raw.as_str()), (Some(3), "-;令和元年5月1日;x;2"));
}

#[test]
fn what_is_no_option_is_refused() {
    let named = ReadOptions { date_columns: vec!["whem".to_owned()], ..ReadOptions::default() };
    let error =
        read_with(&source("t.csv", "when\n2024-01-05\n"), &named, &DecodeLimits::default()).unwrap_err();
    assert_eq!(error.to_string(), "option `date_columns`: no column named `whem`; the columns are `when`");
    let delimiter = ReadOptions { delimiter: Some('、'), ..ReadOptions::default() };
    let error = read_with(&source("t.csv", "a\n1\n"), &delimiter, &DecodeLimits::default()).unwrap_err();
    assert!(error.to_string().starts_with("option `delimiter`: expected one ASCII character"), "{error}");
    assert!(
        serde_json::from_str::<ReadOptions>(r#"{"encoding":"latin-9"}"#)
            .unwrap_err()
            .to_string()
            .contains("`latin-9`")
    );
}

#[test]
fn a_late_value_changes_the_type_and_loses_nothing() {
    let mut text = "n,d\n".to_owned();
    (0..200_000).for_each(|row| text.push_str(&format!("{row},2024-01-05\n")));
    text.push_str("0081,today\n");
    let read = csv(&text);
    assert_eq!((read.types().as_str(), read.restarts), ("n:string d:string", 1));
    assert_eq!(read.rows().len(), 200_001);
    assert_eq!(read.rows().last().unwrap(), "0081|today");
}

#[test]
fn a_kept_contract_quarantines_what_does_not_fit() {
    let first = csv("id,n\n1,2\n");
    let kept = first.contract.kept();
    let again =
        super::support::parse(&source("t.csv", "id,n\n1,007\nx,3\n4,5\n"), &kept, &DecodeLimits::default())
            .unwrap();
    assert_eq!(again.2, []);
    assert_eq!(
        again.1.iter().map(|row| (row.line, row.column)).collect::<Vec<_>>(),
        [(2, Some(2)), (3, Some(1))]
    );
    assert_eq!(again.0[0].num_rows(), 1);
    let json = serde_json::to_string(&kept).unwrap();
    assert_eq!(serde_json::from_str::<super::super::Contract>(&json).unwrap(), kept);
}

#[test]
fn gzip_and_zstd_are_read_through() {
    let text = "a,b\n1,x\n2,y\n";
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    // Two members, as `cat a.gz b.gz` makes.
    let members = [gzip("a,b\n1,x\n"), gzip("2,y\n")].concat();
    for bytes in [gzip(text), members, zstd::encode_all(text.as_bytes(), 1).unwrap()] {
        assert_eq!(read("t.csv.gz", bytes).unwrap().rows(), ["1|x", "2|y"]);
    }
    let mut broken = gzip(&text.repeat(1000));
    broken.truncate(broken.len() - 9);
    let error = read("t.csv.gz", broken).unwrap_err();
    assert!(matches!(error, super::super::DecodeError::Malformed { .. }), "{error}");
}

proptest::proptest! {
    #[test]
    fn any_cut_gives_the_same_rows(
        fields in proptest::collection::vec("[a-c,\"\n\r|表ソ0-9]{0,6}", 2..60), chunk_bytes in 1_usize..64,
    ) {
        let mut text = "h1,h2\n".to_owned();
        for pair in fields.chunks_exact(2) {
            let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            text.push_str(&format!("{},{}\n", quoted(&pair[0]), quoted(&pair[1])));
        }
        let options = ReadOptions { has_header: Some(true), delimiter: Some(','), null_values: Some(vec![]), types: [
            ("h1".to_owned(), ColumnType::String), ("h2".to_owned(), ColumnType::String)].into(), ..ReadOptions::default() };
        let limits = DecodeLimits { chunk_bytes, ..DecodeLimits::default() };
        let read = read_with(&source("t.csv", text), &options, &limits).unwrap();
        let expected: Vec<String> = fields.chunks_exact(2).map(|pair| pair.join("|")).collect();
        proptest::prop_assert_eq!(read.rows(), expected);
        proptest::prop_assert_eq!(read.bad, vec![]);
    }

    #[test]
    fn any_cut_of_any_text_gives_the_same_rows(text in "[ab,\"\n\r]{1,80}", chunk_bytes in 1_usize..16) {
        let options = ReadOptions { has_header: Some(true), delimiter: Some(','), ..ReadOptions::default() };
        let of = |chunk_bytes| {
            let limits = DecodeLimits { chunk_bytes, ..DecodeLimits::default() };
            read_with(&source("t.csv", format!("h,i\n{text}")), &options, &limits).map(|read| (read.rows(), read.reasons()))
        };
        proptest::prop_assert_eq!(of(chunk_bytes).unwrap(), of(1 << 20).unwrap());
    }
}

#[test]
fn a_long_file_loses_no_row_between_its_chunks() {
    let text = format!("a,b\n{}bad\n", "1,x\n".repeat(400_000));
    let read = read("t.csv", text).unwrap();
    let rows: usize = read.batches.iter().map(|batch| batch.num_rows()).sum();
    assert!(read.batches.len() > 1, "more than one chunk");
    assert_eq!((rows, read.bad.len(), read.restarts), (400_000, 1, 0));
}
