//! W7, W8, W9: results that are large.
//!
//! Compared (W7): nine columns of lineitem as Arrow over HTTP, 2 and 20 million rows, with the slower of two
//! limits found in the same run: DataFusion in this process that scans the same files and writes the same
//! stream into nothing, and a bare socket over loopback; and with both at once, a bare socket that this stream is
//! written to, since the two have to share the processors when somebody exports. (W8): 2 million rows as JSON and as CSV, with
//! arrow-json and arrow-csv that write the same rows into nothing.
//! Measured: millions of rows a second, the first byte, and the most that the server's memory grew.
//! Checked in the same run: the number of rows, by reading the Arrow stream.
//! W9: bytes on the wire of ten queries with much text, beside the bytes of the values in them.
//! Not measured: a network; a client that does something with the rows.

use std::io::{BufWriter, Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;
use futures::TryStreamExt as _;
use shirabe_benches::{Outcome, median};

use super::bare::Bare;
use super::client::{Client, Drained, Question};
use super::ground::Ground;
use super::logical;
use super::report::{self, Goal};
use super::server::Server;

/// A scan of lineitem of scale 1 has six million rows, so twenty take four.
const SCANS: usize = 4;
const SOCKET_WRITE: usize = 256 << 10;
const BETWEEN_SAMPLES: Duration = Duration::from_millis(20);

pub(super) async fn measure(ground: &Ground) -> Outcome<()> {
    report::title("exports (W7, W8, W9)");
    let bare = Bare::over(&ground.files).await?;
    let server = ground.serve().await?;
    for million in [2, 20] {
        arrow_export(ground, &server, &bare, million).await?;
    }
    for format in ["json", "csv"] {
        text_export(ground, &server, &bare, format).await?;
    }
    logical::measure(&server).await
}

/// Nine columns of so many million rows.
fn statement(million: usize) -> String {
    let columns = "l_orderkey, l_partkey, l_quantity, l_extendedprice, l_discount, l_returnflag, l_shipdate, \
                   l_shipmode, l_comment";
    let scan = format!("select {columns} from lineitem");
    let scans = vec![scan; if million > 2 { SCANS } else { 1 }].join(" union all ");
    format!("select * from ({scans}) as rows limit {million}000000")
}

async fn arrow_export(ground: &Ground, server: &Server, bare: &Bare, million: usize) -> Outcome<()> {
    let sql = statement(million);
    let mut client = server.connect().await?;
    let rows = rows_of(&mut client, &sql).await?;
    let (mut served, mut encoded, mut socket, mut both) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut grown = 0;
    for _ in 0..ground.rounds {
        let (drained, growth) = drained(server, &mut client, Question::fresh(&sql, "arrow")).await?;
        let (time, bare_rows) = bare_arrow(bare, &sql, std::io::sink()).await?;
        if bare_rows != rows {
            return Err(format!("{rows} rows here, {bare_rows} there").into());
        }
        grown = grown.max(growth);
        served.push(drained);
        encoded.push(time);
        let bytes = drained.bytes;
        socket.push(tokio::task::spawn_blocking(move || through_socket(bytes)).await??);
        both.push(bare_arrow(bare, &sql, BufWriter::with_capacity(SOCKET_WRITE, drain()?)).await?.0);
    }
    let elapsed = median(served.iter().map(|run| run.elapsed).collect(), Ord::cmp);
    let first_byte = median(served.iter().map(|run| run.first_byte).collect(), Ord::cmp);
    let [encoded, socket, both] = [encoded, socket, both].map(|times| median(times, Ord::cmp));
    let megabytes = report::mb(served[0].bytes);
    let rate = |time: Duration| megabytes / time.as_secs_f64();
    report::note(&format!(
        "{rows} rows, {megabytes:.0} MB of Arrow: served {:.0} MB/s, bare scan and encode {:.0} MB/s, bare socket {:.0} MB/s, \
         both {:.0} MB/s",
        rate(elapsed),
        rate(encoded),
        rate(socket),
        rate(both)
    ));
    let share = encoded.max(socket).div_duration_f64(elapsed);
    report::line(&format!("W7 Arrow of {million} M rows / the slower limit"), share, "", Goal::AtLeast(0.9));
    let share = both.div_duration_f64(elapsed);
    report::plain(&format!("W7 Arrow of {million} M rows / scan, encode and send without HTTP"), share, "");
    report::line(
        &format!("W7 first byte of {million} M rows"),
        report::ms(first_byte),
        "ms",
        Goal::AtMost(50.0),
    );
    report::line(
        &format!("W7 growth of memory, {million} M rows"),
        report::mb(grown),
        "MB",
        Goal::AtMost(64.0),
    );
    Ok(())
}

async fn text_export(ground: &Ground, server: &Server, bare: &Bare, format: &str) -> Outcome<()> {
    let sql = statement(2);
    let mut client = server.connect().await?;
    let (mut served, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..ground.rounds {
        served.push(drained(server, &mut client, Question::fresh(&sql, format)).await?.0);
        plain.push(bare_text(bare, &sql, format).await?);
    }
    let elapsed = median(served.iter().map(|run| run.elapsed).collect(), Ord::cmp);
    let first_byte = median(served.iter().map(|run| run.first_byte).collect(), Ord::cmp);
    let megabytes = report::mb(served[0].bytes);
    report::note(&format!(
        "{megabytes:.0} MB of {format}: {:.0} MB/s, first byte after {:.1} ms",
        megabytes / elapsed.as_secs_f64(),
        report::ms(first_byte)
    ));
    let share = median(plain, Ord::cmp).div_duration_f64(elapsed);
    report::line(&format!("W8 {format} of 2 M rows / bare arrow-{format}"), share, "", Goal::AtLeast(0.85));
    Ok(())
}

/// One answer whose bytes are thrown away, and how much more memory the server took meanwhile.
async fn drained(server: &Server, client: &mut Client, question: Question<'_>) -> Outcome<(Drained, u64)> {
    let before = server.memory()?;
    let mut most = before;
    let mut answer = std::pin::pin!(client.drain(question, |_| Ok(())));
    loop {
        match tokio::time::timeout(BETWEEN_SAMPLES, &mut answer).await {
            Ok(drained) => return Ok((drained?, most.saturating_sub(before))),
            Err(_) => most = most.max(server.memory()?),
        }
    }
}

/// The rows of an Arrow answer, read as they come.
async fn rows_of(client: &mut Client, sql: &str) -> Outcome<usize> {
    let mut decoder = StreamDecoder::new();
    let mut rows = 0;
    let take = |piece: bytes::Bytes| {
        let mut buffer = Buffer::from(piece);
        while let Some(batch) = decoder.decode(&mut buffer)? {
            rows += batch.num_rows();
        }
        Ok(())
    };
    client.drain(Question::fresh(sql, "arrow"), take).await?;
    decoder.finish()?;
    Ok(rows)
}

async fn bare_arrow(bare: &Bare, sql: &str, to: impl Write) -> Outcome<(Duration, usize)> {
    let started = Instant::now();
    let mut stream = bare.stream(sql).await?;
    let mut writer = StreamWriter::try_new(to, &stream.schema())?;
    let mut rows = 0;
    while let Some(batch) = stream.try_next().await? {
        rows += batch.num_rows();
        writer.write(&batch)?;
    }
    writer.finish()?;
    Ok((started.elapsed(), rows))
}

/// Writes a batch into nothing.
type WriteBatch = Box<dyn FnMut(&RecordBatch) -> Outcome<()> + Send>;

async fn bare_text(bare: &Bare, sql: &str, format: &str) -> Outcome<Duration> {
    let started = Instant::now();
    let mut stream = bare.stream(sql).await?;
    let mut write: WriteBatch = if format == "json" {
        let mut writer = arrow::json::ArrayWriter::new(std::io::sink());
        Box::new(move |batch: &RecordBatch| Ok(writer.write(batch)?))
    } else {
        let mut writer = arrow::csv::Writer::new(std::io::sink());
        Box::new(move |batch: &RecordBatch| Ok(writer.write(batch)?))
    };
    while let Some(batch) = stream.try_next().await? {
        write(&batch)?;
    }
    Ok(started.elapsed())
}

/// A connection over loopback to a thread that reads all and keeps nothing.
fn drain() -> Outcome<TcpStream> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let sender = TcpStream::connect(listener.local_addr()?)?;
    let (mut stream, _) = listener.accept()?;
    std::thread::spawn(move || {
        let mut block = vec![0; SOCKET_WRITE];
        while stream.read(&mut block).is_ok_and(|count| count > 0) {}
    });
    Ok(sender)
}

/// How long so many bytes take from one thread to another over loopback.
fn through_socket(bytes: u64) -> Outcome<Duration> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let sender = std::thread::spawn(move || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        let block = vec![7; SOCKET_WRITE];
        let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
        while left > 0 {
            let part = left.min(block.len());
            stream.write_all(&block[..part])?;
            left -= part;
        }
        Ok(())
    });
    let (mut stream, _) = listener.accept()?;
    let started = Instant::now();
    let mut block = vec![0; SOCKET_WRITE];
    while stream.read(&mut block)? > 0 {}
    let elapsed = started.elapsed();
    sender.join().map_err(|_| "the sender panicked")??;
    Ok(elapsed)
}
