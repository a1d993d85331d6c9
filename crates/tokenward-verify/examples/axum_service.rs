//! A service that protects itself: it follows the database of a Tokenward server and asks nobody else.
//!
//! `cargo run -p tokenward-verify --features tower --example axum_service -- tokenward-data Acme`

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Extension};
use axum::routing::{get, post};
use tokenward_verify::{Asking, Config, Embedded, Holder, RequireToken};

async fn invoices(Extension(holder): Extension<Holder>) -> String {
    format!("no invoices yet, {} ({})\n", holder.name, holder.role_name)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let data = arguments.next().unwrap_or_else(|| "tokenward-data".into());
    let name = arguments.next().unwrap_or_else(|| "Acme".into());
    let embedded = Embedded::open(Config::new(data)).await?;
    let organization = embedded.organization(&name).ok_or_else(|| anyhow::anyhow!("no organization `{name}`"))?;
    let require = |permission| -> anyhow::Result<RequireToken> {
        let layer = RequireToken::new(&embedded, Asking::Organization(organization), permission)?;
        Ok(layer.client_address(|_, extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip())))
    };
    let app = axum::Router::new()
        .route("/invoices", get(invoices).layer(require("invoices:read")?))
        .route("/invoices/pay", post(invoices).layer(require("invoices:pay")?));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    Ok(embedded.close().await?)
}
