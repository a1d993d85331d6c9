//! A mail server that keeps what it is sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What was sent, the oldest first.
#[derive(Clone, Default)]
pub struct Mailbox(Arc<Mutex<Vec<String>>>);

impl Mailbox {
    /// A mail server on a free port.
    pub async fn open() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Self::take_from(listener), address)
    }

    /// One on a port that was free until now.
    pub async fn open_at(address: SocketAddr) -> Self {
        Self::take_from(TcpListener::bind(address).await.unwrap())
    }

    fn take_from(listener: TcpListener) -> Self {
        let mailbox = Self::default();
        let kept = mailbox.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = kept.clone();
                tokio::spawn(async move {
                    // A client that hangs up half-way has sent nothing.
                    let _ = kept.take(stream).await;
                });
            }
        });
        mailbox
    }

    /// The last mail with this in it that has come.
    pub fn last_with(&self, text: &str) -> String {
        self.0.lock().unwrap().iter().rfind(|mail| mail.contains(text)).cloned().unwrap()
    }

    /// How many mails with this in them have come.
    pub fn count(&self, text: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|mail| mail.contains(text)).count()
    }

    async fn take(&self, stream: TcpStream) -> std::io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 mailbox\r\n").await?;
        while let Some(line) = lines.next_line().await? {
            let answer: &[u8] = match line.split(' ').next().unwrap_or_default().to_uppercase().as_str() {
                "EHLO" => b"250 mailbox\r\n",
                "DATA" => {
                    write.write_all(b"354 go on\r\n").await?;
                    let mut mail = String::new();
                    while let Some(line) = lines.next_line().await?
                        && line != "."
                    {
                        // A long line is sent in pieces (RFC 2045 §6.7).
                        match line.strip_suffix('=') {
                            Some(piece) => mail.push_str(piece),
                            None => mail.push_str(&format!("{line}\n")),
                        }
                    }
                    self.0.lock().unwrap().push(mail);
                    b"250 kept\r\n"
                }
                "QUIT" => b"221 bye\r\n",
                _ => b"250 yes\r\n",
            };
            write.write_all(answer).await?;
        }
        Ok(())
    }

    /// The link that was mailed with an invitation.
    pub async fn link_of(&self, invitation: &str) -> String {
        let mail = self.mail_with(invitation).await;
        mail.lines().find(|line| line.contains(invitation)).unwrap().to_owned()
    }

    /// The first mail of an invitation, which may be on its way still.
    pub async fn mail_with(&self, invitation: &str) -> String {
        for _ in 0..500 {
            let mail = self.0.lock().unwrap().iter().find(|mail| mail.contains(invitation)).cloned();
            match mail {
                Some(mail) => return mail,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        panic!("no mail came with the invitation {invitation}");
    }
}
