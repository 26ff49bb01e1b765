//! W9: bytes on the wire of ten queries with much text, and the bytes of the values that they carry.
//!
//! The trap: a string view points into the buffer it was read into, and Arrow IPC writes that buffer whole. Two
//! thousand rows of a sorted table were 530 MB.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use shirabe_benches::Outcome;

use super::client::Question;
use super::report::{self, Goal};
use super::rows;
use super::server::Server;

const STATEMENTS: [&str; 10] = [
    "select * from lineitem order by l_comment limit 2000",
    "select * from lineitem order by l_extendedprice desc limit 50000",
    "select l_comment from lineitem where l_comment like '%furious%' limit 100000",
    "select l_shipmode, l_shipinstruct, l_comment from lineitem where l_orderkey % 50 = 0",
    "select distinct l_shipinstruct, l_shipmode, o_clerk from lineitem join orders on o_orderkey = l_orderkey limit 20000",
    "select o_comment, c_comment from orders join customer on c_custkey = o_custkey where o_orderkey % 100 = 0",
    "select c_name, c_address, c_comment from customer order by c_acctbal desc limit 20000",
    "select p_name, p_type, upper(p_comment) from part where p_size = 7",
    "select s_name, s_comment, n_name from supplier join nation on n_nationkey = s_nationkey",
    "select ps_comment, row_number() over (order by ps_supplycost, ps_partkey, ps_suppkey) as place from partsupp limit 20000",
];

pub(super) async fn measure(server: &Server) -> Outcome<()> {
    let mut client = server.connect().await?;
    let mut worst: f64 = 0.0;
    for sql in STATEMENTS {
        let answer = client.query(Question::fresh(sql, "arrow")).await?;
        let batches = rows::of_ipc(&answer.body)?;
        let bytes = batches.iter().map(values).sum::<Outcome<usize>>()?;
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let ratio = answer.body.len() as f64 / bytes.max(1) as f64;
        report::note(&format!("{ratio:.3} of {bytes} bytes, {} rows: {sql}", rows::count(&batches)));
        worst = worst.max(ratio);
    }
    report::line(
        "W9 bytes on the wire / bytes of the values, the worst of ten",
        worst,
        "",
        Goal::AtMost(1.2),
    );
    Ok(())
}

/// Bytes of the values of a batch.
fn values(batch: &RecordBatch) -> Outcome<usize> {
    batch.columns().iter().map(of_column).sum()
}

/// With 32-bit offsets for text, and one bit for a NULL where there is any.
fn of_column(column: &ArrayRef) -> Outcome<usize> {
    let is_text = matches!(column.data_type(), DataType::LargeUtf8 | DataType::Utf8View);
    let plain = if is_text { cast(column, &DataType::Utf8)? } else { Arc::clone(column) };
    Ok(plain.to_data().get_slice_memory_size()?)
}
