//! Turns Nagle's algorithm off on the client's connections to the event store.
//!
//! The client writes every request in two small pieces and never sets `TCP_NODELAY`, so the second
//! piece waits for the server's delayed acknowledgement of the first: 44 ms for every call. It
//! keeps its sockets to itself. So we look through our own process's descriptors for connections
//! to the event store's port and set the option there. Linux only; elsewhere nothing happens.

#[cfg(target_os = "linux")]
pub(crate) use linux::set_on_connections_to;

/// Does nothing on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn set_on_connections_to(_ports: &[u16]) -> std::io::Result<usize> {
    Ok(0)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::io::{self, IoSliceMut};
    use std::mem::MaybeUninit;
    use std::net::SocketAddr;
    use std::os::fd::{OwnedFd, RawFd};
    use std::os::unix::net::UnixDatagram;

    use rustix::net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, getpeername, recvmsg, sockopt,
    };
    use sendfd::SendWithFd;

    /// Sets `TCP_NODELAY` on every connection of this process to one of `ports`, and says on how
    /// many.
    pub(crate) fn set_on_connections_to(ports: &[u16]) -> io::Result<usize> {
        let mailbox = UnixDatagram::pair()?;
        let mut found = 0;
        for entry in fs::read_dir("/proc/self/fd")? {
            let entry = entry?;
            // Descriptors come and go while we look: whatever is gone needs nothing.
            let Ok(target) = fs::read_link(entry.path()) else { continue };
            if !target.as_os_str().as_encoded_bytes().starts_with(b"socket:") {
                continue;
            }
            let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let Ok(socket) = duplicate(number, &mailbox) else { continue };
            let ours = peer_port(&socket).is_some_and(|port| ports.contains(&port));
            if ours && sockopt::set_tcp_nodelay(&socket, true).is_ok() {
                found += 1;
            }
        }
        Ok(found)
    }

    /// A descriptor of our own for the same socket, by mailing it to ourselves.
    ///
    /// `pidfd_getfd` would do as well, but container runtimes forbid it by default.
    fn duplicate(number: RawFd, (from, to): &(UnixDatagram, UnixDatagram)) -> io::Result<OwnedFd> {
        from.send_with_fd(&[0], &[number])?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        recvmsg(to, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        let received = ancillary.drain().find_map(|message| {
            let RecvAncillaryMessage::ScmRights(mut sockets) = message else { return None };
            sockets.next()
        });
        received.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn peer_port(socket: &OwnedFd) -> Option<u16> {
        let peer = getpeername(socket).ok()?;
        SocketAddr::try_from(peer?).ok().map(|peer| peer.port())
    }

    #[cfg(test)]
    mod tests {
        use std::net::{TcpListener, TcpStream};
        use std::time::Duration;

        use super::*;

        #[test]
        fn only_connections_to_the_port_are_changed() {
            let store = TcpListener::bind("127.0.0.1:0").unwrap();
            let other = TcpListener::bind("127.0.0.1:0").unwrap();
            let to_store = TcpStream::connect(store.local_addr().unwrap()).unwrap();
            let to_other = TcpStream::connect(other.local_addr().unwrap()).unwrap();

            let found = set_on_connections_to(&[store.local_addr().unwrap().port()]).unwrap();

            assert_eq!(found, 1);
            assert!(to_store.nodelay().unwrap());
            assert!(!to_other.nodelay().unwrap());
        }

        #[test]
        fn nothing_is_left_open() {
            let store = TcpListener::bind("127.0.0.1:0").unwrap();
            let client = TcpStream::connect(store.local_addr().unwrap()).unwrap();
            let (mut server, _) = store.accept().unwrap();
            server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            set_on_connections_to(&[store.local_addr().unwrap().port()]).unwrap();

            drop(client);

            // The end of the stream only comes when no descriptor of the other side is left.
            assert_eq!(io::Read::read(&mut server, &mut [0]).unwrap(), 0);
        }
    }
}
