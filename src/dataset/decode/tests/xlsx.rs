//! XLSX: cells of every kind, a sheet of one far cell, bombs, and archives that are cut short.

use std::io::{Cursor, Write};

use zip::{ZipWriter, write::SimpleFileOptions};

use super::{
    super::{DecodeError, DecodeLimits, LimitName, ReadOptions},
    support::{read, read_with, source},
};

/// A workbook with the sheets `First` and `Second`; style 1 is a date, style 2 a date with time.
fn book(sheet_data: &str) -> Vec<u8> {
    const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    const RELATIONS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let sheet = |data: &str| format!("<worksheet xmlns=\"{MAIN}\"><sheetData>{data}</sheetData></worksheet>");
    let parts = [
        (
            "_rels/.rels",
            format!(
                "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"r1\" Type=\"{RELATIONS}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/workbook.xml",
            format!(
                "<workbook xmlns=\"{MAIN}\" xmlns:r=\"{RELATIONS}\"><sheets><sheet name=\"First\" sheetId=\"1\" r:id=\"r1\"/><sheet name=\"Second\" sheetId=\"2\" r:id=\"r2\"/></sheets></workbook>"
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            format!(
                "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"r1\" Type=\"{RELATIONS}/worksheet\" Target=\"worksheets/sheet1.xml\"/><Relationship Id=\"r2\" Type=\"{RELATIONS}/worksheet\" Target=\"worksheets/sheet2.xml\"/><Relationship Id=\"r3\" Type=\"{RELATIONS}/styles\" Target=\"styles.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/styles.xml",
            format!(
                "<styleSheet xmlns=\"{MAIN}\"><cellXfs count=\"3\"><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/><xf numFmtId=\"22\"/></cellXfs></styleSheet>"
            ),
        ),
        ("xl/worksheets/sheet1.xml", sheet(sheet_data)),
        (
            "xl/worksheets/sheet2.xml",
            sheet(
                "<row r=\"1\"><c r=\"A1\" t=\"str\"><v>only</v></c></row><row r=\"2\"><c r=\"A2\"><v>5</v></c></row>",
            ),
        ),
    ];
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts {
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

const HEADER: &str = r#"<row r="1"><c r="A1" t="str"><v>n</v></c><c r="B1" t="str"><v>code</v></c><c r="C1" t="str"><v>day</v></c><c r="D1" t="str"><v>at</v></c><c r="E1" t="str"><v>ok</v></c></row>"#;

#[test]
fn cells_of_every_kind() {
    let data = format!(
        r#"{HEADER}<row r="2"><c r="A2"><v>1</v></c><c r="B2" t="str"><v>007</v></c><c r="C2" s="1"><v>45296</v></c><c r="D2" s="2"><v>45296.5</v></c><c r="E2" t="b"><v>1</v></c></row><row r="4"><c r="A4"><v>2.5</v></c><c r="B4" t="e"><v>#N/A</v></c><c r="E4" t="b"><v>0</v></c></row>"#
    );
    let read = read("book.xlsx", book(&data)).unwrap();
    assert_eq!(read.types(), "n:float64 code:string day:date at:datetime ok:bool");
    assert_eq!(read.rows(), ["1.0|007|2024-01-05|2024-01-05T12:00:00|true", "2.5|-|-|-|false"]);
    assert_eq!((read.contract.sheet.as_deref(), read.contract.has_header), (Some("First"), true));
}

#[test]
fn sheets_are_chosen_by_name() {
    let named = |sheet: &str| {
        let options = ReadOptions { sheet: Some(sheet.to_owned()), ..ReadOptions::default() };
        read_with(&source("book.xlsx", book(HEADER)), &options, &DecodeLimits::default())
    };
    assert_eq!(named("Second").unwrap().rows(), ["5"]);
    let error = named("Third").unwrap_err().to_string();
    assert_eq!(error, "option `sheet`: no sheet named `Third`; the sheets are `First`, `Second`");
}

#[test]
fn one_cell_in_the_last_corner_is_one_bad_row() {
    let filler: String =
        (2..200).map(|row| format!(r#"<row r="{row}"><c r="A{row}"><v>{row}</v></c></row>"#)).collect();
    let data = format!(r#"{HEADER}{filler}<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>"#);
    let read = read("book.xlsx", book(&data)).unwrap();
    assert_eq!(read.rows().len(), 198);
    assert_eq!(read.reasons(), ["1048576: expected 5 columns, got a cell in column 16384"]);
    let error =
        super::support::read("book.xlsx", book(r#"<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>"#))
            .unwrap_err();
    assert!(matches!(error, DecodeError::OverLimit { what: LimitName::Columns, .. }), "{error}");
}

#[test]
fn a_workbook_that_inflates_is_stopped() {
    let limits = DecodeLimits { ratio_free_bytes: 1 << 20, ..DecodeLimits::default() };
    let bytes = book(&" ".repeat(16 << 20));
    let error = read_with(&source("book.xlsx", bytes), &ReadOptions::default(), &limits).unwrap_err();
    assert!(matches!(error, DecodeError::OverLimit { what: LimitName::DecompressedBytes, .. }), "{error}");
}

#[test]
fn broken_workbooks_give_errors() {
    let good = book(HEADER);
    for length in (4..good.len()).step_by(37) {
        read("book.xlsx", good[..length].to_vec()).unwrap_err();
    }
    for place in (0..good.len()).step_by(13) {
        let mut flipped = good.clone();
        flipped[place] ^= 0x5A;
        // Some flips change nothing that is read; none may bring the process down.
        let _ = read("book.xlsx", flipped);
    }
}
