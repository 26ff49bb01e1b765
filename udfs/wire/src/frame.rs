//! Frames: a message and its descriptors in one packet, over a socket that keeps packets apart.
//!
//! ```text
//!  │ version, 1 byte │ length, 4 bytes │ body: JSON │
//! ```

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::job::INPUTS_MAX;
use crate::message::START_DESCRIPTORS;

/// Both ends are built together; one left from before an update must not be misunderstood.
const VERSION: u8 = 2;
const HEAD_BYTES: usize = 5;
/// Messages hold no data of users, so none is long.
pub const BODY_BYTES_MAX: usize = 16 << 10;
const DESCRIPTORS_MAX: usize = INPUTS_MAX + START_DESCRIPTORS;

/// Two ends of a socket for frames.
///
/// # Errors
/// When the system has none left.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Sends `message` with `descriptors`.
///
/// # Errors
/// `BrokenPipe` or `ConnectionReset` when the other end is closed.
pub fn send<T: Serialize>(socket: impl AsFd, message: &T, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let frame = encode(message)?;
    if descriptors.len() > DESCRIPTORS_MAX {
        return Err(invalid(format!(
            "a frame has {} descriptors, and may have {DESCRIPTORS_MAX}",
            descriptors.len()
        )));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(invalid("the descriptors of a frame find no room".to_owned()));
    }
    let parts = [IoSlice::new(&frame)];
    rustix::io::retry_on_intr(|| rustix::net::sendmsg(&socket, &parts, &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// The next message with its descriptors; waits for it.
///
/// # Errors
/// `UnexpectedEof` when the other end is closed, `InvalidData` for what no honest end sends.
pub fn receive<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<(T, Vec<OwnedFd>)> {
    let mut bytes = vec![0; HEAD_BYTES + BODY_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        rustix::net::recvmsg(&socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut descriptors: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            descriptors.extend(some);
        }
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(invalid("a frame is too long".to_owned()));
    }
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((decode(&bytes[..received.bytes])?, descriptors))
}

fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(message)?;
    if body.len() > BODY_BYTES_MAX {
        return Err(invalid(format!("a frame has {} bytes, and may have {BODY_BYTES_MAX}", body.len())));
    }
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    Ok([&[VERSION], &length.to_le_bytes()[..], &body].concat())
}

fn decode<T: DeserializeOwned>(frame: &[u8]) -> io::Result<T> {
    let (head, body) =
        frame.split_at_checked(HEAD_BYTES).ok_or_else(|| invalid("a frame is cut off".to_owned()))?;
    if head[0] != VERSION {
        return Err(invalid(format!("a frame is of version {}, expected {VERSION}", head[0])));
    }
    let length = head[1..].try_into().map(u32::from_le_bytes).map_err(io::Error::other)?;
    if usize::try_from(length).ok() != Some(body.len()) {
        return Err(invalid(format!("a frame has {} bytes and says {length}", body.len())));
    }
    serde_json::from_slice(body).map_err(|error| invalid(format!("a frame cannot be read: {error}")))
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};

    use proptest::prelude::*;

    use super::*;
    use crate::job::{Limits, Tier};
    use crate::message::{End, Progress, Start, Used};

    fn start() -> impl Strategy<Value = Start> {
        let tier = prop_oneof![Just(Tier::A), Just(Tier::B), Just(Tier::C)];
        (tier, any::<[u64; 7]>(), any::<usize>(), any::<u64>()).prop_map(|(tier, n, inputs, bytes)| Start {
            tier,
            limits: Limits {
                deadline_ms: n[0],
                memory_bytes_max: n[1],
                output_bytes_max: n[2],
                log_bytes_max: n[3],
                disk_bytes_max: n[4],
                disk_files_max: n[5],
                threads_max: n[6],
            },
            inputs,
            input_byte_count: bytes,
        })
    }

    fn used() -> impl Strategy<Value = Used> {
        any::<[u64; 2]>().prop_map(|[cpu_ms, memory_peak_bytes]| Used { cpu_ms, memory_peak_bytes })
    }

    fn progress() -> impl Strategy<Value = Progress> {
        prop_oneof![
            any::<u64>().prop_map(|memory_bytes| Progress::Started { memory_bytes }),
            (any::<i32>(), used()).prop_map(|(code, used)| Progress::Ended { end: End::Exited(code), used }),
            (any::<i32>(), used())
                .prop_map(|(signal, used)| Progress::Ended { end: End::Signalled(signal), used }),
            ".{0,200}".prop_map(Progress::Refused),
        ]
    }

    proptest! {
        #[test]
        fn messages_arrive_as_they_were_sent(start in start(), progress in progress(), files in 0..DESCRIPTORS_MAX) {
            let (one, other) = pair().unwrap();
            let null = File::open("/dev/null").unwrap();
            send(&one, &start, &vec![null.as_fd(); files]).unwrap();
            send(&one, &progress, &[]).unwrap();
            let (got, descriptors) = receive::<Start>(&other).unwrap();
            prop_assert_eq!((got, descriptors.len()), (start, files));
            let (got, descriptors) = receive::<Progress>(&other).unwrap();
            prop_assert_eq!((got, descriptors.len()), (progress, 0));
        }

        #[test]
        fn a_frame_with_changed_bytes_is_a_message_or_an_error(
            start in start(), place in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<proptest::sample::Index>(),
        ) {
            let mut frame = encode(&start).unwrap();
            let place = place.index(frame.len());
            frame[place] = byte;
            if let Ok(read) = decode::<Start>(&frame) {
                prop_assert!(encode(&read).is_ok());
            }
            prop_assert!(decode::<Start>(&frame[..cut.index(frame.len())]).is_err());
        }
    }

    #[test]
    fn descriptors_arrive_open() {
        let (one, other) = pair().unwrap();
        let (reader, mut writer) = std::io::pipe().unwrap();
        send(&one, &Progress::Started { memory_bytes: 0 }, &[reader.as_fd()]).unwrap();
        let (_, descriptors) = receive::<Progress>(&other).unwrap();
        let [got]: [OwnedFd; 1] = descriptors.try_into().unwrap();
        writer.write_all(b"here").unwrap();
        drop(writer);
        let mut text = String::new();
        File::from(got).read_to_string(&mut text).unwrap();
        assert_eq!(text, "here");
    }

    #[test]
    fn what_no_honest_end_sends_is_refused() {
        check(&[], io::ErrorKind::UnexpectedEof);
        check(&[VERSION, 1, 0], io::ErrorKind::InvalidData);
        check(&[VERSION + 1, 2, 0, 0, 0, b'{', b'}'], io::ErrorKind::InvalidData);
        check(&[VERSION, 3, 0, 0, 0, b'{', b'}'], io::ErrorKind::InvalidData);
        check(&[VERSION, 2, 0, 0, 0, b'{', b'}'], io::ErrorKind::InvalidData);
        check(&vec![VERSION; HEAD_BYTES + BODY_BYTES_MAX + 1], io::ErrorKind::InvalidData);

        #[track_caller]
        fn check(packet: &[u8], expected: io::ErrorKind) {
            let (one, other) = pair().unwrap();
            if packet.is_empty() {
                drop(one);
            } else {
                rustix::net::send(&one, packet, SendFlags::empty()).unwrap();
            }
            assert_eq!(receive::<Progress>(&other).unwrap_err().kind(), expected);
        }
    }

    #[test]
    fn what_is_too_long_is_not_sent() {
        let (one, _other) = pair().unwrap();
        let long = Progress::Refused("x".repeat(BODY_BYTES_MAX));
        assert_eq!(send(&one, &long, &[]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let null = File::open("/dev/null").unwrap();
        let many = vec![null.as_fd(); DESCRIPTORS_MAX + 1];
        assert_eq!(
            send(&one, &Progress::Refused(String::new()), &many).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
