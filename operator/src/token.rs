//! `millrace-operator token`: the API's tokens, for the first one and for who
//! has no Kubernetes.

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use millrace_platform::config::{DatabaseConfig, Env, Installation};
use millrace_platform::keys::KeyName;
use millrace_platform::postgres::Database;
use millrace_platform::postgres::page::PageRequest;
use millrace_platform::postgres::tokens::{MAX_TOKENS, NewToken, StoredToken, Tokens};
use millrace_platform::tokens::{ApiToken, Scope, Scopes, StreamPattern};
use millrace_platform::wall;
use uuid::Uuid;

use crate::api;
use crate::cli::print;

/// Make, list and revoke tokens of the API
///
/// In the database of DATABASE_URL, as a role that may: the operator's own.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print it: the only time it can be seen
    Create {
        /// What people call it
        #[arg(long)]
        name: String,
        /// What it may do: streams:read, broadcasts:write, keys:read,
        /// keys:write, tokens:write; all of it if none is given
        #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',')]
        scopes: Vec<Scope>,
        /// On which streams: *, <namespace>.* or <namespace>.<name>
        #[arg(long, value_name = "STREAMS", value_delimiter = ',', required = true)]
        streams: Vec<StreamPattern>,
        /// How long it is good, such as 720h; for ever if not given
        #[arg(long, value_name = "DURATION")]
        expires: Option<api::duration::Duration>,
    },
    /// Print all tokens, the newest first: id, name, state, scopes, streams
    List,
    /// Revoke a token for good; it is refused within some seconds
    Revoke {
        /// Its id, as `list` prints it
        id: Uuid,
    },
}

/// Run the subcommand.
pub(crate) async fn run(args: TokenArgs) -> anyhow::Result<()> {
    let env = Env::from_process();
    let (config, installation) = (DatabaseConfig::read(&env), Installation::read(&env));
    env.report()?;
    let tokens = Tokens::new(Database::open(&config?)?, installation?);
    match args.command {
        TokenCommand::Create { name, scopes, streams, expires } => {
            let lives = expires.map(|e| i64::try_from(e.get().as_millis())).transpose()?;
            let token = NewToken {
                name: name.parse::<KeyName>().context("--name")?,
                scopes: if scopes.is_empty() {
                    Scope::ALL.into_iter().collect()
                } else {
                    scopes.into_iter().collect::<Scopes>()
                },
                streams: streams.into_iter().collect(),
                created_by: "millrace-operator token".to_owned(),
                expires_ms: lives.map(|ms| wall::ms().saturating_add(ms)),
            };
            ensure!(token.streams.fit(), "--streams: too many");
            let secret = ApiToken::generate(&mut rand::rng());
            if tokens.insert(&token, secret.hash()).await?.is_none() {
                bail!("there are {MAX_TOKENS} good tokens already: revoke one first");
            }
            print(&format!("{}\n", secret.reveal()))
        }
        TokenCommand::List => {
            let mut page = PageRequest { limit: 200, after: None };
            loop {
                let found = tokens.list(page).await?;
                print(&found.items.iter().map(line).collect::<String>())?;
                let Some(next) = found.next else { return Ok(()) };
                page.after = Some(next);
            }
        }
        TokenCommand::Revoke { id } => Ok(tokens.revoke(id).await?),
    }
}

fn line(token: &StoredToken) -> String {
    let state = match (token.revoked_ms, token.is_good_at(wall::ms())) {
        (Some(_), _) => "revoked",
        (None, true) => "good",
        (None, false) => "expired",
    };
    let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
    let (scopes, streams) = (scopes.join(","), token.streams.to_texts().join(","));
    format!("{}\t{}\t{state}\t{scopes}\t{streams}\n", token.id, token.name)
}
