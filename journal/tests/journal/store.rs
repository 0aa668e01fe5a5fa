//! An embedded server that can be stopped and started again at the same place.

use std::net::SocketAddr;

use embedded_store::{Options, Server, serve};
use journal::Journal;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket};

use crate::{PATIENCE, connect, must};

pub(crate) struct Store {
    options: Options,
    address: SocketAddr,
    /// Keeps the port from being given to somebody else while the server is down. Only Linux lets
    /// a listener use it all the same.
    _port: Option<TcpSocket>,
    server: Option<Server>,
    directory: TempDir,
}

impl Store {
    pub(crate) async fn start() -> Self {
        Self::start_with(|options| options).await
    }

    pub(crate) async fn start_with(choose: impl FnOnce(Options) -> Options) -> Self {
        let mut store = Self::reserve(choose);
        store.start_again().await;
        store
    }

    /// A place for a server that does not run yet.
    pub(crate) fn reserve(choose: impl FnOnce(Options) -> Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options =
            choose(Options { durable: false, ..Options::at(directory.path().join("store")) });
        let port = TcpSocket::new_v4().unwrap();
        port.set_reuseaddr(true).unwrap();
        port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = port.local_addr().unwrap();
        let port = cfg!(target_os = "linux").then_some(port);
        Self { options, address, _port: port, server: None, directory }
    }

    pub(crate) async fn start_again(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.server = Some(serve(listener, self.options.clone()).await.unwrap());
    }

    pub(crate) async fn stop(&mut self) {
        let server = self.server.take().unwrap();
        must(server.stop()).await;
    }

    /// The next start finds nothing.
    pub(crate) fn forget_everything(&mut self) {
        self.options.data_dir = Some(self.directory.path().join("another"));
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn address(&self) -> journal::Address {
        format!("esdb://{}?tls=false", self.address).parse().unwrap()
    }

    /// A journal in this store, with all the time in the world.
    pub(crate) fn journal(&self) -> Journal {
        connect(self.address(), PATIENCE)
    }
}
