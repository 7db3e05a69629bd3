//! A connection as one question and one answer, for threads and for tasks: all that differs
//! between the two kinds of worker.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

use crate::error::FeedError;
use crate::protocol::{LONGEST_LINE, Reply, Request};

/// How long an answer may take before the connection counts as broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// For a thread.
#[derive(Debug)]
pub(crate) struct ThreadLink(BufReader<TcpStream>);

/// For a task.
#[derive(Debug)]
pub(crate) struct TaskLink(tokio::io::BufReader<tokio::net::TcpStream>);

impl ThreadLink {
    pub(crate) fn connect(server: SocketAddr) -> Result<Self, FeedError> {
        let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(crate) fn ask(&mut self, request: Request<'_>) -> Result<Reply, FeedError> {
        self.0.get_mut().write_all(format!("{request}\n").as_bytes())?;
        let mut line = String::new();
        self.0.by_ref().take(LONGEST_LINE).read_line(&mut line)?;
        understood(line)
    }
}

impl TaskLink {
    pub(crate) async fn connect(server: SocketAddr) -> Result<Self, FeedError> {
        let stream = in_time(tokio::net::TcpStream::connect(server)).await?;
        stream.set_nodelay(true)?;
        Ok(Self(tokio::io::BufReader::new(stream)))
    }

    pub(crate) async fn ask(&mut self, request: Request<'_>) -> Result<Reply, FeedError> {
        let mut line = String::new();
        in_time(async {
            self.0.get_mut().write_all(format!("{request}\n").as_bytes()).await?;
            (&mut self.0).take(LONGEST_LINE).read_line(&mut line).await
        })
        .await?;
        understood(line)
    }
}

pub(crate) async fn in_time<T>(
    work: impl Future<Output = std::io::Result<T>>,
) -> Result<T, FeedError> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(FeedError::Silent(PATIENCE)),
    }
}

fn understood(line: String) -> Result<Reply, FeedError> {
    match Reply::parse(&line) {
        _ if line.is_empty() => Err(FeedError::Io(std::io::ErrorKind::UnexpectedEof.into())),
        Some(Reply::Cut) => Err(FeedError::Cut),
        Some(Reply::Error(reason)) => Err(FeedError::Refused(reason)),
        Some(reply) => Ok(reply),
        None => Err(FeedError::Unexpected(line)),
    }
}
