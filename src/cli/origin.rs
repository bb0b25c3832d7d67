//! `banyan origin`: the far end of a load, or of any proxy that is tried out.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use super::{Exit, print};
use crate::load::{Answers, Order, Origin as Server, Protocol, bytes, lasting};
use crate::net::raise_descriptor_limit;

/// `origin`
#[derive(Args, Debug)]
pub struct Origin {
    /// What it speaks
    #[arg(value_name = "PROTOCOL", value_enum)]
    speaks: Speaks,
    /// Where it listens; port 0 is any free one, and printed
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// How long each answer waits: seconds, or 20ms
    #[arg(long, value_name = "DURATION", value_parser = lasting, default_value = "0s")]
    delay: Duration,
    /// The share of answers that are errors, from 0 to 1: status 500, or 2 with bolt; tcp closes the connection
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = 0.0)]
    error_rate: f64,
    /// Answer in any order: each answer waits a random part of --delay
    #[arg(long, requires = "delay")]
    answer_out_of_order: bool,
    /// Bytes of each answer's body [default: 1K, bolt: 1198]; tcp sends back what it gets
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    body_size: Option<usize>,
}

/// What an origin speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Speaks {
    /// SOFA Bolt, with the answers of SOFARPC
    #[value(alias = "sofarpc")]
    Bolt,
    /// HTTP/1.1
    Http,
    /// What comes goes back
    Tcp,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok();
    share
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "it is no share from 0 to 1".to_owned())
}

/// `banyan origin`
#[must_use]
pub fn origin(arguments: &Origin) -> Exit {
    if arguments.speaks == Speaks::Tcp && arguments.body_size.is_some() {
        let reason = "origin: tcp sends back what it gets, --body-size is not its own";
        return print::refuse(&reason, Exit::Usage);
    }
    if arguments.speaks != Speaks::Bolt && arguments.answer_out_of_order {
        let reason = "origin: --answer-out-of-order: only answers of bolt say what they answer";
        return print::refuse(&reason, Exit::Usage);
    }
    // Without more descriptors it serves fewer connections.
    let _as_it_was = raise_descriptor_limit();
    match serve(arguments) {
        Ok(()) => Exit::Normal,
        Err(error) => {
            let listen = arguments.listen;
            print::refuse(&format_args!("origin: {listen}: {error}"), Exit::Failed)
        }
    }
}

fn serve(arguments: &Origin) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let answers = Answers {
            protocol: match arguments.speaks {
                Speaks::Bolt => Protocol::Sofarpc,
                Speaks::Http => Protocol::Http,
                Speaks::Tcp => Protocol::Tcp,
            },
            delay: arguments.delay,
            order: match arguments.answer_out_of_order {
                true => Order::Any,
                false => Order::Kept,
            },
            error_rate: arguments.error_rate,
            body: arguments.body_size,
        };
        let mut server = Server::bind(arguments.listen, answers).await?;
        print::say(&format_args!("listening on {}\n", server.address()?));
        tokio::select! {
            () = server.serve() => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let (requests, connections) = server.counts();
        print::say(&format_args!(
            "{requests} requests on {connections} connections\n"
        ));
        Ok(())
    })
}
