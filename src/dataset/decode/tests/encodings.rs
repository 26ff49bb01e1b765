//! Encodings: round trips, the second bytes of Shift_JIS, and places of broken bytes.

use encoding_rs::{EUC_JP, SHIFT_JIS};

use super::{
    super::{BadKind, DecodeLimits, Format, ReadOptions, TextEncoding},
    support::{read, read_with, source},
};

const TEXT: &str = "品名,備考,数量\n表示用ソフト,能力の予算|申請,10\n\"高橋,十\",髙島屋の一覧表,20\n";

fn utf16(text: &str, unit: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

#[test]
fn every_encoding_gives_the_same_rows() {
    let expected = ["表示用ソフト|能力の予算|申請|10", "高橋,十|髙島屋の一覧表|20"];
    let plain = TEXT.replace('髙', "高");
    for (encoding, bytes, text) in [
        (TextEncoding::Utf8, TEXT.as_bytes().to_vec(), TEXT),
        (TextEncoding::Utf8, [b"\xEF\xBB\xBF", TEXT.as_bytes()].concat(), TEXT),
        (TextEncoding::ShiftJis, SHIFT_JIS.encode(TEXT).0.into_owned(), TEXT),
        (TextEncoding::EucJp, EUC_JP.encode(&plain).0.into_owned(), &plain),
        (TextEncoding::Utf16Le, utf16(TEXT, u16::to_le_bytes), TEXT),
        (TextEncoding::Utf16Be, utf16(TEXT, u16::to_be_bytes), TEXT),
        (TextEncoding::Utf16Le, utf16(&format!("\u{FEFF}{TEXT}"), u16::to_le_bytes), TEXT),
        (TextEncoding::Utf16Be, utf16(&format!("\u{FEFF}{TEXT}"), u16::to_be_bytes), TEXT),
    ] {
        let read = read("t.csv", bytes).unwrap();
        let expected =
            expected.map(|row| if text == TEXT { row.to_owned() } else { row.replace('髙', "高") });
        assert_eq!((read.contract.encoding, read.rows()), (encoding, expected.to_vec()));
        assert_eq!(read.types(), "品名:string 備考:string 数量:int64");
    }
}

/// Every character of two bytes, beside every delimiter and inside quotes: the cells are those of decoding first and
/// splitting then, at every place where a chunk may end.
#[test]
fn no_second_byte_separates_or_quotes() {
    for (encoding, name) in [(SHIFT_JIS, TextEncoding::ShiftJis), (EUC_JP, TextEncoding::EucJp)] {
        let mut characters = Vec::new();
        for lead in 0x80..=0xFF_u8 {
            for second in 0..=0xFF_u8 {
                if let Some(text) =
                    encoding.decode_without_bom_handling_and_without_replacement(&[lead, second])
                    && text.chars().count() == 1
                {
                    characters.push(([lead, second], text.into_owned()));
                }
            }
        }
        assert!(characters.len() > 6_500, "{}", characters.len());
        for delimiter in [b',', b'\t', b';', b'|'] {
            let mut bytes = [b"h", &[delimiter][..], b"i\n"].concat();
            let mut expected = Vec::new();
            for (pair, text) in &characters {
                bytes.extend(
                    [
                        pair,
                        &[delimiter][..],
                        pair,
                        b"x\n\"",
                        pair,
                        b"\"",
                        &[delimiter],
                        b"\"",
                        &[delimiter],
                        pair,
                        b"\"\n",
                    ]
                    .concat(),
                );
                let separator = char::from(delimiter);
                expected.push(format!("{text}/{text}x"));
                expected.push(format!("{text}/{separator}{text}"));
            }
            let options = ReadOptions {
                encoding: Some(name),
                delimiter: Some(char::from(delimiter)),
                has_header: Some(true),
                null_values: Some(vec![]),
                ..ReadOptions::default()
            };
            let limits = DecodeLimits { chunk_bytes: 997, ..DecodeLimits::default() };
            let read = read_with(&source("t.csv", bytes), &options, &limits).unwrap();
            assert_eq!(read.bad, [], "{name} {}", char::from(delimiter));
            let cells = |batch: &arrow::record_batch::RecordBatch| {
                let column = |index| arrow::array::AsArray::as_string::<i32>(batch.column(index)).clone();
                let (left, right) = (column(0), column(1));
                (0..batch.num_rows())
                    .map(|row| format!("{}/{}", left.value(row), right.value(row)))
                    .collect::<Vec<_>>()
            };
            let got: Vec<String> = read.batches.iter().flat_map(cells).collect();
            assert!(got == expected, "{name} {}", char::from(delimiter));
        }
    }
}

#[test]
fn broken_bytes_are_placed() {
    let given = |encoding| ReadOptions { encoding: Some(encoding), ..ReadOptions::default() };
    let check = |encoding, bytes: Vec<u8>, offset, line, rows: &[&str]| {
        let read = read_with(&source("t.csv", bytes), &given(encoding), &DecodeLimits::default()).unwrap();
        assert_eq!(read.rows(), rows);
        assert_eq!((read.bad[0].kind, read.bad[0].line), (BadKind::Encoding { offset }, line));
        let error = read.bad[0].clone().into_error(Format::Csv).to_string();
        assert_eq!(
            error,
            format!("Encoding error: the bytes are not {encoding} at byte {offset}, line {line}")
        );
    };
    check(TextEncoding::Utf8, b"a,b\n1,x\n2,\xFFy\n3,z\n".to_vec(), 10, 3, &["1|x", "3|z"]);
    check(TextEncoding::ShiftJis, b"a,b\n1,\x81\n2,y\n".to_vec(), 6, 2, &["2|y"]);
    check(TextEncoding::ShiftJis, b"a,b\n1,\"\n\x81\"\n2,y\n".to_vec(), 8, 3, &["2|y"]);
    check(TextEncoding::EucJp, b"a,b\n1,\xA4\n2,y\n".to_vec(), 6, 2, &["2|y"]);
    let mut wide = utf16("a,b\n1,表\n2,", u16::to_le_bytes);
    let offset = wide.len() as u64;
    wide.extend([0x42, 0xD8]);
    wide.extend(utf16("\n3,z\n", u16::to_le_bytes));
    check(TextEncoding::Utf16Le, wide, offset, 3, &["1|表", "3|z"]);
}

#[test]
fn japanese_text_after_a_megabyte_of_ascii_is_found() {
    let mut text = "n,name\n".to_owned();
    (0..200_000).for_each(|row| text.push_str(&format!("{row},abc\n")));
    (0..50).for_each(|row| text.push_str(&format!("{row},表示用ソフトの一覧\n")));
    let read = read("t.csv", SHIFT_JIS.encode(&text).0.into_owned()).unwrap();
    assert_eq!((read.contract.encoding, read.restarts), (TextEncoding::ShiftJis, 1));
    assert_eq!(read.rows().last().unwrap(), "49|表示用ソフトの一覧");
    assert_eq!((read.rows().len(), read.bad.len()), (200_050, 0));
}

#[test]
fn one_broken_byte_late_in_utf_8_is_one_bad_row() {
    let mut bytes = "n,name\n".to_owned().into_bytes();
    (0..200_000).for_each(|row| bytes.extend(format!("{row},名前\n").as_bytes()));
    bytes.extend(b"1,\xFF\n2,x\n");
    let read = read("t.csv", bytes).unwrap();
    assert_eq!(read.contract.encoding, TextEncoding::Utf8);
    assert_eq!((read.rows().len(), read.bad.len(), read.bad[0].line), (200_001, 1, 200_002));
}
