//! Packets with descriptors, over a socket that keeps them apart.
//!
//! ```text
//!  │ 0 │ body …              │      a body that fits into a packet
//!  │ 1 │ length, 8 bytes     │      a longer one: it is in the first descriptor
//! ```

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::MemfdFlags;
use tokio_seqpacket::UnixSeqpacket;
use tokio_seqpacket::ancillary::{AncillaryMessageWriter, OwnedAncillaryMessage};

use super::area;

/// A longer body goes apart. The kernel lets no packet be larger than the socket's buffer.
const INLINE_BYTES_MAX: usize = 32 << 10;
/// The longest body: a query with the manifests of all its tables.
const BODY_BYTES_MAX: u64 = 256 << 20;
/// Room for the descriptors of one packet.
const CONTROL_BYTES: usize = 128;

const INLINE: u8 = 0;
const APART: u8 = 1;

/// What was received.
#[derive(Debug, Default)]
pub(super) struct Packet {
    pub(super) body: Vec<u8>,
    pub(super) descriptors: Vec<OwnedFd>,
}

/// Sends `body` with `descriptors`.
pub(super) async fn send(
    socket: &UnixSeqpacket,
    body: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    if body.len() <= INLINE_BYTES_MAX {
        return send_parts(socket, &[&[INLINE], body], descriptors).await;
    }
    let apart = rustix::fs::memfd_create("body", MemfdFlags::CLOEXEC)?;
    area::write_all(&apart, &[body])?;
    let length = (body.len() as u64).to_le_bytes();
    let descriptors = [&[apart.as_fd()], descriptors].concat();
    send_parts(socket, &[&[APART], &length], &descriptors).await
}

async fn send_parts(
    socket: &UnixSeqpacket,
    parts: &[&[u8]; 2],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = [0; CONTROL_BYTES];
    let mut control = AncillaryMessageWriter::new(&mut space);
    if !descriptors.is_empty() {
        control.add_fds(descriptors).map_err(|_| invalid("a packet has too many descriptors"))?;
    }
    let parts = parts.map(IoSlice::new);
    socket.send_vectored_with_ancillary(&parts, &mut control).await.map(drop)
}

/// The next packet. Can be dropped and asked for again.
///
/// # Errors
/// `UnexpectedEof` when the other end is closed, `InvalidData` for what no honest end sends.
pub(super) async fn receive(socket: &UnixSeqpacket) -> io::Result<Packet> {
    let mut bytes = vec![0; INLINE_BYTES_MAX + 1];
    let mut space = [0; CONTROL_BYTES];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let (received, control) = socket.recv_vectored_with_ancillary(&mut slices, &mut space).await?;
    let mut descriptors: Vec<OwnedFd> = Vec::new();
    for message in control.into_messages() {
        if let OwnedAncillaryMessage::FileDescriptors(some) = message {
            descriptors.extend(some);
        }
    }
    if received.truncated() || received.ancillary_truncated() {
        return Err(invalid("a packet is too long"));
    }
    bytes.truncate(received.bytes_read());
    unpack(bytes, descriptors)
}

fn unpack(mut bytes: Vec<u8>, mut descriptors: Vec<OwnedFd>) -> io::Result<Packet> {
    match bytes.first() {
        None => Err(io::ErrorKind::UnexpectedEof.into()),
        Some(&INLINE) => {
            bytes.remove(0);
            Ok(Packet { body: bytes, descriptors })
        }
        Some(&APART) => {
            let length = bytes[1..].try_into().map(u64::from_le_bytes);
            let length = length.map_err(|_| invalid("a packet does not say how long its body is"))?;
            if length > BODY_BYTES_MAX {
                return Err(invalid("the body of a packet is too long"));
            }
            if descriptors.is_empty() {
                return Err(invalid("the body of a packet is not there"));
            }
            let body = area::read(descriptors.remove(0), 0, length)?;
            Ok(Packet { body, descriptors })
        }
        Some(_) => Err(invalid("a packet of an unknown kind")),
    }
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn bodies_of_any_length_arrive_with_their_descriptors() {
        for length in [0, 1, INLINE_BYTES_MAX - 1, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, 3 << 20] {
            let body: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let (file, mut writer) = std::io::pipe().unwrap();
            let (one, other) = UnixSeqpacket::pair().unwrap();
            send(&one, &body, &[file.as_fd()]).await.unwrap();
            let packet = receive(&other).await.unwrap();
            assert!(packet.body == body, "{length}");
            std::io::Write::write_all(&mut writer, b"here").unwrap();
            drop(writer);
            let [got]: [OwnedFd; 1] = packet.descriptors.try_into().unwrap();
            let mut text = String::new();
            File::from(got).read_to_string(&mut text).unwrap();
            assert_eq!(text, "here", "{length}");
        }
    }

    #[tokio::test]
    async fn an_end_that_is_closed_is_told() {
        let (one, other) = UnixSeqpacket::pair().unwrap();
        drop(one);
        assert_eq!(receive(&other).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_no_honest_end_sends_is_refused() {
        let memory = || rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        let apart = |length: u64| [&[APART][..], &length.to_le_bytes()].concat();
        check(vec![2], vec![], "unknown kind");
        check(vec![APART, 1, 2], vec![memory()], "how long");
        check(apart(5), vec![], "not there");
        check(apart(BODY_BYTES_MAX + 1), vec![memory()], "too long");
        check(apart(5), vec![memory()], "ends before");
        check(apart(5), vec![std::io::pipe().unwrap().0.into()], "seek");

        #[track_caller]
        fn check(bytes: Vec<u8>, descriptors: Vec<OwnedFd>, expected: &str) {
            let error = unpack(bytes, descriptors).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[tokio::test]
    async fn a_packet_that_is_too_long_is_refused() {
        let (one, other) = UnixSeqpacket::pair().unwrap();
        one.send(&vec![0; INLINE_BYTES_MAX + 2]).await.unwrap();
        assert_eq!(receive(&other).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_packet_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            // Neither may panic; a body comes back as it was.
            if let Ok(packet) = unpack(bytes.clone(), Vec::new()) {
                prop_assert_eq!(&packet.body[..], &bytes[1..]);
            }
        }
    }
}
