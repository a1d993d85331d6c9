//! What leads what is read to a replica, and all else to the primary, statement by statement, as some poolers do.

#![allow(clippy::unwrap_used, reason = "support for tests: without a socket the test has failed")]

use std::io::Result;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The question for TLS, which comes first.
const TLS: u32 = 80_877_103;

/// Before the PostgreSQL of an address `postgres://USER@HOST:PORT/…` and a replica of it. Answers the address that leads through.
pub async fn before(url: &str, replica: SocketAddr) -> String {
    let (user, rest) = url.split_once('@').unwrap();
    let (primary, path) = rest.split_once('/').unwrap();
    let primary: SocketAddr = primary.parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = format!("{user}@{}/{path}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, primary, replica));
        }
    });
    through
}

/// What one says first: its length, and all of it.
async fn first(from: &mut TcpStream) -> Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut message = length.to_be_bytes().to_vec();
    message.resize(length as usize, 0);
    from.read_exact(&mut message[4..]).await?;
    Ok(message)
}

/// A message: its letter, its length, and all of it.
async fn message(from: &mut TcpStream) -> Result<Vec<u8>> {
    let letter = from.read_u8().await?;
    let mut message = vec![letter];
    message.extend(first(from).await?);
    Ok(message)
}

/// What a server says until it waits. The last letter tells whether it is in a transaction.
async fn answer(from: &mut TcpStream) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let said = message(from).await?;
        let is_last = said[0] == b'Z';
        all.extend(said);
        if is_last {
            return Ok(all);
        }
    }
}

async fn carry(mut client: TcpStream, primary: SocketAddr, replica: SocketAddr) -> Result<()> {
    let mut begins = first(&mut client).await?;
    if begins[4..8] == TLS.to_be_bytes() {
        client.write_all(b"N").await?;
        begins = first(&mut client).await?;
    }
    let (mut primary, mut replica) = (TcpStream::connect(primary).await?, TcpStream::connect(replica).await?);
    primary.write_all(&begins).await?;
    replica.write_all(&begins).await?;
    answer(&mut replica).await?;
    let mut said = answer(&mut primary).await?;
    let mut in_transaction = false;
    loop {
        client.write_all(&said).await?;
        let mut asked = message(&mut client).await?;
        // What is not one text goes on until it is to be answered.
        while !matches!(asked[0], b'Q' | b'X') && !asked.ends_with(b"S\0\0\0\x04") {
            asked.extend(message(&mut client).await?);
        }
        let text = String::from_utf8_lossy(&asked[5..]).trim_start().to_uppercase();
        if asked[0] == b'Q' && text.starts_with("SELECT") && !in_transaction {
            replica.write_all(&asked).await?;
            said = answer(&mut replica).await?;
        } else {
            primary.write_all(&asked).await?;
            said = answer(&mut primary).await?;
            in_transaction = said.last() != Some(&b'I');
        }
    }
}
