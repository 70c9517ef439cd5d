//! `quality_levels`: presets of rungs.
//!
//! Those of the empty installation are everybody's; an installation's own goes
//! before one of the same name.

use millrace_media::id::RenditionName;
use millrace_media::ladder::Rung;

use super::{Database, DatabaseError, decode};
use crate::config::Installation;

/// The table, as one installation sees it.
#[derive(Debug, Clone)]
pub struct Qualities {
    database: Database,
    installation: Installation,
}

struct Row {
    name: String,
    height: i32,
    bitrate_kbps: i32,
}

impl TryFrom<Row> for Rung {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: row.name.parse().map_err(decode)?,
            height: u32::try_from(row.height).map_err(decode)?,
            bitrate_kbps: u32::try_from(row.bitrate_kbps).map_err(decode)?,
        })
    }
}

impl Qualities {
    /// The presets of one installation.
    pub fn new(database: Database, installation: Installation) -> Self {
        Self { database, installation }
    }

    /// All presets, the smallest first; at most 500.
    pub async fn list(&self) -> Result<Vec<Rung>, DatabaseError> {
        sqlx::query_as!(
            Row,
            r#"SELECT name AS "name!", height AS "height!", bitrate_kbps AS "bitrate_kbps!"
               FROM (SELECT DISTINCT ON (name) * FROM quality_levels
                     WHERE installation IN ('', $1) ORDER BY name, installation DESC) levels
               ORDER BY height, bitrate_kbps, name LIMIT 500"#,
            self.installation.as_str(),
        )
        .fetch_all(self.database.pool())
        .await
        .and_then(|rows| rows.into_iter().map(Rung::try_from).collect())
        .map_err(|e| self.database.error("list the quality levels", e))
    }

    /// The preset of this name.
    pub async fn find(&self, name: &RenditionName) -> Result<Option<Rung>, DatabaseError> {
        sqlx::query_as!(
            Row,
            "SELECT name, height, bitrate_kbps FROM quality_levels
             WHERE name = $1 AND installation IN ('', $2) ORDER BY installation DESC LIMIT 1",
            name.as_str(),
            self.installation.as_str(),
        )
        .fetch_optional(self.database.pool())
        .await
        .and_then(|row| row.map(Rung::try_from).transpose())
        .map_err(|e| self.database.error(format!("look up quality level {name}"), e))
    }

    /// Makes or changes the installation's own preset of this name.
    ///
    /// # Errors
    /// `Invalid` when height or bitrate is out of the bounds in migrations/.
    pub async fn upsert(&self, rung: &Rung) -> Result<(), DatabaseError> {
        sqlx::query!(
            "INSERT INTO quality_levels (installation, name, height, bitrate_kbps)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (installation, name) DO UPDATE SET
                 height = EXCLUDED.height, bitrate_kbps = EXCLUDED.bitrate_kbps,
                 updated_at = now()",
            self.installation.as_str(),
            rung.name.as_str(),
            i32::try_from(rung.height).unwrap_or(i32::MAX),
            i32::try_from(rung.bitrate_kbps).unwrap_or(i32::MAX),
        )
        .execute(self.database.pool())
        .await
        .map(drop)
        .map_err(|e| self.database.error(format!("write quality level {}", rung.name), e))
    }

    /// Deletes the installation's own preset of this name; everybody's shows
    /// again.
    ///
    /// # Errors
    /// `NotFound` when it has none of its own.
    pub async fn delete(&self, name: &RenditionName) -> Result<(), DatabaseError> {
        let what = format!("delete quality level {name}");
        let done = sqlx::query!(
            "DELETE FROM quality_levels WHERE installation = $1 AND name = $2",
            self.installation.as_str(),
            name.as_str(),
        )
        .execute(self.database.pool())
        .await
        .map_err(|e| self.database.error(&what, e))?;
        if done.rows_affected() == 0 {
            return Err(DatabaseError::NotFound { what });
        }
        Ok(())
    }
}
