//! One Tokenward in this process with two ways in: as it is served, where what is asked with every request is answered
//! before the router, and through the router alone. All else of them is the same, down to the tokens in memory.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use axum_server::Server;
use hyper_util::rt::TokioTimer;
use tokenward_server::config::{Config, Flags};
use tokenward_server::{api, serve as service};

/// Serves a data directory until it is killed; prints both addresses first.
pub fn serve(directory: &Path) {
    // As in the binary.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let running = service::start(config(directory)).await.unwrap();
        let router = service::router(&running.app);
        let front = api::front(&running.app, router.clone());
        let of_connection = tower::service_fn(move |peer: SocketAddr| {
            let answers = front.connection(peer);
            async move { Ok::<_, Infallible>(answers) }
        });
        let [direct, routed] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        println!("http://{} http://{}", direct.local_addr().unwrap(), routed.local_addr().unwrap());
        let (direct, routed) = tokio::join!(
            server(direct).serve(of_connection),
            server(routed).serve(router.into_make_service_with_connect_info::<SocketAddr>()),
        );
        direct.and(routed).unwrap();
    });
}

fn config(directory: &Path) -> Config {
    let variables = [
        ("TOKENWARD_DATA_DIR", directory.as_os_str()),
        ("TOKENWARD_LISTEN", OsStr::new("127.0.0.1:0")),
        ("TOKENWARD_LIMITS_MAX_TOKENS", OsStr::new("100000000")),
    ];
    let variables = variables.map(|(name, value)| (OsString::from(name), value.to_owned()));
    Config::load(None, &variables, &Flags::default()).unwrap()
}

/// With the time limits that the real one has.
fn server(listener: TcpListener) -> Server<SocketAddr> {
    let mut server = axum_server::from_tcp(listener).unwrap().first_request_timeout(Duration::from_secs(10));
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
    server
}
