//! Files that are wrong: each gives an error or a bad row that names what, where and why.

use std::io::Write;

use super::{
    super::{BadKind, DecodeError, DecodeLimits, Format, LimitName, ReadOptions},
    support::{csv, read, read_with, source},
};

#[test]
fn rows_that_are_wrong_are_set_aside() {
    check("a,b\n1\n2,3\n4,5,6\n", &["2: expected 2 fields, got 1", "4: expected 2 fields, got 3"], 1);
    check("a,b\n\"x\"y,1\n2,3\n", &["2: a closing quote is followed by text"], 1);
    check("a,b\n1,2\n3,\"open\n4,5\n6,7\n", &["3: a quote opened here is never closed"], 3);
    check("a,b\n1,\"two\nlines\"\n3\n", &["4: expected 2 fields, got 1"], 1);

    #[track_caller]
    fn check(text: &str, reasons: &[&str], rows: usize) {
        let read = csv(text);
        assert_eq!(read.reasons(), reasons);
        assert_eq!(read.rows().len(), rows, "{:?}", read.rows());
    }
}

#[test]
fn a_bad_row_is_an_error_where_none_is_accepted() {
    let mut bad = csv("a,b\n1\n").bad;
    assert_eq!(bad[0].raw, "1");
    let error = bad.remove(0).into_error(Format::Csv);
    assert_eq!(error.to_string(), "CSV parse error: line 2: expected 2 fields, got 1");
}

#[test]
fn an_empty_file_says_so() {
    for bytes in [&b""[..], b"\n\n", b"\xEF\xBB\xBF", b"\r\n"] {
        let error = read("t.csv", bytes).unwrap_err();
        assert_eq!(error.to_string(), "the file is empty", "{bytes:?}");
    }
}

#[test]
fn an_unclosed_quote_does_not_take_the_file_with_it() {
    let mut text = "a,b\n1,\"open\n".to_owned();
    (0..300_000).for_each(|row| {
        text.push_str(&format!("{row},xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"))
    });
    let read = csv(&text);
    assert_eq!(read.reasons(), ["2: a quote opened here is never closed"]);
    assert_eq!(read.rows().len(), 300_000);
}

#[test]
fn a_field_of_a_hundred_megabytes_is_set_aside() {
    for quote in ["", "\""] {
        let long = "x".repeat(100 << 20);
        let read = csv(&format!("a,b\n1,{quote}{long}{quote}\n2,y\n"));
        assert_eq!(read.rows(), ["2|y"]);
        assert_eq!((read.bad.len(), read.bad[0].line), (1, 2));
        assert_eq!(read.bad[0].kind, BadKind::TooLong(LimitName::RecordBytes));
        assert!(read.bad[0].raw.len() <= 4096);
        let error = read.bad[0].clone().into_error(Format::Csv).to_string();
        assert_eq!(
            error,
            "the length of a row is over the limit: line 2: expected at most 16777216 bytes in a row, got more; \
             if a quote joins lines that belong apart, name another `quote`, else make the value shorter"
        );
    }
}

#[test]
fn a_field_over_the_limit_is_set_aside() {
    let field = |length| format!("a,b\n1,{}\n2,y\n", "x".repeat(length));
    assert_eq!(csv(&field(1 << 20)).bad, []);
    let read = csv(&field((1 << 20) + 1));
    assert_eq!(read.reasons(), ["2: expected at most 1048576 bytes in a field, got 1048577"]);
}

#[test]
fn columns_up_to_the_limit() {
    let wide = |count: usize| format!("{}\n{}\n", vec!["h"; count].join(","), vec!["1"; count].join(","));
    assert_eq!(csv(&wide(10_000)).contract.columns.len(), 10_000);
    let error = read("t.csv", wide(10_001)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the number of columns is over the limit: expected at most 10000 columns, got 10001"
    );
}

#[test]
fn bombs_are_stopped() {
    let zeros = vec![b'1'; 1 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    for row in 0..8 {
        let line = if row == 0 { &b"a,b\n"[..] } else { &zeros };
        gzip.write_all(line).unwrap();
        zstd.write_all(line).unwrap();
    }
    for (name, bytes) in [("t.csv.gz", gzip.finish().unwrap()), ("t.csv.zst", zstd.finish().unwrap())] {
        let limits = DecodeLimits { ratio: 50, ratio_free_bytes: 4 << 20, ..DecodeLimits::default() };
        let error = read_with(&source(name, bytes.clone()), &ReadOptions::default(), &limits).unwrap_err();
        assert!(
            matches!(error, DecodeError::OverLimit { what: LimitName::DecompressedRatio, .. }),
            "{error}"
        );
        let limits = DecodeLimits { decompressed_bytes: Some(1 << 20), ..DecodeLimits::default() };
        let error = read_with(&source(name, bytes), &ReadOptions::default(), &limits).unwrap_err();
        assert!(
            matches!(error, DecodeError::OverLimit { what: LimitName::DecompressedBytes, .. }),
            "{error}"
        );
    }
}

#[test]
fn formats_that_are_not_read_are_named() {
    for (name, bytes, expected) in [
        ("a.xls", &b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"[..], "XLS"),
        ("a.bin", b"ab\0cd\0\0\0\x01\x02ef", "zero bytes"),
        (
            "a.csv",
            b"a,b\n\xFF\xFE\xFD\xFC\x80,\xFF\n",
            "no UTF-8, UTF-16, Shift_JIS or EUC-JP at byte 4, line 2",
        ),
    ] {
        let error = read(name, bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
